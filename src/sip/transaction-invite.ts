import { sipTimers, serverTransactionLimits } from '../config/defaults.ts';

/**
 * The INVITE server transaction (RFC 3261 section 17.2.1 with RFC 6026 section 7.1), and the
 * retransmission of 2xx responses that is the UAS core's duty (RFC 3261 section 13.3.1.4).
 *
 * | state      | INVITE again            | respond 1xx | respond 2xx | respond 3xx-6xx | ACK               | due                                    |
 * |------------|-------------------------|-------------|-------------|-----------------|-------------------|----------------------------------------|
 * | proceeding | send last, if any       | send        | → accepted  | → completed     | ignore            | 200 ms: send 100; limit: expire        |
 * | completed  | send last               |             |             |                 | → confirmed       | G: send last; H: terminate             |
 * | confirmed  | ignore                  |             |             |                 | ignore            | I: terminate                           |
 * | accepted   | send last until the ACK |             | send        |                 | deliver the first | retransmit 2xx until the ACK; L: terminate |
 */
export type InviteState = 'proceeding' | 'completed' | 'confirmed' | 'accepted' | 'terminated';

/** What a transaction asks of the table that holds it. */
export type TransactionStep =
  /** Send the last response (again). */
  | 'send'
  /** Send 100 Trying: the application has not answered in time. */
  | 'send-trying'
  /** Give the ACK to the application. */
  | 'deliver-ack'
  /** The request was a copy, or came too late: nothing to do. */
  | 'absorb'
  /** The application has not given a final answer in the time allowed. */
  | 'expire'
  /** It is over; forget it. */
  | 'terminate'
  /** It is over, and the client never acknowledged. */
  | 'terminate-unacknowledged';

const transactionTimeoutMs = 64 * sipTimers.t1Ms;

/** State of one INVITE server transaction. Times are milliseconds of the caller's clock. */
export class InviteMachine {
  readonly #isReliable: boolean;
  #state: InviteState = 'proceeding';
  #isAcknowledged = false;
  #hasAnswered = false;
  #retransmitAt: number;
  #retransmitIntervalMs: number = sipTimers.t1Ms;
  #endAt: number;

  /** `isReliable` tells that requests come over a transport that loses nothing. */
  constructor(isReliable: boolean, now: number) {
    this.#isReliable = isReliable;
    this.#retransmitAt = now + serverTransactionLimits.tryingAfterMs;
    this.#endAt = now + serverTransactionLimits.inviteAnswerMsMax;
  }

  get state(): InviteState {
    return this.#state;
  }

  /** When `onDue` wants to be called next. */
  get dueAt(): number {
    return Math.min(this.#retransmitAt, this.#endAt);
  }

  /** True until the final response. */
  get isUnanswered(): boolean {
    return this.#state === 'proceeding';
  }

  /** A copy of the INVITE came. */
  onRequest(): TransactionStep {
    switch (this.#state) {
      case 'proceeding':
        return this.#hasAnswered ? 'send' : 'absorb';
      case 'completed':
        return 'send';
      case 'accepted':
        return this.#isAcknowledged ? 'absorb' : 'send';
      case 'confirmed':
      case 'terminated':
        return 'absorb';
    }
  }

  /**
   * The application answers. The caller has kept the response and sends it after this.
   * @throws {Error} after a final response: a defect of the caller
   */
  onResponse(status: number, now: number): TransactionStep {
    if (this.#state !== 'proceeding') {
      throw new Error('The INVITE has its final response already');
    }
    this.#hasAnswered = true;
    this.#retransmitAt = Infinity;
    if (status >= 200) {
      this.#endAt = now + transactionTimeoutMs;
      this.#state = status < 300 ? 'accepted' : 'completed';
      // A 2xx is retransmitted over any transport, since it is acknowledged end to end.
      if (status < 300 || !this.#isReliable) {
        this.#retransmitAt = now + this.#retransmitIntervalMs;
      }
    }
    return 'send';
  }

  /** An ACK came, by branch or (for a 2xx) by dialog. */
  onAck(now: number): TransactionStep {
    if (this.#state === 'completed') {
      this.#state = 'confirmed';
      this.#retransmitAt = Infinity;
      this.#endAt = now + (this.#isReliable ? 0 : sipTimers.t4Ms);
      return 'absorb';
    }
    if (this.#state === 'accepted' && !this.#isAcknowledged) {
      this.#isAcknowledged = true;
      this.#retransmitAt = Infinity;
      return 'deliver-ack';
    }
    return 'absorb';
  }

  /** `dueAt` has come. */
  onDue(now: number): TransactionStep {
    if (now >= this.#endAt) {
      return this.#end(now);
    }
    if (now < this.#retransmitAt) {
      return 'absorb';
    }
    if (this.#state === 'proceeding') {
      this.#retransmitAt = Infinity;
      return 'send-trying';
    }
    this.#retransmitIntervalMs = Math.min(2 * this.#retransmitIntervalMs, sipTimers.t2Ms);
    this.#retransmitAt = now + this.#retransmitIntervalMs;
    return 'send';
  }

  #end(now: number): TransactionStep {
    if (this.#state === 'proceeding') {
      // The table answers at once; should it not, the transaction still ends.
      this.#endAt = now + transactionTimeoutMs;
      this.#retransmitAt = Infinity;
      return 'expire';
    }
    const wasAcknowledged = this.#state === 'confirmed' || this.#isAcknowledged;
    this.#state = 'terminated';
    this.#retransmitAt = Infinity;
    this.#endAt = Infinity;
    return wasAcknowledged ? 'terminate' : 'terminate-unacknowledged';
  }
}
