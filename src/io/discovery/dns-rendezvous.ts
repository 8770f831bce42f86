import { Resolver } from 'node:dns/promises';
import { discoveryLimits } from '../../config/defaults.ts';
import type { DnsDiscoveryConfig } from '../../config/index.ts';
import { canonicalAddress, type Seed } from '../../gossip/index.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { DiscoveryLog } from './engine-health.ts';
import { pollSeeds } from './polling.ts';
import type { Outcome, Rendezvous, RendezvousPeer } from './rendezvous.ts';

export interface DnsRendezvousOptions {
  readonly name: DnsDiscoveryConfig;
  /** `ip:port`; empty means those of the system. */
  readonly servers: readonly string[];
  readonly self: RendezvousPeer;
  readonly pollIntervalMs: number;
  readonly counters: Counters;
  readonly log: DiscoveryLog;
  /** Times other than those of `discoveryLimits`. */
  readonly times?: Partial<DnsTimes>;
}

export type DnsTimes = Readonly<Record<'dnsTimeoutMs' | 'dnsTries' | 'dnsLookMs', number>>;

/** The name has no such records, which is an answer. */
const absent: readonly string[] = ['ENOTFOUND', 'ENODATA'];

/**
 * Peers behind one DNS name: the targets of SRV records, or all addresses with one port. Who writes
 * the records is not our business, so there is nothing to register.
 */
export class DnsRendezvous implements Rendezvous {
  readonly #options: DnsRendezvousOptions;
  readonly #times: DnsTimes;

  constructor(options: DnsRendezvousOptions) {
    this.#options = options;
    this.#times = { ...discoveryLimits, ...options.times };
  }

  register(): void {
    // Whoever keeps the zone does it.
  }

  withdraw(): Promise<void> {
    return Promise.resolve();
  }

  discover(signal: AbortSignal): AsyncIterable<readonly Seed[]> {
    const { self, pollIntervalMs, counters, log } = this.#options;
    return pollSeeds(
      {
        engine: 'dns',
        self,
        pollIntervalMs,
        counters,
        log,
        look: (stop) => this.#look(stop),
      },
      signal,
    );
  }

  async #look(signal: AbortSignal): Promise<Outcome<readonly Seed[]>> {
    const { name, servers } = this.#options;
    const { dnsTimeoutMs, dnsTries, dnsLookMs } = this.#times;
    if (signal.aborted) return { ok: false, fault: 'stopped' };
    // Made anew, so that it reads anew which servers the system has.
    const resolver = new Resolver({ timeout: dnsTimeoutMs, tries: dnsTries });
    if (servers.length > 0) resolver.setServers(servers);
    const cancel = (): void => {
      resolver.cancel();
    };
    const deadline = setTimeout(cancel, dnsLookMs);
    signal.addEventListener('abort', cancel);
    try {
      return name.type === 'srv'
        ? await this.#targets(resolver, name.name)
        : await addressSeeds(resolver, name.name, name.port ?? 0);
    } finally {
      clearTimeout(deadline);
      signal.removeEventListener('abort', cancel);
    }
  }

  async #targets(resolver: Resolver, name: string): Promise<Outcome<readonly Seed[]>> {
    const answer = await records(resolver.resolveSrv(name));
    if (!answer.ok) return answer;
    // An empty target says that the service is decidedly not there (RFC 2782).
    const usable = answer.value.filter((target) => target.name !== '' && target.port > 0);
    this.#drop('malformed', answer.value.length - usable.length);
    const targets = usable.slice(0, discoveryLimits.seedsMax);
    this.#drop('full', usable.length - targets.length);
    const seeds: Seed[] = [];
    let fault: string | undefined;
    for (let at = 0; at < targets.length; at += discoveryLimits.dnsTargetsAtOnce) {
      const some = targets.slice(at, at + discoveryLimits.dnsTargetsAtOnce);
      const found = await Promise.all(
        some.map((target) => addressSeeds(resolver, target.name, target.port)),
      );
      for (const one of found) {
        if (one.ok) seeds.push(...one.value);
        else fault ??= one.fault;
      }
    }
    return seeds.length === 0 && fault !== undefined
      ? { ok: false, fault }
      : { ok: true, value: seeds };
  }

  #drop(reason: 'malformed' | 'full', count: number): void {
    if (count > 0) this.#options.counters.count('discovery_drops', reason, count);
  }
}

/** All addresses of a name; of both families, what one has counts although the other fails. */
async function addressSeeds(
  resolver: Resolver,
  name: string,
  port: number,
): Promise<Outcome<readonly Seed[]>> {
  const answers = await Promise.all([
    records(resolver.resolve4(name)),
    records(resolver.resolve6(name)),
  ]);
  const addresses = answers.flatMap((answer) => (answer.ok ? answer.value : []));
  const failed = answers.find((answer) => !answer.ok);
  if (addresses.length === 0 && failed !== undefined) return failed;
  const seeds = addresses.flatMap((text) => {
    const host = canonicalAddress(text);
    return host === undefined ? [] : [{ host, port }];
  });
  return { ok: true, value: seeds };
}

/** The records, none where the name has none. */
async function records<Item>(answer: Promise<readonly Item[]>): Promise<Outcome<readonly Item[]>> {
  try {
    return { ok: true, value: await answer };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // Faults of DNS bear a code of the resolver and the call; all else is ours.
    if (code === undefined || !('syscall' in (error as object))) throw error;
    return absent.includes(code) ? { ok: true, value: [] } : { ok: false, fault: message };
  }
}
