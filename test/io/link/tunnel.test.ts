import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { UpstreamHttp } from '../../../src/io/application/upstream-http.ts';
import {
  HeaderBlock,
  type RequestReceiver,
  type ResponseReceiver,
} from '../../../src/http/index.ts';
import { startRig, upstreamConfig } from '../http/http-rig.ts';
import { openEcho, startEcho, tunnelContract, type TunnelPath } from '../http/tunnel-contract.ts';
import { envelope, linked, Recorder, stopAll, TestPeer } from './test-peer.ts';

/** Two peers: the client at one, the upstream server at the other. */
async function startPeers(t: TestContext): Promise<[a: TestPeer, b: TestPeer]> {
  const peers: [TestPeer, TestPeer] = [new TestPeer('a'), new TestPeer('b')];
  await linked(...peers);
  t.after(() => stopAll(...peers));
  return peers;
}

async function startPath(
  t: TestContext,
  originPort: number,
): Promise<TunnelPath & { a: TestPeer; b: TestPeer }> {
  const [a, b] = await startPeers(t);
  const upstream = new UpstreamHttp({
    config: upstreamConfig(originPort),
    counters: b.counters,
    log: { warn: () => undefined },
  });
  t.after(() => upstream.stop());
  b.serve = (...asked) => upstream.serve(...asked);
  const rig = await startRig(t, {
    instances: {
      b: (_, request, given, response) => a.links.openHttp('b', request, given, response),
    },
  });
  const { port, counters, listener } = rig;
  return { port, counters, listener, upstream, a, b };
}

tunnelContract('through two peers', startPath);

const tunnelRequest = {
  method: 'GET',
  target: '/',
  headers: HeaderBlock.of([
    ['Host', 'a'],
    ['Upgrade', 'echo/1'],
  ]),
  framing: { kind: 'tunnel' },
} as const;

const switching = {
  status: 101,
  reason: 'Switching Protocols',
  headers: HeaderBlock.of([['Upgrade', 'echo/1']]),
  framing: { kind: 'tunnel' },
} as const;

interface Ends {
  /** What the client's side sends into and what it got. */
  readonly request: RequestReceiver;
  readonly client: Recorder;
  /** The same of the application's side. */
  readonly response: ResponseReceiver;
  readonly application: Recorder;
}

async function openTunnel(a: TestPeer, b: TestPeer): Promise<Ends> {
  const application = new Recorder();
  const client = new Recorder();
  const { promise, resolve } = Promise.withResolvers<ResponseReceiver>();
  b.serve = (request, _, response) => {
    assert.deepEqual(request, tunnelRequest);
    resolve(response);
    return application;
  };
  const request = a.links.openHttp('b', tunnelRequest, envelope, client);
  assert.ok(request !== undefined);
  const response = await promise;
  response.head(switching);
  await client.until(({ heads }) => heads.length > 0);
  assert.deepEqual(client.heads, [switching]);
  return { request, client, response, application };
}

describe('a tunnel on a link', () => {
  it('carries data both ways behind its head, whichever side ends first', async (t) => {
    const [a, b] = await startPeers(t);
    for (const first of ['client', 'application'] as const) {
      const { request, client, response, application } = await openTunnel(a, b);
      if (first === 'client') request.end([]);
      else response.end([]);
      const [ender, other] = first === 'client' ? [application, response] : [client, request];
      await ender.until(({ trailers }) => trailers !== undefined);
      other.data(Buffer.from('still '));
      other.data(Buffer.from('here'));
      other.end([]);
      const last = first === 'client' ? client : application;
      await last.until(({ trailers }) => trailers !== undefined);
      assert.equal(last.text, 'still here');
    }
    // Waits for exchanges that are still open: there is none.
    await a.links.stop(60_000);
  });

  it('is broken at both sides by either, also when one direction has ended', async (t) => {
    const [a, b] = await startPeers(t);
    for (const by of ['client', 'application'] as const) {
      const { request, client, response, application } = await openTunnel(a, b);
      const [sender, receiver] = by === 'client' ? [request, application] : [response, client];
      sender.end([]);
      await receiver.until(({ trailers }) => trailers !== undefined);
      sender.reset('broken');
      await receiver.until(({ code }) => code !== undefined);
      assert.equal(receiver.code, 'broken');
    }
    await a.links.stop(60_000);
  });

  it('breaks at the client when the link is lost', async (t) => {
    const { port, a, upstream, counters } = await startPath(t, await startEcho(t));
    const client = await openEcho(t, port);
    await a.links.stop(0);
    await client.end();
    assert.equal(client.hasError, true);
    assert.equal(counters.get('http_tunnels', 'broken'), 1);
    while (upstream.tunnels > 0) await new Promise(setImmediate);
  });
});
