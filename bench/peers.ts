import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { stringify } from 'yaml';
import { transactionLimits } from '../src/config/defaults.ts';
import { startProgram, subjectCore } from './processes.ts';
import type { Started } from './processes.ts';
import { answersOk, ports, until } from './ports.ts';

/** A peer's configuration file as an object; see docs/configuration.md. */
export interface PeerFile {
  readonly name: string;
  readonly adminPort: number;
  readonly settings: Readonly<Record<string, unknown>>;
}

const here = import.meta.dirname;

/** Ports of the peer with this number, all on loopback. */
function portsOf(index: number) {
  const first = ports.peers + index * 10;
  return {
    gossip: first,
    link: first + 1,
    internal: first + 2,
    admin: first + 3,
    outside: first + 4,
  };
}

function peer(name: string, index: number, sides: Readonly<Record<string, unknown>>): PeerFile {
  const own = portsOf(index);
  return {
    name,
    adminPort: own.admin,
    settings: {
      name,
      cluster: { name: 'bench' },
      gossip: {
        listen: { port: own.gossip },
        seeds: [`127.0.0.1:${portsOf(0).gossip}`, `127.0.0.1:${portsOf(1).gossip}`],
      },
      link: { listen: { port: own.link } },
      stamps: { keys: [{ id: 'bench', secret: 'a secret that only measurements use' }] },
      admin: { listen: { port: own.admin } },
      log: { level: 'warn' },
      ...sides,
    },
  };
}

/** A peer with a SIP server upstream. Number 0 listens where the load comes in. */
export function sipPeer(name: string, index: 0 | 1, callee: 0 | 1): PeerFile {
  const own = portsOf(index);
  const port = index === 0 ? ports.subjectSip : own.outside;
  return peer(name, index, {
    sip: {
      publicAddress: `127.0.0.1:${ports.subjectSip}`,
      listeners: [{ transport: 'udp', port }],
      internal: { port: own.internal },
      // Saturation is what is measured here.
      overload: { eventLoopDelayMs: 0 },
    },
    application: { kind: 'upstream', sip: { host: '127.0.0.1', port: ports.callees[callee] } },
  });
}

/** A peer with an HTTP server upstream. Number 0 listens where the load comes in. */
export function httpPeer(name: string, index: 0 | 1, origin: 0 | 1): PeerFile {
  const own = portsOf(index);
  return peer(name, index, {
    sip: { internal: { port: own.internal } },
    http: { listeners: [{ port: index === 0 ? ports.subjectHttp : own.outside }] },
    rules: { file: join(here, 'peers', 'user-rules.xml') },
    application: { kind: 'upstream', http: { host: '127.0.0.1', port: ports.origins[origin] } },
  });
}

/** Until no peer asks others about new SIP requests any more: how they run, but after a change of the ring. */
export const settleMs: number = transactionLimits.timeoutMs;

/**
 * Starts peers, all on the subject's core, and waits until each is ready and knows all others.
 *
 * @param restMs how long they are left alone then
 */
export async function startPeers(
  files: readonly PeerFile[],
  restMs = 0,
): Promise<readonly Started[]> {
  const folder = join(here, 'build', 'peers');
  mkdirSync(folder, { recursive: true });
  const program = join(here, '..', 'src', 'main.ts');
  const started = files.map((file) => {
    const path = join(folder, `${file.name}.yaml`);
    writeFileSync(path, stringify(file.settings));
    return startProgram(process.execPath, [program, 'start', '-c', path], subjectCore);
  });
  try {
    for (const [index, file] of files.entries()) {
      await until(`peer ${file.name}`, started[index]!, () =>
        knowsAll(file.adminPort, files.length),
      );
    }
    await setTimeout(restMs);
  } catch (error) {
    for (const peer of started) await peer.stop();
    throw error;
  }
  return started;
}

/** Whether a peer is ready and sees a ring of all peers. */
async function knowsAll(adminPort: number, count: number): Promise<boolean> {
  const admin = `http://127.0.0.1:${adminPort}`;
  if (!(await answersOk(`${admin}/readyz`))) return false;
  const response = await fetch(`${admin}/status`, { signal: AbortSignal.timeout(1_000) });
  const status = (await response.json()) as { ring: { members: readonly unknown[] } };
  return status.ring.members.length === count;
}
