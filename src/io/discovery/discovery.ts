import type { Seed } from '../../gossip/index.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { DiscoveryLog } from './engine-health.ts';
import { FoundSeeds } from './found-seeds.ts';
import type { Rendezvous } from './rendezvous.ts';

export interface DiscoveryOptions {
  readonly rendezvous: readonly Rendezvous[];
  /** Gets all seeds that are worth a try, at most 256, whenever an engine answered. */
  readonly onSeeds: (seeds: readonly Seed[]) => void;
  readonly counters: Counters;
  readonly log: DiscoveryLog;
}

/** Runs all rendezvous of a peer side by side; what one of them suffers does not touch the others. */
export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #found = new FoundSeeds(Math.random);
  readonly #stop = new AbortController();
  #runs: readonly Promise<void>[] = [];

  constructor(options: DiscoveryOptions) {
    this.#options = options;
  }

  /** Begins to tell of this peer and to look for others. Never fails: engines are tried for ever. */
  start(): void {
    this.#runs = this.#options.rendezvous.map((rendezvous) => {
      rendezvous.register();
      return this.#run(rendezvous);
    });
  }

  /** Looks no more and takes back what was told of this peer; takes little more than 1 s at most. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([
      ...this.#runs,
      ...this.#options.rendezvous.map((rendezvous) => rendezvous.withdraw()),
    ]);
  }

  async #run(rendezvous: Rendezvous): Promise<void> {
    const { onSeeds, counters, log } = this.#options;
    try {
      for await (const seeds of rendezvous.discover(this.#stop.signal)) {
        this.#found.take(rendezvous, seeds, performance.now());
        onSeeds(this.#found.list());
      }
    } catch (error) {
      counters.count('discovery_faults', 'defect');
      log.error({ err: error }, 'discovery by one engine ended by a defect');
    }
  }
}
