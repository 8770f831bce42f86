import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { ringOf, startPeerProcess, type PeerProcess } from '../support/peers.ts';

/** A server that answers when the test says so. */
async function startHeldServer(
  t: TestContext,
): Promise<{ port: number; waiting: ServerResponse[]; until: (count: number) => Promise<void> }> {
  const waiting: ServerResponse[] = [];
  const server = createServer((_request, response) => {
    waiting.push(response);
    server.emit('asked');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const until = async (count: number): Promise<void> => {
    while (waiting.length < count) await once(server, 'asked');
  };
  return { port: (server.address() as AddressInfo).port, waiting, until };
}

/** Waits until nobody listens there any more. */
async function closed(address: string): Promise<void> {
  const port = Number(address.split(':').at(-1));
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const isRefused = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => {
        resolve(false);
      });
      socket.once('error', (error) => {
        resolve('code' in error && error.code === 'ECONNREFUSED');
      });
    });
    socket.destroy();
    if (isRefused) return;
  }
}

/** Peers with one such server each. */
async function startPeers(
  t: TestContext,
  servers: readonly { readonly port: number }[],
): Promise<PeerProcess[]> {
  const listen = { address: '127.0.0.1', port: 0 };
  const peers: PeerProcess[] = [];
  for (const { port } of servers) {
    const seeds = peers.slice(0, 1).map(({ gossip }) => gossip);
    const peer = await startPeerProcess(t, `peer-${peers.length + 1}`, {
      gossip: { listen, seeds },
      sip: { listeners: [], internal: listen },
      application: { kind: 'upstream', http: { host: '127.0.0.1', port } },
      http: { listeners: [listen], contextRoots: [{ path: '/', kind: 'web' }] },
    });
    peers.push(peer);
  }
  await ringOf(
    peers.map(({ admin }) => admin),
    peers.length,
  );
  return peers;
}

describe('a peer that stops', { timeout: 60_000 }, () => {
  for (const [role, at] of [
    ['took in', 0],
    ['serves', 1],
  ] as const)
    it(`lets the exchanges end that it ${role} when others are at the far side`, async (t) => {
      const held = await Promise.all([startHeldServer(t), startHeldServer(t)]);
      const peers = await startPeers(t, held);
      const [ingress] = peers;
      const stopped = peers[at];
      assert.ok(ingress !== undefined && stopped !== undefined);
      const answers = Array.from({ length: 4 }, () => fetch(`http://${ingress.http}/held`));
      await Promise.all(held.map(({ until }) => until(2)));
      process.kill(stopped.pid, 'SIGTERM');
      await closed(stopped.http);
      for (const { waiting } of held) for (const response of waiting) response.end('whole');
      for (const answer of await Promise.all(answers)) {
        assert.equal(answer.status, 200);
        assert.equal(await answer.text(), 'whole');
      }
    });

  it('hands to others what it has begun to read', async (t) => {
    const servers = await Promise.all([startHeldServer(t), startHeldServer(t)]);
    const [leaver, other] = await startPeers(t, servers);
    assert.ok(leaver !== undefined && other !== undefined);
    const [host, port] = leaver.http.split(':');
    const client = connect(Number(port), host);
    t.after(() => client.destroy());
    client.setEncoding('latin1').write(`GET / HTTP/1.1\r\nHost: ${leaver.http}\r\n`);
    // When this is answered the head's beginning was read.
    const before = fetch(`http://${leaver.http}/`);
    await Promise.race(servers.map(({ until }) => until(1)));
    for (const { waiting } of servers) for (const response of waiting.splice(0)) response.end();
    await before;
    process.kill(leaver.pid, 'SIGTERM');
    await closed(leaver.http);
    client.write('\r\n');
    const answered = once(client, 'data') as Promise<[string]>;
    await Promise.race([servers[1].until(1), answered]);
    for (const response of servers[1].waiting) response.end('elsewhere');
    const [answer] = await answered;
    assert.match(answer, /^HTTP\/1\.1 200 [^]*elsewhere$/);
  });
});
