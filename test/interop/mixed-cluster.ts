import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { GossipProcess, type GossipProcessConfig } from '../support/gossip-process.ts';
import { SerfAgent } from '../support/serf-agent.ts';

export interface MixedClusterOptions {
  readonly peers: number;
  readonly agents: number;
  /** Who is dialled by all others: the first agent or the first peer. */
  readonly seed: 'agent' | 'peer';
  readonly agentArgs?: readonly string[];
  readonly peer?: Omit<GossipProcessConfig, 'name' | 'port' | 'seeds'>;
}

/** Long enough for a full sync of serf, which brings news that got lost. */
const startMs = 60_000;

const kinds = ['agent', 'peer'] as const;

const startings = new Set<Promise<MixedCluster>>();

/** Peers of ours and serf agents in one cluster: p1, p2 … and a1, a2 … */
export class MixedCluster {
  readonly peers: readonly GossipProcess[];
  readonly agents: readonly SerfAgent[];

  private constructor(peers: readonly GossipProcess[], agents: readonly SerfAgent[]) {
    this.peers = peers;
    this.agents = agents;
  }

  /**
   * Starts all of them, waits until each sees each alive, and until all clusters that start now have
   * come so far: dozens of processes that start would make living members look dead.
   */
  static async start(t: TestContext, options: MixedClusterOptions): Promise<MixedCluster> {
    const starting = MixedCluster.#start(t, options);
    startings.add(starting);
    try {
      return await starting;
    } finally {
      startings.delete(starting);
      await Promise.allSettled(startings);
    }
  }

  static async #start(t: TestContext, options: MixedClusterOptions): Promise<MixedCluster> {
    const all = [await startOne(t, options, options.seed, 1, undefined)];
    const [seed] = all;
    // One kind after the other: a news of serf is told four times only, and may miss who joins meanwhile.
    for (const kind of options.seed === 'agent' ? kinds : kinds.toReversed()) {
      const first = kind === options.seed ? 2 : 1;
      const count = (kind === 'agent' ? options.agents : options.peers) + 1 - first;
      const numbers = Array.from({ length: count }, (_, i) => first + i);
      const started = numbers.map((number) => startOne(t, options, kind, number, seed!.seed));
      all.push(...(await Promise.all(started)));
    }
    const cluster = new MixedCluster(
      all.filter((one) => one instanceof GossipProcess),
      all.filter((one) => one instanceof SerfAgent),
    );
    for (const { name } of all) await cluster.allSee(name, 'alive', startMs);
    return cluster;
  }

  /** Waits until all others hold the member for that; `left` and `dead` are serf's `left` and `failed`. */
  async allSee(name: string, state: 'alive' | 'left' | 'dead', deadlineMs = 10_000): Promise<void> {
    const status = state === 'dead' ? 'failed' : state;
    const others = <T extends { name: string }>(all: readonly T[]): readonly T[] =>
      all.filter((one) => one.name !== name);
    await Promise.all([
      ...others(this.peers).map((peer) => peer.sees(name, state, deadlineMs)),
      ...others(this.agents).map((agent) => agent.sees(name, status, deadlineMs)),
    ]);
  }

  /** What is asked of logs is asked of what follows. */
  forgetLogs(): void {
    for (const one of [...this.agents, ...this.peers]) one.log.length = 0;
  }

  /** Nobody was ever held for failed but those named. */
  nobodyFailedBut(...names: readonly string[]): void {
    const isOther = (line: string): boolean => !names.some((name) => line.includes(name));
    for (const agent of this.agents) {
      if (names.includes(agent.name)) continue;
      assert.deepEqual(agent.said('EventMemberFailed').filter(isOther), [], agent.name);
    }
    for (const peer of this.peers) {
      if (names.includes(peer.name)) continue;
      assert.deepEqual(peer.said('a member failed').filter(isOther), [], peer.name);
    }
  }

  /** No agent had a word to say against what it was sent, and we understood all that they sent. */
  async nobodyComplains(): Promise<void> {
    for (const agent of this.agents) assert.deepEqual(agent.complaints(), [], agent.name);
    for (const peer of this.peers)
      assert.deepEqual(await peer.counts('gossip_drops'), {}, peer.name);
  }
}

function startOne(
  t: TestContext,
  { agentArgs = [], peer = {} }: MixedClusterOptions,
  kind: 'agent' | 'peer',
  number: number,
  seed: string | undefined,
): Promise<GossipProcess | SerfAgent> {
  if (kind === 'agent') {
    const join = seed === undefined ? [] : [`-join=${seed}`];
    return SerfAgent.start(t, `a${number}`, [...agentArgs, ...join]);
  }
  const seeds = seed === undefined ? [] : [seed];
  return GossipProcess.start(t, `p${number}`, { ...peer, seeds });
}
