import type { sipDnsLimits } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { DnsAnswer, DnsRecords, DnsType } from './dns-message.ts';
import { parseDnsName } from './dns-name.ts';
import type { QueryDns } from './dns-query.ts';

export type SipDnsLimits = Readonly<Record<keyof typeof sipDnsLimits, number>>;

export interface DnsLookupsOptions {
  readonly query: QueryDns;
  /** A look-up that takes longer counts as no answer. */
  readonly timeoutMs: number;
  /** Milliseconds that never run backwards. */
  readonly now: () => number;
  /** Counts look-ups as `sip_dns_lookups`: answered, none, failed, timeout, limit. */
  readonly counters: Counters;
  readonly limits: SipDnsLimits;
}

type Outcome = 'answered' | 'none' | 'failed' | 'timeout';

interface Kept {
  readonly records: readonly DnsRecords[DnsType][];
  readonly expiresAtMs: number;
}

/** Look-ups and what they gave, kept by TTL. Who asks for what is being looked up waits with the others. */
export class DnsLookups {
  readonly #options: DnsLookupsOptions;
  readonly #kept = new Map<string, Kept>();
  readonly #running = new Map<string, Promise<readonly DnsRecords[DnsType][]>>();
  /** Of the look-ups that run. */
  readonly #stops = new Set<AbortController>();
  #isClosed = false;

  constructor(options: DnsLookupsOptions) {
    this.#options = options;
  }

  /** Answers kept now. */
  get size(): number {
    return this.#kept.size;
  }

  /** The records of a name, none when it has none; undefined when that is not known. */
  known<Type extends DnsType>(name: string, type: Type): readonly DnsRecords[Type][] | undefined {
    const kept = this.#kept.get(keyOf(name, type));
    if (kept === undefined || this.#options.now() >= kept.expiresAtMs) return undefined;
    // The key names the type.
    return kept.records as readonly DnsRecords[Type][];
  }

  /** Looks up; gives no records when nobody answers. Never rejects. */
  async find<Type extends DnsType>(name: string, type: Type): Promise<readonly DnsRecords[Type][]> {
    const key = keyOf(name, type);
    const { limits, counters } = this.#options;
    let running = this.#running.get(key);
    if (running === undefined) {
      if (this.#running.size >= limits.lookupsRunningMax || this.#isClosed) {
        counters.count('sip_dns_lookups', 'limit');
        return [];
      }
      running = this.#lookUp(key, name, type);
      this.#running.set(key, running);
    }
    return (await running) as readonly DnsRecords[Type][];
  }

  /** Ends what runs, without records. */
  close(): void {
    this.#isClosed = true;
    for (const stop of this.#stops) stop.abort();
  }

  async #lookUp<Type extends DnsType>(
    key: string,
    name: string,
    type: Type,
  ): Promise<readonly DnsRecords[Type][]> {
    const stop = new AbortController();
    this.#stops.add(stop);
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      stop.abort();
    }, this.#options.timeoutMs);
    const { signal } = stop;
    let answer: DnsAnswer<Type> | undefined;
    try {
      answer = await abortable(this.#follow(name, type, signal), signal);
    } catch {
      // Why nobody answered does not matter to the request; it is counted below.
      answer = undefined;
    }
    clearTimeout(timer);
    this.#stops.delete(stop);
    this.#options.counters.count('sip_dns_lookups', outcomeOf(answer, isLate));
    // A stranger's name may have thousands.
    const records = answer?.records.slice(0, this.#options.limits.recordsMax) ?? [];
    this.#keep(key, answer, records);
    this.#running.delete(key);
    return records;
  }

  /** Asks on for the aliases that servers name without their records. */
  async #follow<Type extends DnsType>(
    name: string,
    type: Type,
    signal: AbortSignal,
  ): Promise<DnsAnswer<Type>> {
    let asked = name;
    let ttlSeconds = Number.POSITIVE_INFINITY;
    for (let step = 0; step <= this.#options.limits.aliasesMax; step += 1) {
      const answer = await this.#options.query(asked, type, signal);
      ttlSeconds = Math.min(ttlSeconds, answer.ttlSeconds ?? ttlSeconds);
      const alias = answer.alias === undefined ? undefined : parseDnsName(answer.alias);
      if (alias === undefined) return { ...answer, ttlSeconds: finite(ttlSeconds) };
      asked = alias;
    }
    return { records: [], ttlSeconds: finite(ttlSeconds), alias: undefined };
  }

  #keep(
    key: string,
    answer: DnsAnswer<DnsType> | undefined,
    records: readonly DnsRecords[DnsType][],
  ): void {
    const { limits, now } = this.#options;
    this.#kept.delete(key);
    if (this.#kept.size >= limits.answersRemembered) {
      const [oldest] = this.#kept.keys();
      if (oldest !== undefined) this.#kept.delete(oldest);
    }
    this.#kept.set(key, { records, expiresAtMs: now() + keepSeconds(answer, limits) * 1_000 });
  }
}

function keyOf(name: string, type: DnsType): string {
  return `${type} ${name}`;
}

function finite(seconds: number): number | undefined {
  return Number.isFinite(seconds) ? seconds : undefined;
}

function keepSeconds(answer: DnsAnswer<DnsType> | undefined, limits: SipDnsLimits): number {
  if (answer === undefined) return limits.failureSeconds;
  const isNone = answer.records.length === 0;
  const least = isNone ? limits.negativeSecondsMin : limits.ttlSecondsMin;
  const most = isNone ? limits.negativeSecondsMax : limits.ttlSecondsMax;
  return Math.min(Math.max(answer.ttlSeconds ?? 0, least), most);
}

function outcomeOf(answer: DnsAnswer<DnsType> | undefined, isLate: boolean): Outcome {
  if (answer !== undefined) return answer.records.length > 0 ? 'answered' : 'none';
  return isLate ? 'timeout' : 'failed';
}

/** Rejects when the signal aborts, whether the promise heeds it or not. */
function abortable<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const stopped = (): void => {
      reject(new Error('stopped'));
    };
    signal.addEventListener('abort', stopped, { once: true });
    promise.then(resolve, reject);
  });
}
