import { clusterLimits } from '../config/defaults.ts';

/** What a living member announces of its state. */
export interface AnnouncedState {
  readonly name: string;
  /** {@link announcedDigest} of its state. */
  readonly digest: string;
}

/** What is asked about a digest that a member announces. */
export interface KnownStates {
  /** Whether whoever announces it has nothing new. */
  includes(announced: string): boolean;
}

/**
 * Decides with whom to exchange states, and when: after a pause of chance, so that all peers of a large
 * cluster do not ask the one that has news at once, and then any of those who have it by then.
 */
export class CatchUp {
  readonly #state: KnownStates;
  readonly #random: () => number;
  #members: readonly AnnouncedState[] = [];
  #dueMs = Infinity;

  /** @param random 0 to 1, below 1 */
  constructor(state: KnownStates, random: () => number) {
    this.#state = state;
    this.#random = random;
  }

  /** When {@link due} shall be asked; `Infinity` while nobody is ahead. */
  get dueMs(): number {
    return this.#dueMs;
  }

  /** Whether no living member announces a state that this peer has not taken in. */
  get isCaughtUp(): boolean {
    return this.#ahead().length === 0;
  }

  /** @param members the living ones but for this peer */
  membersChanged(members: readonly AnnouncedState[], nowMs: number): void {
    this.#members = members;
    this.stateChanged(nowMs);
  }

  stateChanged(nowMs: number): void {
    if (this.isCaughtUp) {
      this.#dueMs = Infinity;
      return;
    }
    const { syncSpreadPerMemberMs, syncSpreadMaxMs } = clusterLimits;
    const spreadMs = Math.min(this.#members.length * syncSpreadPerMemberMs, syncSpreadMaxMs);
    if (this.#dueMs === Infinity) this.#dueMs = nowMs + this.#random() * spreadMs;
  }

  /** Name of the member to exchange states with now, if any. */
  due(nowMs: number): string | undefined {
    if (nowMs < this.#dueMs) return undefined;
    const ahead = this.#ahead();
    const chosen = ahead[Math.floor(this.#random() * ahead.length)];
    const retryMs = clusterLimits.syncRetryMs * (1 + this.#random());
    this.#dueMs = chosen === undefined ? Infinity : nowMs + retryMs;
    return chosen?.name;
  }

  #ahead(): readonly AnnouncedState[] {
    return this.#members.filter(({ digest }) => !this.#state.includes(digest));
  }
}
