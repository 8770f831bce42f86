import { ringChangeLimits } from '../config/defaults.ts';

/**
 * What kind of change the ring is to follow. `departure`: a member is gone, its keys have to go
 * elsewhere; `other`: somebody came, or a weight is another.
 */
export type ChangeKind = 'departure' | 'other';

export interface ChangeBatchLimits {
  readonly quietMs: number;
  readonly waitMsMax: number;
}

/**
 * Decides when the ring is made anew. A departure acts at once, but after another change only when
 * `quietMs` have passed; the rest waits until no more of it comes, so that many joins make a handful
 * of rings.
 */
export class ChangeBatch {
  readonly #limits: ChangeBatchLimits;
  #takenAtMs = -Infinity;
  #departureDueMs = Infinity;
  /** The first and the last of the other changes that wait. */
  #firstMs = Infinity;
  #lastMs = Infinity;

  constructor(limits: ChangeBatchLimits = ringChangeLimits) {
    this.#limits = limits;
  }

  /** When the changes are to be taken together; `Infinity` while none waits. */
  get dueMs(): number {
    const { quietMs, waitMsMax } = this.#limits;
    return Math.min(this.#departureDueMs, this.#lastMs + quietMs, this.#firstMs + waitMsMax);
  }

  add(kind: ChangeKind, nowMs: number): void {
    if (kind === 'departure') {
      const dueMs = Math.max(nowMs, this.#takenAtMs + this.#limits.quietMs);
      this.#departureDueMs = Math.min(this.#departureDueMs, dueMs);
    } else {
      this.#firstMs = Math.min(this.#firstMs, nowMs);
      this.#lastMs = nowMs;
    }
  }

  /** Forgets what waits: it was taken, or undone. */
  clear(): void {
    this.#departureDueMs = Infinity;
    this.#firstMs = Infinity;
    this.#lastMs = Infinity;
  }

  /** The ring was made anew of all that is known. */
  taken(nowMs: number): void {
    this.#takenAtMs = nowMs;
    this.clear();
  }
}
