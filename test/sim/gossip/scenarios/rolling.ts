import type { SwimEvent } from '../../../../src/gossip/index.ts';
import type { GossipNetwork } from '../network.ts';
import type { SimulatedPeer } from '../peer.ts';
import { label, tags, warmCluster, type ProfileChoice } from './warm.ts';

export interface RollingParameters extends ProfileChoice {
  readonly size: number;
  readonly seed: number;
  /** From one restart to the next. */
  readonly gapMs: number;
  /** A restarted peer has another address, as a container has. */
  readonly movesAddress: boolean;
}

export interface RollingFigures {
  readonly seed: number;
  /** Serving members that the worst view lacked at any time. */
  readonly lackedMax: number;
  readonly suspicions: number;
  readonly isWhole: boolean;
}

const drainMs = 1_000;
const downMs = 1_000;

/** One peer after the other drains, leaves, ends and starts again under its name. */
export function runRolling(parameters: RollingParameters): RollingFigures {
  const { seed, size, gapMs, movesAddress } = parameters;
  const network = warmCluster(parameters);
  const watch = new ServingWatch(network, size);
  for (const { name } of network.running()) {
    const old = network.peers.get(name)!;
    network.input(old, { kind: 'setTags', tags: { ...tags, state: 'draining' } });
    network.run(drainMs);
    network.input(old, { kind: 'leave' });
    network.run(downMs);
    network.crash(old);
    const { address: host, port } = network.running()[0]!.endpoint;
    const seeds = [{ host, port }];
    const place = movesAddress ? {} : { endpoint: old.endpoint };
    network.add(name, { label, tags, seeds, ...place });
    network.run(gapMs - drainMs - downMs);
  }
  const { lackedMax, suspicions } = watch;
  return { seed, lackedMax, suspicions, isWhole: network.isWhole() };
}

/** Keeps for every process which members it would send new work to. */
class ServingWatch {
  lackedMax = 0;
  suspicions = 0;
  readonly #size: number;
  readonly #served = new Map<SimulatedPeer, Set<string>>();
  /** Processes that have joined: before that they serve nothing themselves. */
  readonly #joined = new Set<SimulatedPeer>();

  constructor(network: GossipNetwork, size: number) {
    this.#size = size;
    for (const peer of network.running()) {
      this.#served.set(peer, new Set(network.running().map(({ name }) => name)));
      this.#joined.add(peer);
    }
    network.watch({
      onEvent: (peer, event) => {
        this.#hear(peer, event);
      },
    });
  }

  #hear(peer: SimulatedPeer, event: SwimEvent): void {
    if (event.kind === 'suspect') this.suspicions++;
    if (event.kind === 'left' || event.kind === 'conflict') return;
    let served = this.#served.get(peer);
    if (served === undefined) this.#served.set(peer, (served = new Set([peer.name])));
    const { name, state, tags: said } = event.member;
    const serves = (state === 'alive' || state === 'suspect') && said['state'] !== 'draining';
    if (serves) served.add(name);
    else served.delete(name);
    if (served.size >= this.#size - 1) this.#joined.add(peer);
    if (!this.#joined.has(peer) || peer.name === name) return;
    this.lackedMax = Math.max(this.lackedMax, this.#size - served.size);
  }
}
