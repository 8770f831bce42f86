import type { SwimEvent } from '../../../../src/gossip/index.ts';
import { ringChangeLimits } from '../../../../src/config/defaults.ts';
import { ChangeBatch } from '../../../../src/ring/change-batch.ts';
import type { Clock } from '../../clock.ts';
import type { SimulatedPeer } from '../peer.ts';
import { label, tags, warmCluster, type ProfileChoice } from './warm.ts';

export interface JoinsParameters extends ProfileChoice {
  readonly size: number;
  readonly joins: number;
  readonly withinMs: number;
  readonly seed: number;
}

export interface JoinsFigures {
  readonly seed: number;
  /** From the last start until every view is whole. */
  readonly wholeMs: number;
  /** Rings that the busiest of the old peers built. */
  readonly rebuildsMax: number;
}

/** Many peers start at nearly the same moment. */
export function runJoins(parameters: JoinsParameters): JoinsFigures {
  const { seed, joins, withinMs } = parameters;
  const network = warmCluster({ ...parameters, spare: joins });
  const old = network.running();
  const rings = new Map(old.map((peer) => [peer, new RingCount(network.clock)]));
  network.watch({
    onEvent: (peer: SimulatedPeer, event: SwimEvent) => {
      if (event.kind === 'join') rings.get(peer)?.change();
    },
  });
  const seeds = old.slice(0, 3).map(({ endpoint }) => ({
    host: endpoint.address,
    port: endpoint.port,
  }));
  for (let i = 0; i < joins; i++) {
    network.clock.after((i / joins) * withinMs, () => {
      network.add(`joiner-${i}`, { label, tags, seeds, keepsRecords: false });
    });
  }
  network.run(withinMs);
  const wholeMs = network.runUntil(() => network.isWhole(), 30_000);
  network.run(ringChangeLimits.waitMsMax);
  return { seed, wholeMs, rebuildsMax: Math.max(...[...rings.values()].map(({ built }) => built)) };
}

/** How often one peer makes its ring anew. */
class RingCount {
  built = 0;
  readonly #batch = new ChangeBatch();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  change(): void {
    this.#batch.add('other', this.#clock.nowMs);
    this.#clock.at(this.#batch.dueMs, () => {
      if (this.#batch.dueMs > this.#clock.nowMs) return;
      this.#batch.taken(this.#clock.nowMs);
      this.built++;
    });
  }
}
