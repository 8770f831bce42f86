import { transactionLimits } from '../config/defaults.ts';
import { hash64 } from './hash64.ts';
import type { SipMessage } from './message.ts';

/** Where a transaction went, and by which key its successor is found. */
export interface Assignment {
  readonly instance: string;
  readonly keyDigest: string;
}

/** How much is remembered and how long; {@link transactionLimits} in short. */
export interface MemoryLimits {
  readonly timeoutMs: number;
  readonly inviteTimeoutMs: number;
  readonly invitesRemembered: number;
  readonly othersRemembered: number;
}

/**
 * Name of a transaction that an INVITE, its CANCEL, its ACK and all retransmissions share, whatever
 * branch they bear: Call-ID, From tag and CSeq number. Begins with `i` for those of an INVITE.
 *
 * @param branch tells it from others of the same request that takes its way more than once
 */
export function assignmentKey(message: SipMessage, branch = ''): string {
  const { method, callId, fromTag, cseqNumber } = message;
  const isInvite = method === 'INVITE' || method === 'ACK' || method === 'CANCEL';
  return `${isInvite ? 'i' : 'n'}${hash64(`${callId}\n${fromTag ?? ''}\n${cseqNumber}${branch}`)}`;
}

/**
 * Where recent transactions went: of requests that entered here, and notes that other peers left.
 * Bounded, without a timer an entry: two generations of each class, of which the older one goes when
 * its time is over or the newer one is full.
 */
export class TransactionMemory {
  readonly #invites: TimedGenerations;
  readonly #others: TimedGenerations;

  /** @param forgotten called with the class when a full generation displaced entries before their time */
  constructor(
    limits: MemoryLimits = transactionLimits,
    forgotten: (kind: 'invite' | 'other', entries: number) => void = () => undefined,
  ) {
    const { timeoutMs, inviteTimeoutMs, invitesRemembered, othersRemembered } = limits;
    this.#invites = new TimedGenerations(inviteTimeoutMs, invitesRemembered, (entries) =>
      forgotten('invite', entries),
    );
    this.#others = new TimedGenerations(timeoutMs, othersRemembered, (entries) =>
      forgotten('other', entries),
    );
  }

  /** Entries kept now. */
  get size(): number {
    return this.#invites.size + this.#others.size;
  }

  /** What is known of a transaction; asking keeps it alive. */
  get(transaction: string, nowMs: number): Assignment | undefined {
    return this.#of(transaction).get(transaction, nowMs);
  }

  set(transaction: string, assignment: Assignment, nowMs: number): void {
    this.#of(transaction).set(transaction, assignment, nowMs);
  }

  #of(transaction: string): TimedGenerations {
    return transaction.startsWith('i') ? this.#invites : this.#others;
  }
}

/** An entry lives at least `timeoutMs` after its last use and at most twice as long. */
class TimedGenerations {
  readonly #timeoutMs: number;
  readonly #entriesMax: number;
  readonly #forgotten: (entries: number) => void;
  #recent = new Map<string, Assignment>();
  #older = new Map<string, Assignment>();
  #sinceMs = -Infinity;
  #olderSinceMs = -Infinity;

  constructor(timeoutMs: number, entriesMax: number, forgotten: (entries: number) => void) {
    this.#timeoutMs = timeoutMs;
    this.#entriesMax = entriesMax;
    this.#forgotten = forgotten;
  }

  get size(): number {
    return this.#recent.size + this.#older.size;
  }

  get(transaction: string, nowMs: number): Assignment | undefined {
    this.#turn(nowMs);
    const recent = this.#recent.get(transaction);
    if (recent !== undefined) return recent;
    const older = this.#older.get(transaction);
    if (older !== undefined) this.set(transaction, older, nowMs);
    return older;
  }

  set(transaction: string, assignment: Assignment, nowMs: number): void {
    this.#turn(nowMs);
    if (this.#recent.size >= this.#entriesMax && !this.#recent.has(transaction)) {
      if (this.#older.size > 0) this.#forgotten(this.#older.size);
      this.#rotate(nowMs);
    }
    this.#recent.set(transaction, assignment);
  }

  /** Drops what is over: the older generation ended a time-out ago at the latest. */
  #turn(nowMs: number): void {
    if (nowMs - this.#sinceMs < this.#timeoutMs) return;
    this.#rotate(nowMs);
    if (nowMs - this.#olderSinceMs >= 2 * this.#timeoutMs) this.#older.clear();
  }

  #rotate(nowMs: number): void {
    this.#older = this.#recent;
    this.#olderSinceMs = this.#sinceMs;
    this.#recent = new Map();
    this.#sinceMs = nowMs;
  }
}
