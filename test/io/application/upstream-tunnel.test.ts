import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { HeaderBlock, type RequestHead, type ResponseHead } from '../../../src/http/index.ts';
import { UpstreamHttp } from '../../../src/io/application/upstream-http.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import { exchange, RawClient, startRawOrigin, startRig, upstreamConfig } from '../http/http-rig.ts';
import { nothing } from '../http/listener-parts.ts';
import {
  echoAnswer,
  echoRequest,
  openEcho,
  tunnelContract,
  whenAsked,
} from '../http/tunnel-contract.ts';
import { envelope } from '../link/test-peer.ts';

tunnelContract('to an upstream server', async (t, originPort) => {
  const rig = await startRig(t, { instances: { p1: originPort } });
  return { ...rig, upstream: rig.upstreams.get('p1')! };
});

const getOnce = 'GET /plain HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';

const tunnelRequest: RequestHead = {
  method: 'GET',
  target: '/echo',
  headers: HeaderBlock.of([
    ['Host', 'a'],
    ['Upgrade', 'echo/1'],
  ]),
  framing: { kind: 'tunnel' },
};

/** Serves tunnels that echo, and `ok` to everything else but `/silent`. */
function startBoth(t: TestContext, accept: () => void = () => undefined): Promise<number> {
  return startRawOrigin(t, (socket) => {
    accept();
    const read = (bytes: Buffer): void => {
      const text = bytes.toString('latin1');
      if (/^\S+ \/silent/.test(text)) return;
      if (/^Upgrade: /m.test(text)) {
        socket.off('data', read);
        socket.write(echoAnswer);
        socket.pipe(socket);
      } else {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      }
    };
    socket.on('data', read);
  });
}

describe('the pool of an upstream server with tunnels', () => {
  it('has its connections for requests: a tunnel leaves it', async (t) => {
    const rig = await startRig(t, {
      instances: { p1: await startBoth(t) },
      upstream: { connectionsMax: 1 },
    });
    const upstream = rig.upstreams.get('p1')!;
    const tunnels = [await openEcho(t, rig.port), await openEcho(t, rig.port)];
    assert.match(await exchange(t, rig.port, getOnce), /ok$/);
    assert.deepEqual([upstream.tunnels, upstream.connections], [2, 1]);
    for (const tunnel of tunnels) {
      tunnel.send('still here');
      await tunnel.until(/still here/);
    }
  });

  it('gives its place to a request that waits', async (t) => {
    const asked = Promise.withResolvers<() => void>();
    const origin = await startRawOrigin(t, (socket) => {
      socket.once('data', (bytes: Buffer) => {
        if (/^Upgrade: /m.test(bytes.toString('latin1'))) {
          asked.resolve(() => socket.write(echoAnswer));
        } else {
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
        }
      });
    });
    const rig = await startRig(t, { instances: { p1: origin }, upstream: { connectionsMax: 1 } });
    new RawClient(t, rig.port).send(echoRequest);
    const open = await asked.promise;
    const plain = exchange(t, rig.port, getOnce);
    while (rig.upstreams.get('p1')!.waiting === 0) await new Promise(setImmediate);
    open();
    assert.match(await plain, /ok$/);
  });

  it('dials for a tunnel: a kept connection may be stale, and its request goes out once', async (t) => {
    let accepted = 0;
    const port = await startBoth(t, () => accepted++);
    const rig = await startRig(t, { instances: { p1: port } });
    assert.match(await exchange(t, rig.port, getOnce), /ok$/);
    await openEcho(t, rig.port);
    assert.equal(accepted, 2);
    assert.equal(rig.upstreams.get('p1')!.connections, 1);
  });

  it('takes a kept one when it may open no more', async (t) => {
    let accepted = 0;
    const port = await startBoth(t, () => accepted++);
    const rig = await startRig(t, { instances: { p1: port }, upstream: { connectionsMax: 1 } });
    assert.match(await exchange(t, rig.port, getOnce), /ok$/);
    await openEcho(t, rig.port);
    assert.equal(accepted, 1);
  });

  it('carries no more tunnels than allowed: 503', async (t) => {
    const rig = await startRig(t, {
      instances: { p1: await startBoth(t) },
      upstream: { tunnelsMax: 2 },
    });
    const first = await openEcho(t, rig.port);
    await openEcho(t, rig.port);
    const client = new RawClient(t, rig.port);
    client.send(`${echoRequest}${getOnce}`);
    assert.match(await client.end(), /^HTTP\/1\.1 503 [^]*\nHTTP\/1\.1 200 OK[^]*ok$/);
    assert.equal(rig.counters.get('http_upstream', 'tunnels-full'), 1);
    first.socket.end();
    await first.end();
    const upstream = rig.upstreams.get('p1')!;
    while (upstream.tunnels > 1) await new Promise(setImmediate);
    await openEcho(t, rig.port);
  });

  it('limits the time to the answer, and none behind it', async (t) => {
    const rig = await startRig(t, {
      instances: { p1: await startBoth(t) },
      upstream: { sweepIntervalMs: 5, timeouts: { responseMs: 20, bodyMs: 20, idleMs: 20 } },
    });
    const tunnel = await openEcho(t, rig.port);
    // Opened later, and over when its time is.
    const late = new RawClient(t, rig.port);
    late.send(echoRequest.replace('/echo ', '/silent '));
    assert.match(await late.until(/504 Gateway Timeout\n$/), /^HTTP\/1\.1 504 /);
    tunnel.send('still here');
    await tunnel.until(/still here/);
  });

  it('gives up what is left to write to a server that takes nothing', async (t) => {
    const origin = await startRawOrigin(t, (socket) => {
      whenAsked(socket, () => {
        socket.pause();
        socket.end(echoAnswer);
      });
    });
    const rig = await startRig(t, {
      instances: { p1: origin },
      upstream: { sweepIntervalMs: 5, timeouts: { bodyMs: 20 } },
    });
    const upstream = rig.upstreams.get('p1')!;
    const client = new RawClient(t, rig.port);
    client.socket.allowHalfOpen = true;
    client.send(echoRequest);
    await client.until(/\r\n\r\n$/);
    // More than the sockets of the system take; the rest waits at the peer.
    while (upstream.bufferedBytes === 0) {
      client.socket.write(Buffer.alloc(65_536));
      await new Promise(setImmediate);
    }
    client.socket.end();
    while (upstream.tunnels > 0) await new Promise(setImmediate);
    assert.equal(rig.counters.get('http_upstream', 'timeout-body'), 1);
  });

  it('takes what its asker sent last before it broke off, and the break', async (t) => {
    const seen = Promise.withResolvers<string>();
    const origin = await startRawOrigin(t, (socket) => {
      whenAsked(socket, () => {
        let got = '';
        socket.write(echoAnswer);
        socket.on('data', (bytes: Buffer) => (got += bytes.toString()));
        socket.on('error', (error: NodeJS.ErrnoException) => {
          seen.resolve(`${got}, ${error.code}`);
        });
        socket.on('end', () => {
          seen.resolve(`${got}, end`);
        });
      });
    });
    const counters = new Counters();
    const log = { warn: () => undefined };
    const upstream = new UpstreamHttp({ config: upstreamConfig(origin), counters, log });
    t.after(() => upstream.stop());
    const open = Promise.withResolvers<ResponseHead>();
    const response = { ...nothing, head: open.resolve };
    const tunnel = upstream.serve(tunnelRequest, envelope, response);
    await open.promise;
    tunnel.data(Buffer.from('last words'));
    tunnel.reset('cancelled');
    assert.equal(await seen.promise, 'last words, ECONNRESET');
  });

  it('cuts tunnels when it stops', async (t) => {
    const rig = await startRig(t, { instances: { p1: await startBoth(t) } });
    const tunnel = await openEcho(t, rig.port);
    await rig.upstreams.get('p1')!.stop();
    await tunnel.end();
    assert.equal(tunnel.hasError, true);
  });
});
