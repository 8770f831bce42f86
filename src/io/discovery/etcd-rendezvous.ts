import { z } from 'zod';
import { discoveryLimits } from '../../config/defaults.ts';
import type { EtcdDiscoveryConfig } from '../../config/index.ts';
import type { Seed } from '../../gossip/index.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { DiscoveryLog } from './engine-health.ts';
import { EtcdClient } from './etcd-client.ts';
import { fromBase64, memberPrefix, parseEntry, serializeEntry, toBase64 } from './etcd-entry.ts';
import { EtcdRegistration } from './etcd-registration.ts';
import { pollSeeds } from './polling.ts';
import type { Outcome, Rendezvous, RendezvousPeer } from './rendezvous.ts';

export interface EtcdRendezvousOptions {
  readonly etcd: EtcdDiscoveryConfig;
  /** Name of the cluster; others' entries are not looked at. */
  readonly cluster: string;
  readonly self: RendezvousPeer;
  readonly pollIntervalMs: number;
  readonly counters: Counters;
  readonly log: DiscoveryLog;
  /** Deadline of one request; by default that of `discoveryLimits`. */
  readonly requestMs?: number;
}

const listed = z.object({
  kvs: z.array(z.object({ value: z.string().default('') })).default([]),
  /** Of all keys, also those above the limit. */
  count: z.coerce.number().default(0),
});

/** Peers that find each other by entries in etcd, each under a lease of its peer. */
export class EtcdRendezvous implements Rendezvous {
  readonly #options: EtcdRendezvousOptions;
  readonly #prefix: string;
  readonly #client: EtcdClient;
  readonly #registration: EtcdRegistration;

  constructor(options: EtcdRendezvousOptions) {
    const { etcd, cluster, self, counters, log, requestMs } = options;
    this.#options = options;
    this.#prefix = memberPrefix(etcd.prefix, cluster);
    this.#client = new EtcdClient(etcd, requestMs);
    this.#registration = new EtcdRegistration({
      client: this.#client,
      key: `${this.#prefix}${self.name}`,
      value: serializeEntry(self),
      ttlMs: etcd.ttlMs,
      counters,
      log,
    });
  }

  register(): void {
    this.#registration.start();
  }

  withdraw(): Promise<void> {
    return this.#registration.stop();
  }

  async *discover(signal: AbortSignal): AsyncGenerator<readonly Seed[], void, void> {
    const { self, pollIntervalMs, counters, log } = this.#options;
    // Of two peers that start together, the one that is listed later then sees the other.
    await this.#registration.tried;
    yield* pollSeeds(
      {
        engine: 'etcd',
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
    const { counters } = this.#options;
    const range = {
      key: toBase64(this.#prefix),
      // All keys that begin with the prefix, whose last character is "/".
      range_end: toBase64(`${this.#prefix.slice(0, -1)}0`),
      limit: `${discoveryLimits.seedsMax}`,
      // The newest are the likeliest to live.
      sort_order: 'DESCEND',
      sort_target: 'MOD',
    };
    const found = await this.#client.call('/v3/kv/range', range, listed, signal);
    if (!found.ok) return found;
    const seeds = found.value.kvs.flatMap(({ value }) => parseEntry(fromBase64(value)) ?? []);
    const malformed = found.value.kvs.length - seeds.length;
    if (malformed > 0) counters.count('discovery_drops', 'malformed', malformed);
    const above = found.value.count - found.value.kvs.length;
    if (above > 0) counters.count('discovery_drops', 'full', above);
    return { ok: true, value: seeds };
  }
}
