import { GossipNetwork } from '../network.ts';
import { profileOf, tags, type ProfileChoice } from './warm.ts';

export interface StrangersParameters extends ProfileChoice {
  readonly seed: number;
  /** Peers of each cluster. */
  readonly size: number;
  /** What tells them apart, if anything. */
  readonly differ: 'nothing' | 'label' | 'key';
  readonly watchMs: number;
}

export interface StrangersFigures {
  readonly seed: number;
  /** From the moment that discovery shows one address of the other cluster; Infinity: not at all. */
  readonly mergedMs: number;
  /** Packets and streams that were dropped for their label or key. */
  readonly drops: number;
}

/** Two clusters that began apart; then the first finds one address of the second among its seeds. */
export function runStrangers(parameters: StrangersParameters): StrangersFigures {
  const { seed, size, differ, watchMs } = parameters;
  const network = new GossipNetwork({ seed, profile: profileOf(parameters), namesMax: 2 * size });
  for (const [i, cluster] of ['a', 'b'].entries()) {
    const host = `${cluster}.example`;
    const endpoints = Array.from({ length: size }, () => network.newEndpoint());
    network.names.set(
      host,
      endpoints.map(({ address }) => address),
    );
    for (const [number, endpoint] of endpoints.entries()) {
      const seeds = [{ host, port: endpoint.port }];
      const label = differ === 'label' ? cluster : 'same';
      const keys = differ === 'key' ? [new Uint8Array(32).fill(i)] : [];
      network.add(`${cluster}-${number}`, { label, keys, tags, endpoint, seeds });
    }
  }
  network.run(10_000 + network.random() * 30_000);
  const stranger = network.peers.get('b-0')!.endpoint.address;
  network.names.set('a.example', [...network.names.get('a.example')!, stranger]);
  const mergedMs = network.runUntil(() => network.isWhole(), watchMs);
  const drops = network.running().reduce((sum, peer) => sum + strangerDrops(peer.counts), 0);
  return { seed, mergedMs, drops };
}

function strangerDrops(counts: ReadonlyMap<string, number>): number {
  const reasons = ['label-wrong', 'label-missing', 'wrong-key'];
  return reasons.reduce((sum, reason) => sum + (counts.get(`gossip_drops:${reason}`) ?? 0), 0);
}
