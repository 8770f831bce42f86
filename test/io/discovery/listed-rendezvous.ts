import type { Seed } from '../../../src/gossip/index.ts';
import type { Rendezvous } from '../../../src/io/discovery/rendezvous.ts';
import { discoveryLimits } from '../../../src/config/defaults.ts';

/** The smallest rendezvous: a list that the test writes. */
export class ListedRendezvous implements Rendezvous {
  /** What was done, in this order. */
  readonly calls: string[] = [];
  #seeds: readonly Seed[] = [];
  #change: PromiseWithResolvers<unknown> = Promise.withResolvers();

  list(seeds: readonly Seed[]): void {
    this.#seeds = seeds;
    const change = this.#change;
    this.#change = Promise.withResolvers();
    change.resolve(undefined);
  }

  register(): void {
    this.calls.push('register');
  }

  withdraw(): Promise<void> {
    this.calls.push('withdraw');
    return Promise.resolve();
  }

  async *discover(signal: AbortSignal): AsyncGenerator<readonly Seed[], void, void> {
    this.calls.push('discover');
    signal.addEventListener('abort', () => {
      this.#change.resolve(undefined);
    });
    for (;;) {
      const change = this.#change.promise;
      yield this.#seeds.slice(0, discoveryLimits.seedsMax);
      await change;
      if (signal.aborted) return;
    }
  }
}
