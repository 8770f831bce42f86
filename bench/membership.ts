import { setTimeout as rest } from 'node:timers/promises';
import { GossipProcess } from '../test/support/gossip-process.ts';
import type { Owner } from '../test/support/fault-peers.ts';
import { PeerCrowd } from '../test/support/peer-crowd.ts';
import { cpuSeconds, machineCpuSeconds } from './cpu.ts';
import { table } from './report.ts';
import { median, type Progress } from './rounds.ts';

/** Peers among which one crashes or leaves, and peers that do nothing at all. */
const [changing, idle] = [10, 30];
/** Goals of profile `fast`. */
const goals = { crashMs: 4_500, leaveMs: 400, cpuPercent: 1 } as const;
/** After so long nobody asks others about new requests any more, and all news has been told. */
const settleMs = 40_000;

/** Processor time of idle processes, as a share of one core, in percent. */
export interface IdleShare {
  readonly name: string;
  readonly median: number;
  readonly highest: number;
  /** Cores that all other programs of the machine used meanwhile. */
  readonly foreignCores: number;
}

export interface MembershipFigures {
  /** Milliseconds until all others knew, of each crash and each leave. */
  readonly crashesMs: readonly number[];
  readonly leavesMs: readonly number[];
  readonly idle: readonly IdleShare[];
}

/**
 * Has peers crash and leave in turn, and measures what membership costs those that do nothing.
 *
 * @param rounds crashes, and leaves
 * @param seconds of each measurement of processor time
 */
export async function measureMembership(
  rounds: number,
  seconds: number,
  progress: Progress,
): Promise<MembershipFigures> {
  const changes = await during((owner) => measureChanges(owner, rounds, progress));
  const shares: IdleShare[] = [];
  for (const [name, start] of [
    ['a peer alone', (owner: Owner) => startPeers(owner, 1)],
    [`one of ${idle} peers`, (owner: Owner) => startPeers(owner, idle)],
    [`one of ${idle} agents of gossip`, (owner: Owner) => startAgents(owner, idle)],
  ] as const) {
    const share = await during(async (owner) => measureIdle(name, await start(owner), seconds));
    progress(
      `${name}: ${share.median.toFixed(2)} %, ${share.foreignCores.toFixed(2)} cores foreign`,
    );
    shares.push(share);
  }
  return { ...changes, idle: shares };
}

async function measureChanges(
  owner: Owner,
  rounds: number,
  progress: Progress,
): Promise<Pick<MembershipFigures, 'crashesMs' | 'leavesMs'>> {
  const crowd = await PeerCrowd.start(owner, changing);
  const [crashesMs, leavesMs]: number[][] = [[], []];
  for (let round = 0; round < rounds; round++) {
    const victim = crowd.peers[round % changing]!;
    const [crash] = await crowd.crash(victim);
    await victim.start();
    await crowd.whole();
    const leaver = crowd.peers[(round + changing / 2) % changing]!;
    const leave = await crowd.leave(leaver);
    await leaver.start();
    await crowd.whole();
    crashesMs!.push(crash!.at(-1)!);
    leavesMs!.push(leave.at(-1)!);
    progress(`round ${round + 1}: crash ${crash!.at(-1)!} ms, leave ${leave.at(-1)!} ms`);
  }
  return { crashesMs: crashesMs!, leavesMs: leavesMs! };
}

async function startPeers(owner: Owner, count: number): Promise<readonly number[]> {
  const { peers } = await PeerCrowd.start(owner, count);
  return peers.map(({ pid }) => pid);
}

async function startAgents(owner: Owner, count: number): Promise<readonly number[]> {
  const first = await GossipProcess.start(owner, 'agent-1', { profile: 'fast' });
  const agents = [first];
  while (agents.length < count) {
    const name = `agent-${agents.length + 1}`;
    agents.push(await GossipProcess.start(owner, name, { profile: 'fast', seeds: [first.seed] }));
  }
  for (const agent of agents)
    await agent.until(() => agent.members.length === count, `it sees all ${count}`);
  return agents.map(({ pid }) => pid);
}

async function measureIdle(
  name: string,
  pids: readonly number[],
  seconds: number,
): Promise<IdleShare> {
  await rest(settleMs);
  const before = pids.map((pid) => cpuSeconds([pid]));
  const [machineBefore, ownBefore] = [machineCpuSeconds(), cpuSeconds([process.pid])];
  await rest(seconds * 1_000);
  const used = pids.map((pid, at) => cpuSeconds([pid]) - before[at]!);
  // The processes are children of this one: all that is ours.
  const ours = cpuSeconds([process.pid]) - ownBefore;
  const foreignCores = Math.max(0, machineCpuSeconds() - machineBefore - ours) / seconds;
  const percent = used.map((cpu) => (cpu / seconds) * 100);
  return { name, median: median(percent), highest: Math.max(...percent), foreignCores };
}

/** The tables of the measurement, in Markdown. */
export function membershipReport({ crashesMs, leavesMs, idle: shares }: MembershipFigures): string {
  const rows = [
    row(`crash, known to all of ${changing}`, crashesMs, goals.crashMs),
    row(`leave, known to all of ${changing}`, leavesMs, goals.leaveMs),
  ];
  const head = ['change', 'median, ms', 'p99, ms', 'longest, ms', 'times', 'goal, p99', 'verdict'];
  const cpuHead = ['idle process', 'median, % of a core', 'highest', 'goal, median', 'verdict'];
  const cpuRows = shares.map(({ name, median: middle, highest }) => [
    name,
    middle.toFixed(2),
    highest.toFixed(2),
    `≤ ${goals.cpuPercent}`,
    verdict(middle, goals.cpuPercent),
  ]);
  return `${table(head, rows)}\n\n${table(cpuHead, cpuRows)}\n`;
}

function row(name: string, times: readonly number[], goalMs: number): string[] {
  const p99 = percentile(times, 99);
  const longest = Math.max(...times);
  const figures = [median(times), p99, longest].map((ms) => ms.toFixed(0));
  return [name, ...figures, String(times.length), `≤ ${goalMs}`, verdict(p99, goalMs)];
}

function verdict(value: number, goal: number): string {
  return value <= goal ? 'met' : 'missed';
}

/** Nearest rank: of fewer than a hundred values, the 99th percentile is the greatest. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((sorted.length * percent) / 100) - 1)] ?? NaN;
}

/** Ends whatever was started, as a test does. */
async function during<T>(measure: (owner: Owner) => Promise<T>): Promise<T> {
  const endings: (() => unknown)[] = [];
  const owner: Owner = {
    after: (ending) => {
      endings.push(ending as () => unknown);
    },
  };
  try {
    return await measure(owner);
  } finally {
    await Promise.all(endings.map((ending) => ending()));
  }
}
