/**
 * Counts what happens on the path of a message. One number per name and reason; the admin room shows
 * them as metrics. Names and reasons are literals of the code, never text that a client sent.
 */
export class Counters {
  readonly #counts = new Map<string, Map<string, number>>();

  /** Adds one under `name` (a metric without prefix, e.g. `sip_drops`) and `reason`. */
  count(name: string, reason: string, by = 1): void {
    let reasons = this.#counts.get(name);
    if (reasons === undefined) {
      reasons = new Map();
      this.#counts.set(name, reasons);
    }
    reasons.set(reason, (reasons.get(reason) ?? 0) + by);
  }

  /** The number counted so far; 0 when nothing was. */
  get(name: string, reason: string): number {
    return this.#counts.get(name)?.get(reason) ?? 0;
  }

  /** All counts, for the metrics page. */
  entries(): ReadonlyMap<string, ReadonlyMap<string, number>> {
    return this.#counts;
  }
}
