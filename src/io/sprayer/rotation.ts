/** Whoever can be chosen. */
export interface Candidate {
  readonly isAlive: boolean;
}

/**
 * Chooses one after the other, passing over those that do not live. When none is known to live the
 * rotation goes on all the same: the knowledge may be older than a restart.
 */
export class Rotation<T extends Candidate> {
  readonly #all: readonly [T, ...T[]];
  #next = 0;

  constructor(all: readonly T[]) {
    const [first, ...others] = all;
    if (first === undefined) throw new Error('a rotation needs at least one candidate');
    this.#all = [first, ...others];
  }

  /** The next living one. */
  next(): T {
    return this.order()[0];
  }

  /** Everyone once, beginning with the next living one; those that do not live come last. */
  order(): [T, ...T[]] {
    const count = this.#all.length;
    const turn = this.#all.map((_, at) => this.#all[(this.#next + at) % count]!);
    const living = turn.filter((candidate) => candidate.isAlive);
    const [first = turn[0]!, ...others] = [
      ...living,
      ...turn.filter((candidate) => !candidate.isAlive),
    ];
    this.#next = (this.#all.indexOf(first) + 1) % count;
    return [first, ...others];
  }
}
