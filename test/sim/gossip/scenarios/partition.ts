import type { GossipNetwork } from '../network.ts';
import { calm, cut } from '../path.ts';
import type { SimulatedPeer } from '../peer.ts';
import { warmCluster, type ProfileChoice } from './warm.ts';

/** `ring`: everyone reaches only the two neighbours on either side. `one-way`: half hears the other not. */
export type Shape = 'halves' | 'thirds' | 'one-way' | 'ring';

export interface PartitionParameters extends ProfileChoice {
  readonly size: number;
  readonly seed: number;
  readonly shape: Shape;
  readonly splitMs: number;
}

export interface PartitionFigures {
  readonly seed: number;
  /** From the repair until every view is whole; Infinity: not within two minutes. */
  readonly healedMs: number;
  /** Views that lacked somebody when it was repaired. */
  readonly torn: number;
}

/** The network breaks in one of several ways and is repaired. */
export function runPartition(parameters: PartitionParameters): PartitionFigures {
  const { seed, shape, splitMs } = parameters;
  const network = warmCluster(parameters);
  const peers = network.running();
  breakUp(network, peers, shape);
  network.run(splitMs);
  const torn = peers.filter(({ view }) =>
    peers.some(({ name }) => network.views.holds(view, name, 'dead')),
  ).length;
  network.heal();
  return { seed, healedMs: network.runUntil(() => network.isWhole(), 120_000), torn };
}

function breakUp(network: GossipNetwork, peers: readonly SimulatedPeer[], shape: Shape): void {
  const size = peers.length;
  const at = new Map(peers.map((peer, i) => [peer, i]));
  const reaches: Readonly<Record<Shape, (from: number, to: number) => boolean>> = {
    halves: (from, to) => from < size / 2 === to < size / 2,
    thirds: (from, to) => Math.floor((3 * from) / size) === Math.floor((3 * to) / size),
    'one-way': (from, to) => from >= size / 2 || to < size / 2,
    ring: (from, to) => {
      const apart = Math.abs(from - to);
      return Math.min(apart, size - apart) <= 2;
    },
  };
  const passes = reaches[shape];
  network.path = (from, to) => (passes(at.get(from)!, at.get(to)!) ? calm : cut);
}
