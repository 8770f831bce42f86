import type { TestContext } from 'node:test';
import { ringOf, startPeerProcess, type PeerProcess } from './peers.ts';

const anyPort = { address: '127.0.0.1', port: 0 };

/**
 * Peers that serve HTTP alone, each with the application of its place in `applications`, and know each
 * other. `config` goes over the defaults of them all.
 */
export async function startHttpPeers(
  t: TestContext,
  applications: readonly Readonly<Record<string, unknown>>[],
  config: Readonly<Record<string, unknown>> = {},
): Promise<PeerProcess[]> {
  const peers: PeerProcess[] = [];
  for (const [index, http] of applications.entries())
    peers.push(await startHttpPeer(t, `peer-${index + 1}`, http, peers, config));
  await ringOf(
    peers.map(({ admin }) => admin),
    peers.length,
  );
  return peers;
}

/** One such peer; it joins those that are there. Resolves when it is ready, not when all know it. */
export function startHttpPeer(
  t: TestContext,
  name: string,
  http: Readonly<Record<string, unknown>>,
  others: readonly PeerProcess[],
  config: Readonly<Record<string, unknown>> = {},
): Promise<PeerProcess> {
  return startPeerProcess(t, name, {
    gossip: { listen: anyPort, seeds: others.slice(0, 1).map(({ gossip }) => gossip) },
    sip: { listeners: [], internal: anyPort },
    http: { listeners: [anyPort], contextRoots: [{ path: '/', kind: 'web' }] },
    application: { kind: 'upstream', http },
    ...config,
  });
}

/**
 * Cookies of a session at this peer's application: `path` must make one. Round robin chooses, and the
 * stamp says whom.
 */
export async function sessionAt(peer: PeerProcess, path: string): Promise<string> {
  for (;;) {
    const response = await fetch(`http://${peer.http}${path}`);
    await response.arrayBuffer();
    const cookies = response.headers.getSetCookie().map((line) => line.split(';')[0]);
    const text = cookies.join('; ');
    if (text.includes(`BEROUTE=${peer.name}.`)) return text;
  }
}
