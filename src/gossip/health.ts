/**
 * How far this peer may trust its own ears (Lifeguard's local health): 0 is well. What it did not hear may be
 * its own fault, so each point makes it one interval more patient with others.
 */
export class Health {
  readonly #max: number;
  #score = 0;

  /** `max` 0 switches it off. */
  constructor(max: number) {
    this.#max = max;
  }

  get score(): number {
    return this.#score;
  }

  /** Takes what speaks against this peer, or for it when negative. */
  add(points: number): void {
    this.#score = Math.min(this.#max, Math.max(0, this.#score + points));
  }

  /** A time to wait for others, stretched. */
  scale(ms: number): number {
    return ms * (this.#score + 1);
  }
}
