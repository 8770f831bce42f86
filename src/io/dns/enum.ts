import { enumLimits } from '../../config/defaults.ts';
import type { NumberResolver } from '../../dcr/index.ts';
import type { Counters } from '../../pipeline/counters.ts';
import { chooseSipUri } from './naptr.ts';
import type { NaptrRecord } from './naptr.ts';

/** Records of a name, none when it has none, and how long they may be kept. */
export interface NaptrAnswer {
  readonly records: readonly NaptrRecord[];
  /** Least TTL of the records, or of the denial (RFC 2308); undefined when nobody told. */
  readonly ttlSeconds: number | undefined;
}

/** Asks the DNS for NAPTR records; rejects when no server answers. Stops when `signal` aborts. */
export type QueryNaptr = (name: string, signal: AbortSignal) => Promise<NaptrAnswer>;

/** Time as the resolver needs it. */
export interface EnumClock {
  /** Milliseconds of a clock that never goes back. */
  now(): number;
  /** Calls back once; the result cancels. */
  after(delayMs: number, callback: () => void): () => void;
}

export interface EnumOptions {
  readonly query: QueryNaptr;
  readonly clock: EnumClock;
  /** Counts look-ups as `enum_lookups`: answered, none, failed, timeout, limit. */
  readonly counters: Counters;
  /** Zone of the numbers; default `e164.arpa`. */
  readonly suffix?: string;
  /** Default 500. */
  readonly timeoutMs?: number;
}

type Outcome = 'answered' | 'none' | 'failed' | 'timeout';

interface Answer {
  readonly text: string;
  readonly expiresAt: number;
}

/**
 * Finds the SIP URI of E.164 numbers by ENUM (RFC 6116). A number without an answer, for whatever
 * reason, stands for itself, so that every peer derives a key without the DNS too. Answers and their
 * absence are kept by TTL, within the limits of `enumLimits`.
 */
export class EnumResolver implements NumberResolver {
  readonly #options: EnumOptions;
  readonly #suffix: string;
  readonly #timeoutMs: number;
  readonly #answers = new Map<string, Answer>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #aborts = new Set<AbortController>();

  constructor(options: EnumOptions) {
    this.#options = options;
    this.#suffix = options.suffix ?? enumLimits.suffix;
    this.#timeoutMs = options.timeoutMs ?? enumLimits.timeoutMs;
  }

  resolve(number: string): string | undefined {
    // Only global numbers have a name in the DNS (RFC 6116 section 3.2).
    if (!number.startsWith('+') || number.length > enumLimits.digitsMax + 1) return number;
    const known = this.#answers.get(number);
    if (known !== undefined && this.#options.clock.now() < known.expiresAt) return known.text;
    if (this.#running.has(number)) return undefined;
    if (this.#running.size >= enumLimits.lookupsRunningMax) {
      this.#options.counters.count('enum_lookups', 'limit');
      return number;
    }
    this.#running.set(number, this.#lookUp(number));
    return undefined;
  }

  /** Settles, and never rejects, when {@link resolve} has an answer; at once when none is sought. */
  whenKnown(number: string): Promise<void> {
    return this.#running.get(number) ?? Promise.resolve();
  }

  /** Ends all look-ups that run; their numbers stand for themselves. */
  close(): void {
    for (const abort of this.#aborts) abort.abort();
  }

  async #lookUp(number: string): Promise<void> {
    const abort = new AbortController();
    this.#aborts.add(abort);
    const { text, outcome, seconds } = await this.#ask(number, abort);
    this.#aborts.delete(abort);
    abort.abort();
    this.#options.counters.count('enum_lookups', outcome);
    this.#keep(number, text, seconds);
    this.#running.delete(number);
  }

  async #ask(
    number: string,
    abort: AbortController,
  ): Promise<{ text: string; outcome: Outcome; seconds: number }> {
    const none = { text: number, seconds: enumLimits.negativeSeconds };
    const given = new Promise<Outcome>((resolve) => {
      abort.signal.addEventListener('abort', () => {
        resolve('failed');
      });
    });
    let cancel = (): void => undefined;
    const late = new Promise<Outcome>((resolve) => {
      cancel = this.#options.clock.after(this.#timeoutMs, () => {
        resolve('timeout');
      });
    });
    try {
      const answer = await Promise.race([
        this.#options.query(nameOf(number, this.#suffix), abort.signal),
        late,
        given,
      ]);
      if (typeof answer === 'string') return { ...none, outcome: answer };
      const text = chooseSipUri(answer.records, number);
      const seconds = answer.ttlSeconds ?? enumLimits.negativeSeconds;
      if (text === undefined) return { ...none, outcome: 'none' };
      return { text, outcome: 'answered', seconds };
    } catch {
      // The reason does not matter to the key: the number stands for itself, and it is counted.
      return { ...none, outcome: 'failed' };
    } finally {
      cancel();
    }
  }

  #keep(number: string, text: string, seconds: number): void {
    const kept = Math.min(Math.max(seconds, enumLimits.ttlSecondsMin), enumLimits.ttlSecondsMax);
    this.#answers.delete(number);
    if (this.#answers.size >= enumLimits.answersRemembered) {
      const [oldest] = this.#answers.keys();
      if (oldest !== undefined) this.#answers.delete(oldest);
    }
    const expiresAt = this.#options.clock.now() + kept * 1_000;
    this.#answers.set(number, { text, expiresAt });
  }
}

/** `+4689` in `e164.arpa` is `9.8.6.4.e164.arpa`. */
function nameOf(number: string, suffix: string): string {
  let name = suffix;
  for (const digit of number.slice(1)) name = `${digit}.${name}`;
  return name;
}
