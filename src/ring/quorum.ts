import { quorumLimits } from '../config/defaults.ts';

/** What gossip says of a member, as far as it matters here. */
export interface CountedMember {
  readonly name: string;
  readonly state: 'alive' | 'suspect' | 'dead' | 'left';
}

/**
 * Tells whether this peer sees less than half of its cluster as it last was whole. A suspect member is
 * out of sight: whoever suspects most of the others is cut off itself, long before it knows them dead. Only
 * members that failed within one time of each other count as lost: those who left by their own will, and
 * those who failed one by one over the day, make the cluster smaller. Once in the minority a peer stays so
 * until enough members are back, or the lost ones have been forgotten.
 *
 * Exactly half is no minority: two halves would both be one, and so would the survivor of two.
 */
export class Quorum {
  /** Members of the cluster as it last was whole: when each was lost, undefined while it is not dead. */
  readonly #lostAtMs = new Map<string, number | undefined>();
  #inSight = 0;

  /** Members that nobody suspects, this peer included. */
  get inSight(): number {
    return this.#inSight;
  }

  /** Members of the cluster as it last was whole. */
  get size(): number {
    return this.#lostAtMs.size;
  }

  get isMinority(): boolean {
    return this.#inSight * 2 < this.size;
  }

  /** @param members all that gossip knows, this peer included */
  update(members: Iterable<CountedMember>, nowMs: number): void {
    if (!this.isMinority) this.#forgetBefore(nowMs - quorumLimits.lostTogetherMs);
    const gone = new Set(this.#lostAtMs.keys());
    this.#inSight = 0;
    for (const { name, state } of members) {
      if (state === 'left') continue;
      gone.delete(name);
      if (state === 'dead') this.#lose(name, nowMs);
      else if (state === 'alive') this.#meet(name);
      else if (this.#lostAtMs.has(name)) this.#lostAtMs.set(name, undefined);
    }
    for (const name of gone) this.#lostAtMs.delete(name);
  }

  #meet(name: string): void {
    this.#lostAtMs.set(name, undefined);
    this.#inSight++;
  }

  /** Who was dead before this peer came was never missed. */
  #lose(name: string, nowMs: number): void {
    if (!this.#lostAtMs.has(name)) return;
    this.#lostAtMs.set(name, this.#lostAtMs.get(name) ?? nowMs);
  }

  #forgetBefore(timeMs: number): void {
    for (const [name, lostAtMs] of this.#lostAtMs) {
      if (lostAtMs !== undefined && lostAtMs < timeMs) this.#lostAtMs.delete(name);
    }
  }
}
