import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HeaderBlock, type ResponseReceiver } from '../../../src/http/index.ts';
import type { OpenClient, ServeHttp } from '../../../src/io/http/index.ts';
import { RawClient, startRig } from './http-rig.ts';
import { echoing, nothing, silentClient, until } from './listener-parts.ts';

const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

describe('an HTTP listener that drains', () => {
  it('answers on kept connections once more, and asks the client to connect anew', async (t) => {
    const rig = await startRig(t, { instances: { p1: echoing } });
    const kept = new RawClient(t, rig.port);
    kept.send(get);
    assert.doesNotMatch(await kept.until(/\n$/), /Connection: close/);
    rig.listener.drain();
    kept.text = '';
    kept.send(get);
    assert.match(await kept.end(), /^HTTP\/1\.1 200 [^]*\r\nConnection: close\r\n/);
    assert.equal(kept.hasError, false);
  });

  it('leaves idle connections alone: a request may be on its way', async (t) => {
    const rig = await startRig(t, {
      instances: { p1: echoing },
      listener: { timeouts: { sweepIntervalMs: 5 } },
    });
    const idle = new RawClient(t, rig.port);
    await until(() => rig.listener.connections === 1);
    rig.listener.drain();
    const other = new RawClient(t, rig.port);
    other.send(get);
    await other.end();
    assert.equal(idle.isClosed, false);
    idle.send(get);
    assert.match(await idle.end(), /^HTTP\/1\.1 200 /);
  });

  it('serves new connections, for one request each', async (t) => {
    const rig = await startRig(t, { instances: { p1: echoing } });
    rig.listener.drain();
    const fresh = new RawClient(t, rig.port);
    fresh.send(get);
    assert.match(await fresh.end(), /^HTTP\/1\.1 200 [^]*\r\nConnection: close\r\n/);
  });

  it('lets a response that has not begun carry the news, and one that has end in peace', async (t) => {
    const running: ResponseReceiver[] = [];
    const instance: ServeHttp = (_, __, ___, response) => {
      running.push(response);
      return nothing;
    };
    const rig = await startRig(t, { instances: { p1: instance } });
    const [begun, waiting] = [new RawClient(t, rig.port), new RawClient(t, rig.port)];
    const head = {
      status: 200,
      reason: 'OK',
      headers: HeaderBlock.empty,
      framing: { kind: 'chunked' },
    } as const;
    begun.send(get);
    await until(() => running.length === 1);
    running[0]!.head(head);
    running[0]!.data(Buffer.from('half'));
    await begun.until(/half/);
    waiting.send(get);
    await until(() => running.length === 2);
    rig.listener.drain();
    for (const response of running) {
      if (response === running[1]) response.head(head);
      response.data(Buffer.from('rest'));
      response.end([]);
    }
    assert.match(await waiting.end(), /\r\nConnection: close\r\n[^]*0\r\n\r\n$/);
    const text = await begun.until(/rest\r\n0\r\n\r\n$/);
    assert.doesNotMatch(text, /Connection: close/);
  });

  it('tells clients of HTTP/2, those that come later as well', async (t) => {
    let drained = 0;
    const openHttp2: OpenClient = (socket) => {
      socket.resume();
      const drain = (): void => {
        drained += 1;
      };
      return silentClient(socket, { bufferedBytes: 1, drain });
    };
    const rig = await startRig(t, { instances: { p1: echoing }, listener: { openHttp2 } });
    const [early, late] = [new RawClient(t, rig.port), new RawClient(t, rig.port)];
    early.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    await until(() => rig.listener.bufferedBytes === 1);
    rig.listener.drain();
    assert.equal(drained, 1);
    late.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    await until(() => drained === 2);
  });
});
