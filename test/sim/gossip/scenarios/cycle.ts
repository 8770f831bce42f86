import type { GossipNetwork } from '../network.ts';
import type { SimulatedPeer } from '../peer.ts';
import { label, tags, warmCluster, type ProfileChoice } from './warm.ts';

export interface CycleParameters extends ProfileChoice {
  readonly size: number;
  readonly seed: number;
  /** So many crashes, leaves and joins, one after the other. */
  readonly rounds: number;
  /** The traffic at rest is measured over this time; 0: not at all. */
  readonly idleMs: number;
}

export interface CycleFigures {
  readonly seed: number;
  readonly crashMs: readonly number[];
  readonly leaveMs: readonly number[];
  readonly joinMs: readonly number[];
  /** Bytes a second and peer. */
  readonly idleBytes: number | undefined;
  readonly digest: string;
}

/** What happens every day: rest, a crash, a leave, a join; how long until everybody knows. */
export function runCycle(parameters: CycleParameters): CycleFigures {
  const { seed, size, rounds, idleMs } = parameters;
  const network = warmCluster({ ...parameters, spare: rounds });
  const figures = { crashMs: [] as number[], leaveMs: [] as number[], joinMs: [] as number[] };
  const idleBytes = idleMs === 0 ? undefined : idle(network, idleMs);
  for (let round = 0; round < rounds; round++) {
    network.run(network.random() * 2 * network.profile.probeIntervalMs);
    const victim = anyOf(network);
    network.crash(victim);
    figures.crashMs.push(network.runUntil(() => network.allSee(victim.name, 'dead'), 60_000));
    restart(network, victim);
    if (size > 2) figures.leaveMs.push(leave(network));
    const joiner = network.add(`joiner-${seed}-${round}`, {
      label,
      tags,
      seeds: [seedOf(network)],
    });
    figures.joinMs.push(network.runUntil(() => network.isWhole(), 30_000));
    // The next round begins with as many peers as this one.
    if (size > 2) continue;
    network.input(joiner, { kind: 'leave' });
    network.run(2_000);
    network.crash(joiner);
  }
  return { seed, ...figures, idleBytes, digest: network.digest.text };
}

function idle(network: GossipNetwork, ms: number): number {
  const sent = (): number => network.running().reduce((sum, peer) => sum + peer.sentBytes, 0);
  const before = sent();
  network.run(ms);
  return ((sent() - before) / network.running().length / ms) * 1_000;
}

function leave(network: GossipNetwork): number {
  const leaver = anyOf(network);
  network.input(leaver, { kind: 'leave' });
  const tookMs = network.runUntil(() => network.allSee(leaver.name, 'left'), 30_000);
  network.run(1_000);
  network.crash(leaver);
  return tookMs;
}

function restart(network: GossipNetwork, gone: SimulatedPeer): void {
  const { name, endpoint } = gone;
  network.add(name, { label, tags, endpoint, seeds: [seedOf(network)] });
  network.runUntil(() => network.isWhole(), 30_000);
  network.run(1_000);
}

function anyOf(network: GossipNetwork): SimulatedPeer {
  const running = network.running();
  return running[Math.floor(network.random() * running.length)]!;
}

function seedOf(network: GossipNetwork): { readonly host: string; readonly port: number } {
  const { address, port } = anyOf(network).endpoint;
  return { host: address, port };
}
