import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { Counters } from '../../src/pipeline/counters.ts';
import { Sprayer, type SprayerAddresses } from '../../src/io/sprayer/sprayer.ts';
import { firstLine, stop } from './cluster.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** What `sailring start --json` says. */
export interface PeerProcess {
  readonly pid: number;
  readonly name: string;
  readonly sip: { readonly udp: string; readonly tcp: string };
  readonly http: string;
  readonly admin: string;
  readonly gossip: string;
  readonly link: string;
}

const anyPort = { address: '127.0.0.1', port: 0 };

/** Starts one peer as a process of its own on free ports; `config` goes over the defaults here. */
export async function startPeerProcess(
  t: TestContext,
  name: string,
  config: Readonly<Record<string, unknown>>,
): Promise<PeerProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'sailring-peer-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'peer.yaml');
  const complete = {
    name,
    gossip: { listen: anyPort },
    link: { listen: anyPort },
    stamps: { keys: [{ id: 'test', secret: 'a secret of the tests alone' }] },
    sip: {
      listeners: [
        { transport: 'udp', ...anyPort },
        { transport: 'tcp', ...anyPort },
      ],
      internal: anyPort,
    },
    http: { listeners: [anyPort] },
    admin: { listen: anyPort },
    drainTimeoutMs: 0,
    log: { level: 'warn' },
    ...config,
  };
  await writeFile(file, stringify(complete));
  const child = spawn(process.execPath, [main, 'start', '-c', file, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => stop(child));
  const line = await firstLine(child);
  if (line === undefined) throw new Error(`${name} did not start`);
  const peer = JSON.parse(line) as PeerProcess;
  children.set(peer.pid, child);
  return peer;
}

const children = new Map<number, ChildProcess>();

/** Stops a peer by SIGTERM, or kills it, and waits until it is gone. */
export async function endPeerProcess(
  { pid }: PeerProcess,
  signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM',
): Promise<void> {
  const child = children.get(pid);
  if (child === undefined) throw new Error(`${pid} is no peer of this test`);
  children.delete(pid);
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}

/** Waits until the ring of every peer has `count` members. */
export async function ringOf(admins: readonly string[], count: number): Promise<void> {
  for (;;) {
    const sizes = await Promise.all(
      admins.map(async (admin) => {
        const status = (await (await fetch(`http://${admin}/status`)).json()) as {
          ring: { members: readonly unknown[] };
        };
        return status.ring.members.length;
      }),
    );
    if (sizes.every((size) => size === count)) return;
  }
}

/** Peers that know each other, behind a per-packet sprayer. */
export async function startPeers(
  t: TestContext,
  configs: readonly Readonly<Record<string, unknown>>[],
): Promise<{ peers: PeerProcess[]; public: SprayerAddresses }> {
  const peers: PeerProcess[] = [];
  for (const [index, config] of configs.entries()) {
    const seeds = peers.slice(0, 1).map(({ gossip }) => gossip);
    peers.push(
      await startPeerProcess(t, `peer-${index + 1}`, {
        gossip: { listen: anyPort, seeds },
        ...config,
      }),
    );
  }
  await ringOf(
    peers.map(({ admin }) => admin),
    peers.length,
  );
  return { peers, public: await startSprayer(t, peers) };
}

/** A per-packet sprayer in front of these peers. */
export async function startSprayer(
  t: TestContext,
  peers: readonly Pick<PeerProcess, 'sip' | 'http'>[],
): Promise<SprayerAddresses> {
  const sprayer = new Sprayer({
    mode: 'per-packet',
    sip: anyPort,
    http: anyPort,
    peers: peers.map(({ sip, http }) => ({ sip: sip.udp, http })),
    counters: new Counters(),
  });
  t.after(() => sprayer.stop());
  return sprayer.start();
}
