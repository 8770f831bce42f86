import { spawn, type ChildProcess } from 'node:child_process';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { firstLine, stop } from './cluster.ts';
import { ringOf, startPeerProcess, type PeerProcess } from './peers.ts';

const program = fileURLToPath(new URL('http-application.ts', import.meta.url));

/** An instance of the application of http-application.ts. */
export interface HttpApplication {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** The process. */
  readonly child: ChildProcess;
}

/** Starts one as a process of its own; the test's end stops it. */
export async function startHttpApplication(t: TestContext, name: string): Promise<HttpApplication> {
  const child = spawn(process.execPath, [program, name], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => stop(child));
  const line = await firstLine(child);
  if (line === undefined) throw new Error(`${name} did not start`);
  const { port } = JSON.parse(line) as { port: number };
  return { name, host: '127.0.0.1', port, child };
}

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
    const answer = await response.text();
    if (response.status >= 500) throw new Error(`${path} gave ${response.status} ${answer}`);
    const cookies = response.headers.getSetCookie().map((line) => line.split(';')[0]);
    const text = cookies.join('; ');
    if (text.includes(`BEROUTE=${peer.name}.`)) return text;
  }
}
