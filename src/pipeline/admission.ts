import { admissionLimits } from '../config/defaults.ts';
import { HeaderId, type Refusal, type SipMessage } from '../sip/index.ts';
import type { Arrival } from './arrival.ts';
import type { Counter, Counters } from './counters.ts';
import { SourceBuckets } from './source-buckets.ts';

export interface AdmissionOptions {
  readonly protection: {
    /** Of one source; 0: no limit. */
    readonly requestsPerSecond: number;
    readonly burst: number;
    /** Addresses and networks that no limit binds. */
    readonly allow: readonly string[];
    /** Begins of User-Agent whose requests are dropped; case is ignored. */
    readonly droppedUserAgents: readonly string[];
  };
  readonly overload: { readonly retryAfterSeconds: number };
  readonly isOverloaded: () => boolean;
  readonly counters: Counters;
}

const CR = 0x0d;
const LF = 0x0a;
const responseStart = Buffer.from('sip/2.0 ');

/** What a peer takes in: nothing from sources that send too much, nothing new while overloaded. */
export class Admission {
  readonly #buckets: SourceBuckets | undefined;
  readonly #droppedUserAgents: readonly string[];
  readonly #userAgentLengthMax: number;
  readonly #isOverloaded: () => boolean;
  readonly #overloaded: Refusal;
  readonly #overRate: Counter;
  readonly #scanners: Counter;

  constructor(options: AdmissionOptions) {
    const { protection, overload, counters } = options;
    if (protection.requestsPerSecond > 0) this.#buckets = new SourceBuckets(protection);
    this.#droppedUserAgents = protection.droppedUserAgents.map((begin) => begin.toLowerCase());
    this.#userAgentLengthMax = Math.max(0, ...this.#droppedUserAgents.map(({ length }) => length));
    this.#isOverloaded = options.isOverloaded;
    this.#overloaded = {
      status: 503,
      reason: 'Service Unavailable',
      cause: 'overload',
      headers: [['Retry-After', String(overload.retryAfterSeconds)]],
    };
    this.#overRate = counters.counter('sip_drops', 'source-rate');
    this.#scanners = counters.counter('sip_drops', 'user-agent');
  }

  /**
   * Asked before a message is parsed. False: its source has sent too many requests, and the message
   * is to be dropped without an answer. Responses and what applications send always pass.
   *
   * @param nowMs milliseconds that never run backwards
   */
  admits(bytes: Buffer, arrival: Arrival, nowMs: number): boolean {
    if (this.#buckets === undefined || arrival.listener.type === 'internal') return true;
    if (isResponse(bytes) || this.#buckets.take(arrival.address, nowMs)) return true;
    this.#overRate.value++;
    return false;
  }

  /** Asked when a message is parsed. True: a scanner sent it, and it is to be dropped without an answer. */
  dropsUserAgent(message: SipMessage): boolean {
    if (this.#userAgentLengthMax === 0 || !message.isRequest) return false;
    const line = message.line(HeaderId.userAgent);
    if (line < 0) return false;
    const start = message.valueStart(line);
    const end = Math.min(message.valueEnd(line), start + this.#userAgentLengthMax);
    const userAgent = message.text.slice(start, end).toLowerCase();
    if (!this.#droppedUserAgents.some((begin) => userAgent.startsWith(begin))) return false;
    this.#scanners.value++;
    return true;
  }

  /**
   * Asked before a dialog or another new thing is begun; what goes on is never asked about. The
   * refusal's cause is what it is counted under.
   */
  refusesNew(): Refusal | undefined {
    return this.#isOverloaded() ? this.#overloaded : undefined;
  }
}

/**
 * Whether bytes begin as a response does (RFC 3261 section 7.2), after line breaks (section 7.5).
 * Nothing that begins so is ever parsed as a request.
 */
function isResponse(bytes: Buffer): boolean {
  let start = 0;
  while (start < admissionLimits.lineBreaksSkippedMax && isLineBreak(bytes[start])) start++;
  for (let at = 0; at < responseStart.length; at++) {
    if (lowerCase(bytes[start + at] ?? 0) !== responseStart[at]) return false;
  }
  return true;
}

function lowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}

function isLineBreak(byte: number | undefined): boolean {
  return byte === CR || byte === LF;
}
