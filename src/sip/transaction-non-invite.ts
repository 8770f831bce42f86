import { sipTimers } from '../config/defaults.ts';
import type { TransactionStep } from './transaction-invite.ts';

/**
 * The non-INVITE server transaction (RFC 3261 section 17.2.2).
 *
 * | state      | request again | respond 1xx  | respond 2xx-6xx | due              |
 * |------------|---------------|--------------|-----------------|------------------|
 * | trying     | ignore        | → proceeding | → completed     | 64·T1: terminate |
 * | proceeding | send last     | send         | → completed     | 64·T1: terminate |
 * | completed  | send last     |              |                 | J: terminate     |
 *
 * A request without final answer ends silently after 64·T1: its client has given up by then, and
 * a 408 would come too late (RFC 4320 section 4.2).
 */
export type NonInviteState = 'trying' | 'proceeding' | 'completed' | 'terminated';

const transactionTimeoutMs = 64 * sipTimers.t1Ms;

/** State of one non-INVITE server transaction. Times are milliseconds of the caller's clock. */
export class NonInviteMachine {
  readonly #isReliable: boolean;
  #state: NonInviteState = 'trying';
  #endAt: number;

  /** `isReliable` tells that requests come over a transport that loses nothing. */
  constructor(isReliable: boolean, now: number) {
    this.#isReliable = isReliable;
    this.#endAt = now + transactionTimeoutMs;
  }

  get state(): NonInviteState {
    return this.#state;
  }

  /** When `onDue` wants to be called next. */
  get dueAt(): number {
    return this.#endAt;
  }

  /** True until the final response. */
  get isUnanswered(): boolean {
    return this.#state === 'trying' || this.#state === 'proceeding';
  }

  /** A copy of the request came. */
  onRequest(): TransactionStep {
    return this.#state === 'proceeding' || this.#state === 'completed' ? 'send' : 'absorb';
  }

  /**
   * The application answers. The caller has kept the response and sends it after this.
   * @throws {Error} after a final response: a defect of the caller
   */
  onResponse(status: number, now: number): TransactionStep {
    if (!this.isUnanswered) {
      throw new Error('The request has its final response already');
    }
    if (status < 200) {
      this.#state = 'proceeding';
    } else {
      this.#state = 'completed';
      this.#endAt = now + (this.#isReliable ? 0 : transactionTimeoutMs);
    }
    return 'send';
  }

  /** An ACK never belongs to such a transaction. */
  onAck(): TransactionStep {
    return 'absorb';
  }

  /** `dueAt` has come. */
  onDue(now: number): TransactionStep {
    if (now < this.#endAt) {
      return 'absorb';
    }
    const step = this.isUnanswered ? 'expire' : 'terminate';
    this.#state = 'terminated';
    this.#endAt = Infinity;
    return step;
  }
}
