/** Longest time that a timer of Node takes; what is due later is looked at again then. */
const timerMsMax = 2_147_483_647;

/** One timer for what is due at a time that changes. It keeps no process alive. */
export class Alarm {
  readonly #ring: () => void;
  readonly #now: () => number;
  #timer: NodeJS.Timeout | undefined;
  #dueMs = Infinity;

  /**
   * @param ring called when it is due, then the alarm is off
   * @param now milliseconds that never run backwards
   */
  constructor(ring: () => void, now: () => number) {
    this.#ring = ring;
    this.#now = now;
  }

  /** Replaces the time; `Infinity` turns the alarm off. */
  set(dueMs: number): void {
    if (dueMs === this.#dueMs) return;
    this.#dueMs = dueMs;
    clearTimeout(this.#timer);
    if (dueMs === Infinity) return;
    const waitMs = Math.min(Math.max(Math.ceil(dueMs - this.#now()), 0), timerMsMax);
    this.#timer = setTimeout(() => this.#look(), waitMs).unref();
  }

  #look(): void {
    const dueMs = this.#dueMs;
    this.#dueMs = Infinity;
    // Timers may be early by a fraction of a millisecond.
    if (dueMs > this.#now()) this.set(dueMs);
    else this.#ring();
  }
}
