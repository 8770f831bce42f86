import { discoveryLimits } from '../../config/defaults.ts';
import { endpointText, type Seed } from '../../gossip/index.ts';

interface SeenSeed {
  readonly seed: Seed;
  readonly seenAt: number;
}

/**
 * What engines listed. A seed stays for a while after its engine listed it last, because an engine that
 * comes back empty has to be told of everybody again; while an engine says nothing, all of its stay.
 */
export class FoundSeeds {
  readonly #random: () => number;
  readonly #bySource = new Map<object, ReadonlyMap<string, SeenSeed>>();

  /** @param random uniform in [0, 1) */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** Takes what a source lists at `now`, in milliseconds of a clock that never goes back. */
  take(source: object, seeds: readonly Seed[], now: number): void {
    const seen = new Map<string, SeenSeed>();
    for (const [text, known] of this.#bySource.get(source) ?? []) {
      if (now - known.seenAt <= discoveryLimits.seedRememberedMs) seen.set(text, known);
    }
    for (const seed of seeds) {
      const text = endpointText({ address: seed.host, port: seed.port });
      seen.set(text, { seed, seenAt: now });
    }
    this.#bySource.set(source, new Map(this.#newest(seen)));
  }

  /** Of all sources, those seen last first and otherwise by chance; at most 256. */
  list(): readonly Seed[] {
    const all = new Map<string, SeenSeed>();
    for (const seen of this.#bySource.values()) {
      for (const [text, candidate] of seen) {
        const known = all.get(text);
        if (known === undefined || known.seenAt < candidate.seenAt) all.set(text, candidate);
      }
    }
    return this.#newest(all).map(([, { seed }]) => seed);
  }

  #newest(seen: ReadonlyMap<string, SeenSeed>): readonly (readonly [string, SeenSeed])[] {
    return [...seen]
      .map((entry) => ({ entry, rank: this.#random() }))
      .sort((a, b) => b.entry[1].seenAt - a.entry[1].seenAt || a.rank - b.rank)
      .slice(0, discoveryLimits.seedsMax)
      .map(({ entry }) => entry);
  }
}
