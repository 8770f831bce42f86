/** So many events of one connection at once, and so many further ones each second. */
export class EventBudget {
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #filledMs: number;

  /** @param nowMs of any monotonic clock */
  constructor(burst: number, perSecond: number, nowMs: number) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#left = burst;
    this.#filledMs = nowMs;
  }

  /** Counts one event. @returns false: there were too many */
  take(nowMs: number): boolean {
    const earned = ((nowMs - this.#filledMs) / 1_000) * this.#perSecond;
    this.#left = Math.min(this.#burst, this.#left + earned);
    this.#filledMs = nowMs;
    if (this.#left < 1) return false;
    this.#left--;
    return true;
  }

  /** So many more events are in order, the burst being the most. */
  earn(events: number): void {
    this.#left = Math.min(this.#burst, this.#left + events);
  }
}
