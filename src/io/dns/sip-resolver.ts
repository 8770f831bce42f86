import { sipDnsLimits } from '../../config/defaults.ts';
import type { SipTransport } from '../../pipeline/arrival.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { SipDestination, SipTarget } from '../../pipeline/sip-target.ts';
import { DnsLookups } from './dns-lookups.ts';
import type { SipDnsLimits } from './dns-lookups.ts';
import type { DnsRecords, DnsType } from './dns-message.ts';
import { createDnsQuery, systemServers } from './dns-query.ts';
import type { QueryDns } from './dns-query.ts';
import { readHosts } from './hosts.ts';
import { findTargets } from './sip-targets.ts';

export interface SipResolverOptions {
  /** `ip:port` of name servers; empty: those of the system. */
  readonly servers: readonly string[];
  /** A look-up that takes longer counts as no answer; a request makes three one after another at most. */
  readonly timeoutMs: number;
  /** Counts `sip_resolutions` (found, nowhere, limit) and `sip_dns_lookups`. */
  readonly counters: Counters;
  /** Milliseconds that never run backwards. */
  readonly now: () => number;
  /** Transports that this peer can send on. */
  readonly transports: ReadonlySet<SipTransport>;
  /** Address families that this peer can send to. Default both. */
  readonly families?: readonly (4 | 6)[];
  /** Gets what `found` threw when it was called later; default: thrown on as uncaught. */
  readonly defect?: (error: unknown) => void;
  /** Names known without the DNS. Default: the machine's hosts file, as it is now. */
  readonly hosts?: ReadonlyMap<string, readonly string[]>;
  /** Asks the DNS. Default: `servers`, each of them twice. */
  readonly query?: QueryDns;
  /** Default `sipDnsLimits`. */
  readonly limits?: Partial<SipDnsLimits>;
}

interface Missing {
  readonly name: string;
  readonly type: DnsType;
}

type Answers = Map<string, readonly DnsRecords[DnsType][]>;

/**
 * Finds where requests go (RFC 3263 section 4).
 *
 * There is no memory of targets that failed: a peer that keeps no transaction state must choose the
 * same target for all messages of a transaction, so the seed alone orders them (section 4.4), and a
 * target that was down a moment ago is tried again by the next request. Who sends turns to the next
 * target of the list when one refuses.
 *
 * `localhost` and names of the hosts file are answered without the DNS (RFC 6761); the system's own
 * resolver (`getaddrinfo`) is not asked, because it tells no TTL and holds a thread while it waits.
 */
export class SipResolver {
  readonly #options: SipResolverOptions;
  readonly #limits: SipDnsLimits;
  readonly #lookups: DnsLookups;
  readonly #hosts: ReadonlyMap<string, readonly string[]>;
  #waiting = 0;

  constructor(options: SipResolverOptions) {
    const { servers, timeoutMs, counters, now, hosts, query } = options;
    this.#options = options;
    this.#limits = { ...sipDnsLimits, ...options.limits };
    this.#hosts = hosts ?? readHosts();
    this.#lookups = new DnsLookups({
      query: query ?? patientQuery(servers, timeoutMs),
      timeoutMs,
      counters,
      now,
      limits: this.#limits,
    });
  }

  /** Requests that wait for look-ups. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Calls `found` exactly once: before this returns when all is known already, else later. The list
   * is in the order to try; empty: nowhere.
   *
   * @param seed decides among equals, the same for all messages of a transaction
   */
  resolve(
    destination: SipDestination,
    seed: string,
    found: (targets: readonly SipTarget[]) => void,
  ): void {
    const { targets, missing } = this.#search(destination, seed, new Map());
    if (missing.length === 0) {
      this.#tell(targets, found);
      return;
    }
    if (this.#waiting >= this.#limits.requestsWaitingMax) {
      this.#options.counters.count('sip_resolutions', 'limit');
      found([]);
      return;
    }
    this.#waiting += 1;
    this.#searchOn(destination, seed, missing)
      .then((last) => {
        this.#waiting -= 1;
        this.#tell(last, found);
      })
      .catch((error: unknown) => {
        this.#defect(error);
      });
  }

  /** Ends all look-ups: requests that wait go nowhere, or where what they know already leads. */
  close(): void {
    this.#lookups.close();
  }

  /** What the answers of this request and those kept from others lead to, and what they leave open. */
  #search(
    destination: SipDestination,
    seed: string,
    answers: Answers,
  ): { targets: readonly SipTarget[]; missing: readonly Missing[] } {
    const missing: Missing[] = [];
    const { transports, families = [6, 4] } = this.#options;
    const targets = findTargets(destination, seed, {
      transports,
      families,
      hosts: this.#hosts,
      look: <Type extends DnsType>(name: string, type: Type) => {
        const own = answers.get(`${type} ${name}`) as readonly DnsRecords[Type][] | undefined;
        const records = own ?? this.#lookups.known(name, type);
        if (records === undefined) missing.push({ name, type });
        return records;
      },
    });
    return { targets, missing };
  }

  async #searchOn(
    destination: SipDestination,
    seed: string,
    first: readonly Missing[],
  ): Promise<readonly SipTarget[]> {
    const answers: Answers = new Map();
    for (let missing = first; ;) {
      await Promise.all(missing.map((question) => this.#ask(question, answers)));
      const next = this.#search(destination, seed, answers);
      if (next.missing.length === 0) return next.targets;
      missing = next.missing;
    }
  }

  /** Each round answers what it asks, so that rounds end: beyond the limit, a name has no records. */
  async #ask({ name, type }: Missing, answers: Answers): Promise<void> {
    const key = `${type} ${name}`;
    if (answers.has(key)) return;
    answers.set(key, []);
    if (answers.size > this.#limits.lookupsPerRequestMax) {
      this.#options.counters.count('sip_dns_lookups', 'limit');
      return;
    }
    answers.set(key, await this.#lookups.find(name, type));
  }

  #tell(targets: readonly SipTarget[], found: (targets: readonly SipTarget[]) => void): void {
    this.#options.counters.count('sip_resolutions', targets.length > 0 ? 'found' : 'nowhere');
    found(targets);
  }

  #defect(error: unknown): void {
    const { defect } = this.#options;
    if (defect !== undefined) {
      defect(error);
      return;
    }
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** A datagram may be lost: each server is asked a second time while there is time for its answer. */
function patientQuery(servers: readonly string[], timeoutMs: number): QueryDns {
  const once = systemServers(servers);
  return createDnsQuery([...once, ...once], timeoutMs / (2 * once.length + 1));
}
