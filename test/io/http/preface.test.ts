import assert from 'node:assert/strict';
import { connect, performServerHandshake } from 'node:http2';
import { describe, it, type TestContext } from 'node:test';
import type { HttpClient, HttpListenerOptions, OpenClient } from '../../../src/io/http/index.ts';
import { RawClient, type Rig, startRig } from './http-rig.ts';
import { echoing, silentClient, until } from './listener-parts.ts';

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const unexpected: OpenClient = () => assert.fail('HTTP/2 was opened');

function start(
  t: TestContext,
  openHttp2: OpenClient,
  listener: Partial<HttpListenerOptions> = {},
): Promise<Rig> {
  return startRig(t, { instances: { p1: echoing }, listener: { openHttp2, ...listener } });
}

/** Tells a client how many bytes it got whenever some came. */
const counting: OpenClient = (socket) => {
  let text = '';
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1');
    socket.write(`<${text.length}${text.startsWith(preface) ? ' whole' : ''}>`);
  });
  socket.resume();
  return silentClient(socket);
};

async function sendPieces(client: RawClient, pieces: readonly string[]): Promise<void> {
  for (const piece of pieces) {
    client.send(piece);
    await new Promise(setImmediate);
  }
}

describe('HTTP/2 in clear text', () => {
  it('is told by its preface, wherever that is cut', async (t) => {
    const rig = await start(t, counting);
    for (let at = 1; at <= preface.length; at++) {
      const client = new RawClient(t, rig.port);
      await sendPieces(client, [preface.slice(0, at), `${preface.slice(at)}frames`]);
      await client.until(/<30 whole>$/);
    }
    const client = new RawClient(t, rig.port);
    await sendPieces(client, [...preface.split(''), 'frames']);
    await client.until(/<30 whole>$/);
  });

  it('gives the connection to a session of Node as it came', async (t) => {
    const rig = await start(t, (socket) => {
      const session = performServerHandshake(socket);
      session.on('stream', (stream) => {
        stream.respond({ ':status': 200 });
        stream.end('by HTTP/2');
      });
      return silentClient(socket);
    });
    const session = connect(`http://127.0.0.1:${rig.port}`);
    t.after(() => {
      session.destroy();
    });
    const stream = session.request({ ':path': '/' });
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    assert.equal(text, 'by HTTP/2');
  });

  for (const line of [
    'POST / HTTP/1.1',
    'PUT / HTTP/1.1',
    'PRI / HTTP/1.1',
    'PRI * HTTP/1.1',
    'PROPFIND / HTTP/1.1',
    'GET / HTTP/1.1',
  ]) {
    it(`is not what begins with ${line}, wherever that is cut`, async (t) => {
      const rig = await start(t, unexpected);
      const rest = `\r\nHost: a\r\nContent-Length: 0\r\n\r\n`;
      // The asterisk is a target of OPTIONS alone (RFC 9112 section 3.2.4).
      const wanted = line.startsWith('PRI *') ? / 400 / : / 200 /;
      for (let at = 0; at <= line.length; at++) {
        const client = new RawClient(t, rig.port);
        await sendPieces(client, [line.slice(0, at), line.slice(at) + rest]);
        assert.match(await client.until(/\n$/), wanted);
      }
    });
  }

  it('is no request where it is not asked for', async (t) => {
    const rig = await startRig(t, { instances: { p1: echoing } });
    const client = new RawClient(t, rig.port);
    client.send(preface);
    assert.match(await client.end(), /^HTTP\/1\.1 (400|505) /);
  });

  it('does not wait for ever for the first byte, nor for the last one of a preface', async (t) => {
    const timeouts = { sweepIntervalMs: 5, headMs: 20, idleMs: 20 };
    const rig = await start(t, unexpected, { timeouts });
    const silent = new RawClient(t, rig.port);
    assert.equal(await silent.end(), '');
    assert.equal(rig.counters.get('http_timeouts', 'idle'), 1);
    const slow = new RawClient(t, rig.port);
    slow.send(preface.slice(0, 10));
    assert.equal(await slow.end(), '');
    assert.equal(rig.counters.get('http_timeouts', 'head'), 1);
  });

  it('may be given up before it has begun, from either side', async (t) => {
    const rig = await start(t, unexpected);
    const gone = new RawClient(t, rig.port);
    gone.send(preface.slice(0, 10));
    await until(() => rig.listener.bufferedBytes === 10);
    gone.socket.end();
    assert.equal(await gone.end(), '');
    const waiting = new RawClient(t, rig.port);
    await until(() => rig.listener.connections === 1);
    await rig.listener.stop(60_000);
    assert.equal(await waiting.end(), '');
  });

  it('passes on what its listener tells', async (t) => {
    const told: string[] = [];
    const rig = await start(
      t,
      (socket) => {
        socket.resume();
        const tell =
          (what: keyof HttpClient): (() => void) =>
          () =>
            void told.push(what);
        const [sweep, drain, closed] = [tell('sweep'), tell('drain'), tell('closed')];
        const stop = (): void => {
          told.push('stop');
          socket.destroy();
        };
        return silentClient(socket, { bufferedBytes: 7, sweep, drain, stop, closed });
      },
      { timeouts: { sweepIntervalMs: 5 } },
    );
    const client = new RawClient(t, rig.port);
    client.send(preface);
    await until(() => rig.listener.bufferedBytes === 7);
    await until(() => told.includes('sweep'));
    rig.listener.drain();
    await rig.listener.stop(60_000);
    assert.equal(await client.end(), '');
    assert.deepEqual(
      told.filter((what) => what !== 'sweep'),
      ['drain', 'stop', 'closed'],
    );
  });

  it('loses one connection to a defect of ours, not the peer', async (t) => {
    const rig = await start(t, () => {
      throw new Error('secret inside');
    });
    const client = new RawClient(t, rig.port);
    client.send(preface);
    assert.equal(await client.end(), '');
    assert.equal(rig.counters.get('http_defects', 'connection'), 1);
    const next = new RawClient(t, rig.port);
    next.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.match(await next.until(/\n$/), / 200 /);
  });

  it('keeps up when the sweep of one connection meets a defect', async (t) => {
    const closed = Promise.withResolvers<undefined>();
    const rig = await start(
      t,
      (socket) => {
        socket.resume();
        const sweep = (): void => {
          throw new Error('secret inside');
        };
        const defect = (): void => {
          socket.destroy();
          closed.resolve(undefined);
        };
        return silentClient(socket, { sweep, defect });
      },
      { timeouts: { sweepIntervalMs: 5 } },
    );
    const client = new RawClient(t, rig.port);
    client.send(preface);
    await closed.promise;
    await client.end();
    assert.ok(rig.counters.get('http_defects', 'connection') > 0);
  });
});
