import { ringChangeLimits, transactionLimits } from '../config/defaults.ts';
import type { Member } from '../gossip/index.ts';
import { ChangeBatch, ringVersion, type RingMember } from '../ring/index.ts';
import { ringMembersOf, unsettled, viewOf, viewWithRing, type ClusterView } from './view.ts';

/**
 * Keeps this peer's view of its cluster. What becomes of an instance shows at once; the ring, which
 * takes long to make, follows in batches. What this peer says of itself, and the first instances of
 * all, wait for nothing.
 */
export class ViewKeeper {
  readonly #batch = new ChangeBatch();
  #view: ClusterView;
  #members: readonly Member[] = [];
  /** Version of the ring that the members make, once they all are on it. */
  #wanted: string;

  constructor(self: string, nowMs: number) {
    this.#view = viewOf(self, [], nowMs);
    this.#wanted = this.#view.ring.version;
  }

  get view(): ClusterView {
    return this.#view;
  }

  /** When {@link catchUp} is due; `Infinity` while the ring has followed. */
  get dueMs(): number {
    return this.#batch.dueMs;
  }

  /** @param members all that gossip knows */
  membersChanged(members: readonly Member[], nowMs: number): void {
    this.#members = members;
    const onRing = ringMembersOf(members);
    const wanted = ringVersion(onRing);
    if (wanted === this.#view.ring.version) this.#batch.clear();
    else if (wanted !== this.#wanted) this.#batch.add(this.#kindOf(onRing), nowMs);
    this.#wanted = wanted;
    if (this.#waitsFor(onRing)) return this.catchUp(nowMs);
    this.#view = viewWithRing(this.#view, members, nowMs);
    if (this.dueMs <= nowMs) this.catchUp(nowMs);
  }

  /** Lets the ring follow all that is known. */
  catchUp(nowMs: number): void {
    this.#batch.taken(nowMs);
    this.#view = viewOf(this.#view.self, this.#members, nowMs, this.#view);
  }

  /** The rules were replaced: for a transaction time-out peers may decide differently. */
  unsettle(nowMs: number): void {
    this.#view = unsettled(this.#view, nowMs);
  }

  /**
   * Another peer decided by a ring that is unknown here: news is on its way, and until it has come peers may
   * decide differently. Often the same news; it counts once a second.
   */
  otherRingSeen(nowMs: number): void {
    const leftMs = this.#view.unsettledUntilMs - nowMs;
    if (leftMs < transactionLimits.timeoutMs - ringChangeLimits.otherRingMs) this.unsettle(nowMs);
  }

  #kindOf(onRing: readonly RingMember[]): 'departure' | 'other' {
    const names = new Set(onRing.map(({ name }) => name));
    const isDeparture = this.#view.ring.members.some(({ name }) => !names.has(name));
    return isDeparture ? 'departure' : 'other';
  }

  /** Whether others already count on what is missing, or nobody serves meanwhile. */
  #waitsFor(onRing: readonly RingMember[]): boolean {
    const { self, ring } = this.#view;
    if (ring.members.length === 0 && onRing.length > 0) return true;
    return weightOf(self, onRing) !== weightOf(self, ring.members);
  }
}

function weightOf(name: string, members: readonly RingMember[]): number {
  return members.find((member) => member.name === name)?.weight ?? 0;
}
