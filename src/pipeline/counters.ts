/** One number that only grows. */
export interface Counter {
  value: number;
}

/**
 * Counts what happens on the path of a message. One number per name and reason; the admin room shows
 * them as metrics. Names are literals of the code, reasons too or names of members (a bounded number of
 * them), never text that a client sent.
 */
export class Counters {
  readonly #counters = new Map<string, Map<string, Counter>>();

  /** Adds one under `name` (a metric without prefix, e.g. `sip_drops`) and `reason`. */
  count(name: string, reason: string, by = 1): void {
    this.counter(name, reason).value += by;
  }

  /** The number itself, for code that counts with every message. */
  counter(name: string, reason: string): Counter {
    let reasons = this.#counters.get(name);
    if (reasons === undefined) {
      reasons = new Map();
      this.#counters.set(name, reasons);
    }
    let counter = reasons.get(reason);
    if (counter === undefined) {
      counter = { value: 0 };
      reasons.set(reason, counter);
    }
    return counter;
  }

  /** The number counted so far; 0 when nothing was. */
  get(name: string, reason: string): number {
    return this.#counters.get(name)?.get(reason)?.value ?? 0;
  }

  /** All counts as they are now, for the metrics page. */
  entries(): ReadonlyMap<string, ReadonlyMap<string, number>> {
    const entries = new Map<string, ReadonlyMap<string, number>>();
    for (const [name, reasons] of this.#counters) {
      entries.set(name, new Map([...reasons].map(([reason, { value }]) => [reason, value])));
    }
    return entries;
  }
}
