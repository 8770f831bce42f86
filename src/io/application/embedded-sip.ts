import { applicationLimits } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import {
  canonicalName,
  isToken,
  parseSipMessage,
  parseUri,
  ServerTransactions,
  type ResponseParts,
  type ServerTransaction,
  type SipMessage,
  type TransactionEffect,
} from '../../sip/index.ts';
import type { ApplicationOutlet } from './application.ts';
import type {
  ApplicationContext,
  EmbeddedApplication,
  EmbeddedSipRequest,
  EmbeddedSipResponse,
} from './module.ts';

/** What the peer writes itself, so that a module cannot contradict the request. */
const ownHeaders: ReadonlySet<string> = new Set([
  'via',
  'from',
  'to',
  'call-id',
  'cseq',
  'record-route',
  'content-length',
]);

export interface EmbeddedSipOptions {
  readonly application: EmbeddedApplication;
  readonly outlet: ApplicationOutlet;
  readonly counters: Counters;
  readonly log: ApplicationContext['log'];
  readonly now: () => number;
  /** Calls back once at `atMs` of the clock; returns how to cancel that. */
  readonly schedule: (atMs: number, callback: () => void) => () => void;
  readonly newTag: () => string;
}

/** Runs a module's SIP handler behind server transactions. */
export class EmbeddedSip {
  readonly #options: EmbeddedSipOptions;
  readonly #transactions: ServerTransactions;
  /** Requests without final answer, so bounded by the transactions. */
  readonly #unanswered = new Map<ServerTransaction, SipExchange>();
  #wakeAt = Infinity;
  #cancelWake: (() => void) | undefined;
  #isStopped = false;

  constructor(options: EmbeddedSipOptions) {
    this.#options = options;
    const { newTag, application } = options;
    const headers = application.sipHeaders ?? [];
    for (const [name, value] of headers) {
      checkHeader(name, value);
    }
    this.#transactions = new ServerTransactions({ newTag, headers });
  }

  /** Takes one request; bytes that are none are counted and dropped. */
  deliver(bytes: Buffer): void {
    const parsed = parseSipMessage(bytes);
    if (!parsed.ok || !parsed.message.isRequest) {
      this.#count(parsed.ok ? 'not-a-request' : parsed.fault);
      return;
    }
    const { message } = parsed;
    this.#run(this.#transactions.handle({ kind: 'request', message }, this.#options.now()));
  }

  /** Ends all timers; later answers of the module are ignored. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelWake?.();
    for (const exchange of this.#unanswered.values()) {
      exchange.abandon();
    }
    this.#unanswered.clear();
  }

  #run(effects: readonly TransactionEffect[]): void {
    for (const effect of effects) {
      this.#perform(effect);
    }
  }

  #perform(effect: TransactionEffect): void {
    switch (effect.kind) {
      case 'send':
        this.#options.outlet.sipResponse(effect.bytes);
        break;
      case 'deliver':
        this.#deliver(effect.message, effect.transaction);
        break;
      case 'cancelled':
        this.#cancel(effect.transaction);
        break;
      case 'expired':
        this.#expire(effect.transaction);
        break;
      case 'terminated':
        this.#unanswered.delete(effect.transaction);
        if (!effect.isAcknowledged) {
          this.#count('ack-missing');
        }
        break;
      case 'wake':
        this.#wakeNoLaterThan(effect.at);
        break;
      case 'withheld':
        this.#count(effect.reason);
        break;
    }
  }

  #deliver(message: SipMessage, transaction: ServerTransaction | undefined): void {
    const exchange = new SipExchange(message, (response) => {
      this.#respond(transaction, response);
    });
    if (transaction !== undefined) {
      this.#unanswered.set(transaction, exchange);
    }
    const { application } = this.#options;
    if (application.sip === undefined) {
      this.#answerForModule(exchange, { status: 405, headers: [['Allow', '']] });
      return;
    }
    this.#guard(exchange, () => application.sip?.(exchange));
  }

  /** Calls the module; what it throws, or an asynchronous handler rejects with, becomes a 500. */
  #guard(exchange: SipExchange, call: () => unknown): void {
    try {
      const result = call();
      if (result instanceof Promise) {
        result.catch((error: unknown) => {
          this.#fail(exchange, error);
        });
      }
    } catch (error) {
      this.#fail(exchange, error);
    }
  }

  #fail(exchange: SipExchange, error: unknown): void {
    this.#count('handler-error');
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#options.log('error', `the application failed on ${exchange.method}: ${text}`);
    this.#answerForModule(exchange, { status: 500 });
  }

  /** Answers in the module's place, if it has not; what it says later is ignored. */
  #answerForModule(exchange: SipExchange, response: ResponseParts): void {
    if (!exchange.isOpen) {
      return;
    }
    const headers = [...(this.#options.application.sipHeaders ?? []), ...(response.headers ?? [])];
    exchange.respond({ ...response, headers });
    exchange.abandon();
  }

  #respond(transaction: ServerTransaction | undefined, response: ResponseParts): void {
    if (transaction === undefined || this.#isStopped) {
      return;
    }
    const now = this.#options.now();
    const effects = this.#transactions.handle({ kind: 'respond', transaction, response }, now);
    if (response.status >= 200) {
      this.#unanswered.delete(transaction);
    }
    this.#run(effects);
  }

  #cancel(transaction: ServerTransaction): void {
    const exchange = this.#unanswered.get(transaction);
    if (exchange === undefined) {
      return;
    }
    if (!exchange.hasCancelListener) {
      this.#answerForModule(exchange, { status: 487 });
    }
    this.#guard(exchange, () => {
      exchange.cancel();
    });
  }

  #expire(transaction: ServerTransaction): void {
    const exchange = this.#unanswered.get(transaction);
    this.#unanswered.delete(transaction);
    this.#count('answer-missing');
    exchange?.abandon();
    this.#options.log('warn', `the application never answered ${exchange?.method ?? 'a request'}`);
  }

  #wakeNoLaterThan(at: number): void {
    if (at >= this.#wakeAt || this.#isStopped) {
      return;
    }
    this.#cancelWake?.();
    this.#wakeAt = at;
    this.#cancelWake = this.#options.schedule(at, () => {
      this.#wakeAt = Infinity;
      this.#cancelWake = undefined;
      this.#run(this.#transactions.handle({ kind: 'wake' }, this.#options.now()));
    });
  }

  #count(reason: string): void {
    this.#options.counters.count('application_sip', reason);
  }
}

/** One request and its answers, as the module sees them. */
class SipExchange implements EmbeddedSipRequest {
  readonly #message: SipMessage;
  readonly #send: (response: ResponseParts) => void;
  #cancelListeners: (() => void)[] = [];
  #state: 'open' | 'answered' | 'abandoned' = 'open';
  #isCancelled = false;

  constructor(message: SipMessage, send: (response: ResponseParts) => void) {
    this.#message = message;
    this.#send = send;
  }

  get method(): string {
    return this.#message.method;
  }

  get requestUri(): string {
    return this.#message.requestUri;
  }

  get user(): string {
    return parseUri(this.#message.requestUri)?.user ?? '';
  }

  get callId(): string {
    return this.#message.callId;
  }

  get fromTag(): string {
    return this.#message.fromTag ?? '';
  }

  get toTag(): string | undefined {
    return this.#message.toTag;
  }

  get body(): Uint8Array {
    return this.#message.body;
  }

  /** Whether an answer can still be given. */
  get isOpen(): boolean {
    return this.#state === 'open' && this.method !== 'ACK';
  }

  get hasCancelListener(): boolean {
    return this.#cancelListeners.length > 0;
  }

  header(name: string): string | undefined {
    return this.#message.header(name);
  }

  headers(name: string): readonly string[] {
    return this.#message.headers(name);
  }

  respond(response: EmbeddedSipResponse): void {
    if (this.method === 'ACK') {
      throw new Error('ACK takes no answer');
    }
    if (this.#state === 'answered') {
      throw new Error(`${this.method} has its final answer already`);
    }
    const parts = checkedParts(response);
    if (this.#state === 'abandoned') {
      return;
    }
    this.#send(parts);
    if (parts.status >= 200) {
      this.#state = 'answered';
      this.#cancelListeners = [];
    }
  }

  onCancel(listener: () => void): void {
    if (this.#isCancelled) {
      listener();
    } else if (this.#state === 'open') {
      this.#cancelListeners.push(listener);
    }
  }

  /** A CANCEL came. */
  cancel(): void {
    this.#isCancelled = true;
    const listeners = this.#cancelListeners;
    this.#cancelListeners = [];
    for (const listener of listeners) {
      listener();
    }
  }

  /** The peer has answered in the module's place: late answers are no mistake of the module. */
  abandon(): void {
    this.#state = 'abandoned';
  }
}

/** @throws {TypeError} or {RangeError}: what a module may not say */
function checkedParts(response: EmbeddedSipResponse): ResponseParts {
  const { status, toTag, headers } = response;
  if (!Number.isInteger(status) || status < 100 || status > 699) {
    throw new RangeError(`${status} is no SIP status`);
  }
  if (toTag !== undefined && !isToken(toTag)) {
    throw new TypeError('A tag must be a token');
  }
  for (const [name, value] of headers ?? []) {
    checkHeader(name, value);
  }
  return { ...response, body: checkedBody(response.body ?? '') };
}

function checkedBody(body: string | Uint8Array): Uint8Array {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  if (bytes.length > applicationLimits.sipBodyBytesMax) {
    throw new RangeError(`A body of ${bytes.length} bytes is too large for SIP`);
  }
  return bytes;
}

function checkHeader(name: string, value: string): void {
  if (!isToken(name)) {
    throw new TypeError('A header name must be a token');
  }
  if (ownHeaders.has(canonicalName(name))) {
    throw new TypeError(`${name} is made from the request`);
  }
  if (/[\r\n\0]/.test(value)) {
    throw new TypeError(`The value of ${name} holds a line break`);
  }
}
