import { serverTransactionLimits } from '../config/defaults.ts';
import type { SipMessage } from './message.ts';
import { buildResponse, type ResponseParts } from './response.ts';
import { InviteMachine, type TransactionStep } from './transaction-invite.ts';
import { acknowledgementKey, hasMagicCookie, mergeKey, transactionKey } from './transaction-key.ts';
import { NonInviteMachine } from './transaction-non-invite.ts';
import { TransactionTimers, type Timed } from './transaction-timers.ts';
import { isAnswerable } from './validate.ts';
import type { Via } from './via.ts';

/** A handle to one server transaction; it stays valid, though useless, after the end. */
export interface ServerTransaction {
  /** False once the final response is made or the transaction has ended. */
  readonly isUnanswered: boolean;
}

export type TransactionInput =
  | {
      readonly kind: 'request';
      readonly message: SipMessage;
      /** The request came over a transport that loses nothing. Default: false. */
      readonly isReliable?: boolean;
    }
  | {
      readonly kind: 'respond';
      readonly transaction: ServerTransaction;
      /** `toTag` defaults to the transaction's own tag. */
      readonly response: ResponseParts;
    }
  | { readonly kind: 'wake' };

export type TransactionEffect =
  /** Send a response. */
  | { readonly kind: 'send'; readonly bytes: Buffer }
  /** A request that the application has not seen; an ACK comes without transaction. */
  | {
      readonly kind: 'deliver';
      readonly message: SipMessage;
      readonly transaction: ServerTransaction | undefined;
    }
  /** A CANCEL came for an INVITE without final response; the CANCEL is answered. */
  | { readonly kind: 'cancelled'; readonly transaction: ServerTransaction }
  /** The application gave no final response in time; an INVITE has been answered 408. */
  | { readonly kind: 'expired'; readonly transaction: ServerTransaction }
  /** The transaction is over. */
  | {
      readonly kind: 'terminated';
      readonly transaction: ServerTransaction;
      readonly isAcknowledged: boolean;
    }
  /** Ask again (`wake`) at this time; replaces a later one asked for before. */
  | { readonly kind: 'wake'; readonly at: number }
  /** Nothing was delivered, for this reason. */
  | { readonly kind: 'withheld'; readonly reason: WithheldReason };

export type WithheldReason =
  | 'retransmission'
  /** An ACK to a non-2xx, or a further copy of an ACK. */
  | 'ack-absorbed'
  | 'cancel-unknown'
  /** A copy that took another way, through a proxy that forked: it is answered 482. */
  | 'merged-request'
  | 'transaction-limit'
  /** Malformed, or without what matching and answering need: its ingress peer let it pass wrongly. */
  | 'unanswerable';

export interface ServerTransactionsOptions {
  /** Makes a tag: at least 32 random bits, only token characters (RFC 3261 section 19.3). */
  readonly newTag: () => string;
  /** Headers of the responses that the table makes by itself. */
  readonly headers?: ResponseParts['headers'];
  readonly transactionsMax?: number;
}

/** One transaction in the table. */
class Entry implements ServerTransaction, Timed {
  readonly key: string;
  readonly machine: InviteMachine | NonInviteMachine;
  readonly localTag: string;
  dueAt = Infinity;
  queueIndex = -1;
  /** The latest copy of the request, until it is answered. */
  request: SipMessage | undefined;
  /** The last response: what it adds to the request, and its bytes. */
  response: ResponseParts | undefined;
  bytes: Buffer | undefined;
  acknowledgementKey: string | undefined;
  mergeKey: string | undefined;
  isCancelled = false;

  constructor(
    key: string,
    machine: InviteMachine | NonInviteMachine,
    request: SipMessage,
    localTag: string,
  ) {
    this.key = key;
    this.machine = machine;
    this.request = request;
    this.localTag = localTag;
  }

  get isUnanswered(): boolean {
    return this.machine.isUnanswered;
  }
}

/**
 * All server transactions of one application: it shows each request once, keeps answers for copies
 * of it, matches CANCEL and ACK to their INVITE, and retransmits where the standard asks for it
 * (RFC 3261 sections 8.2.2.2, 9.2, 13.3.1.4, 17.2; RFC 6026).
 *
 * Synchronous and without a clock: `handle` takes the time in milliseconds and returns what is to be
 * done. It throws for misuse alone, never for what a client sends.
 */
export class ServerTransactions {
  readonly #options: ServerTransactionsOptions;
  readonly #transactionsMax: number;
  readonly #byKey = new Map<string, Entry>();
  /** INVITEs with a 2xx, by the dialog and CSeq that their ACK names. */
  readonly #byAcknowledgement = new Map<string, Entry>();
  /** Requests outside dialogs, by what their copies share on whatever way they came. */
  readonly #byMerge = new Map<string, Entry>();
  readonly #timers = new TransactionTimers<Entry>();
  #wakeAt = Infinity;

  constructor(options: ServerTransactionsOptions) {
    this.#options = options;
    this.#transactionsMax = options.transactionsMax ?? serverTransactionLimits.transactionsMax;
  }

  /** Transactions held now. */
  get size(): number {
    return this.#byKey.size;
  }

  /**
   * @throws {Error} when a transaction is answered after its final response
   * @throws {TypeError} when a response holds a line break where none may be
   */
  handle(input: TransactionInput, now: number): readonly TransactionEffect[] {
    const effects: TransactionEffect[] = [];
    switch (input.kind) {
      case 'request':
        this.#onRequest(input.message, input.isReliable ?? false, now, effects);
        break;
      case 'respond':
        this.#respond(entryOf(input.transaction), input.response, now, effects);
        break;
      case 'wake':
        this.#onWake(now, effects);
        break;
    }
    this.#askToWake(effects);
    return effects;
  }

  #onRequest(
    message: SipMessage,
    isReliable: boolean,
    now: number,
    effects: TransactionEffect[],
  ): void {
    const via = message.topVia;
    if (via === undefined || message.flaw !== undefined || !isAnswerable(message)) {
      effects.push({ kind: 'withheld', reason: 'unanswerable' });
      return;
    }
    if (message.method === 'ACK') {
      this.#onAck(message, via, now, effects);
      return;
    }
    const known = this.#byKey.get(transactionKey(message, via, message.method));
    if (known !== undefined) {
      this.#onCopy(known, message, now, effects);
      return;
    }
    if (this.#byKey.size >= this.#transactionsMax) {
      this.#refuse(message, effects);
      return;
    }
    const entry = this.#begin(message, via, isReliable, now);
    if (message.method === 'CANCEL') {
      this.#onCancel(entry, message, via, now, effects);
    } else if (this.#isMerged(entry, message)) {
      effects.push({ kind: 'withheld', reason: 'merged-request' });
      this.#respond(entry, this.#ownResponse(482), now, effects);
    } else {
      effects.push({ kind: 'deliver', message, transaction: entry });
    }
  }

  /** Whether another transaction has shown this request already; else it is the one from now on. */
  #isMerged(entry: Entry, message: SipMessage): boolean {
    const key = mergeKey(message);
    if (key === undefined) return false;
    if (this.#byMerge.has(key)) return true;
    entry.mergeKey = key;
    this.#byMerge.set(key, entry);
    return false;
  }

  #begin(message: SipMessage, via: Via, isReliable: boolean, now: number): Entry {
    const machine =
      message.method === 'INVITE'
        ? new InviteMachine(isReliable, now)
        : new NonInviteMachine(isReliable, now);
    const key = transactionKey(message, via, message.method);
    const entry = new Entry(key, machine, message, this.#options.newTag());
    this.#byKey.set(key, entry);
    this.#timers.schedule(entry, machine.dueAt);
    return entry;
  }

  /** A copy may have come through another peer, so the response follows the Via of the copy. */
  #onCopy(entry: Entry, message: SipMessage, now: number, effects: TransactionEffect[]): void {
    effects.push({ kind: 'withheld', reason: 'retransmission' });
    if (entry.response !== undefined) {
      entry.bytes = buildResponse(message, entry.response);
    }
    if (entry.request !== undefined) {
      entry.request = message;
    }
    this.#take(entry, entry.machine.onRequest(), now, effects);
  }

  /** Without memory for a transaction, the answer is made from the request alone. */
  #refuse(message: SipMessage, effects: TransactionEffect[]): void {
    effects.push({ kind: 'withheld', reason: 'transaction-limit' });
    const headers = [...(this.#options.headers ?? []), ['Retry-After', '5'] as const];
    const toTag = this.#options.newTag();
    effects.push({ kind: 'send', bytes: buildResponse(message, { status: 503, toTag, headers }) });
  }

  #onCancel(
    entry: Entry,
    message: SipMessage,
    via: Via,
    now: number,
    effects: TransactionEffect[],
  ): void {
    const invite = this.#byKey.get(transactionKey(message, via, 'INVITE'));
    if (invite === undefined) {
      effects.push({ kind: 'withheld', reason: 'cancel-unknown' });
      this.#respond(entry, this.#ownResponse(481), now, effects);
      return;
    }
    // RFC 3261 section 9.2: the To tag is that of the INVITE's responses.
    const toTag = invite.response?.toTag ?? invite.localTag;
    this.#respond(entry, { ...this.#ownResponse(200), toTag }, now, effects);
    if (invite.isUnanswered && !invite.isCancelled) {
      invite.isCancelled = true;
      effects.push({ kind: 'cancelled', transaction: invite });
    }
  }

  #onAck(message: SipMessage, via: Via, now: number, effects: TransactionEffect[]): void {
    const entry = this.#acknowledged(message, via);
    if (entry === undefined) {
      // A 2xx that another process sent, or one long forgotten: the application may know its dialog.
      effects.push({ kind: 'deliver', message, transaction: undefined });
      return;
    }
    const step = entry.machine.onAck(now);
    if (step === 'deliver-ack') {
      effects.push({ kind: 'deliver', message, transaction: undefined });
    } else {
      effects.push({ kind: 'withheld', reason: 'ack-absorbed' });
    }
    this.#timers.schedule(entry, entry.machine.dueAt);
  }

  /** The INVITE that an ACK belongs to: by branch, or by dialog when it acknowledges a 2xx. */
  #acknowledged(message: SipMessage, via: Via): Entry | undefined {
    const { toTag } = message;
    const byBranch = this.#byKey.get(transactionKey(message, via, 'INVITE'));
    if (byBranch !== undefined && (hasMagicCookie(via) || toTag === byBranch.response?.toTag)) {
      return byBranch;
    }
    return this.#byAcknowledgement.get(acknowledgementKey(message, toTag ?? ''));
  }

  #respond(entry: Entry, response: ResponseParts, now: number, effects: TransactionEffect[]): void {
    const { request } = entry;
    if (request === undefined || !entry.isUnanswered) {
      throw new Error('The request has its final response already');
    }
    // Bytes first: a response that cannot be built leaves the transaction as it was.
    const kept = { ...response, ...toTagOf(request, response, entry.localTag) };
    const bytes = buildResponse(request, kept);
    const step = entry.machine.onResponse(response.status, now);
    entry.response = kept;
    entry.bytes = bytes;
    if (response.status >= 200) {
      this.#awaitAcknowledgement(entry, request, kept);
      entry.request = undefined;
    }
    this.#take(entry, step, now, effects);
  }

  #awaitAcknowledgement(entry: Entry, request: SipMessage, response: ResponseParts): void {
    if (request.method === 'INVITE' && response.status < 300) {
      const localTag = request.toTag ?? response.toTag ?? '';
      entry.acknowledgementKey = acknowledgementKey(request, localTag);
      this.#byAcknowledgement.set(entry.acknowledgementKey, entry);
    }
  }

  #onWake(now: number, effects: TransactionEffect[]): void {
    this.#wakeAt = Infinity;
    let entry = this.#timers.takeDue(now);
    while (entry !== undefined) {
      this.#take(entry, entry.machine.onDue(now), now, effects);
      entry = this.#timers.takeDue(now);
    }
  }

  /** Does what the machine asks and puts the transaction back into the timer queue. */
  #take(entry: Entry, step: TransactionStep, now: number, effects: TransactionEffect[]): void {
    switch (step) {
      case 'send':
        effects.push({ kind: 'send', bytes: entry.bytes! });
        break;
      case 'send-trying':
        this.#respond(entry, this.#trying(entry.request!), now, effects);
        return;
      case 'expire':
        effects.push({ kind: 'expired', transaction: entry });
        this.#expire(entry, now, effects);
        return;
      case 'terminate':
      case 'terminate-unacknowledged':
        this.#forget(entry, step === 'terminate', effects);
        return;
      case 'deliver-ack':
      case 'absorb':
        break;
    }
    this.#timers.schedule(entry, entry.machine.dueAt);
  }

  #expire(entry: Entry, now: number, effects: TransactionEffect[]): void {
    if (entry.isUnanswered) {
      this.#respond(entry, this.#ownResponse(408), now, effects);
    } else {
      this.#forget(entry, true, effects);
    }
  }

  #forget(entry: Entry, isAcknowledged: boolean, effects: TransactionEffect[]): void {
    this.#timers.remove(entry);
    this.#byKey.delete(entry.key);
    const key = entry.acknowledgementKey;
    if (key !== undefined && this.#byAcknowledgement.get(key) === entry) {
      this.#byAcknowledgement.delete(key);
    }
    if (entry.mergeKey !== undefined) this.#byMerge.delete(entry.mergeKey);
    effects.push({ kind: 'terminated', transaction: entry, isAcknowledged });
  }

  #ownResponse(status: number): ResponseParts {
    const { headers } = this.#options;
    return headers === undefined ? { status } : { status, headers };
  }

  #trying(request: SipMessage): ResponseParts {
    const timestamp = request.header('Timestamp');
    // RFC 3261 section 8.2.6.1: a 100 returns the request's Timestamp.
    const copied = timestamp === undefined ? [] : [['Timestamp', timestamp] as const];
    return { status: 100, headers: [...(this.#options.headers ?? []), ...copied] };
  }

  #askToWake(effects: TransactionEffect[]): void {
    const grain = serverTransactionLimits.wakeGrainMs;
    const at = Math.ceil(this.#timers.nextDueAt / grain) * grain;
    if (at < this.#wakeAt) {
      this.#wakeAt = at;
      effects.push({ kind: 'wake', at });
    }
  }
}

function entryOf(transaction: ServerTransaction): Entry {
  if (!(transaction instanceof Entry)) {
    throw new TypeError('The transaction is not of this table');
  }
  return transaction;
}

/** A 100 makes no dialog and has no tag of its own (RFC 3261 section 8.2.6.2). */
function toTagOf(
  request: SipMessage,
  response: ResponseParts,
  localTag: string,
): { toTag?: string } {
  return response.status === 100 ? {} : { toTag: request.toTag ?? response.toTag ?? localTag };
}
