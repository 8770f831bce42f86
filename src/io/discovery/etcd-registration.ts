import { z } from 'zod';
import { discoveryLimits } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import { EngineHealth, type DiscoveryLog } from './engine-health.ts';
import type { EtcdClient, EtcdFault, EtcdOutcome } from './etcd-client.ts';
import { toBase64 } from './etcd-entry.ts';
import { backoffMs, pause } from './pause.ts';

export interface EtcdRegistrationOptions {
  readonly client: EtcdClient;
  readonly key: string;
  readonly value: string;
  /** The entry vanishes so long after this peer was heard last; etcd counts whole seconds. */
  readonly ttlMs: number;
  /** Counts `discovery_etcd_registrations`: done, failed, lost, withdrawn. */
  readonly counters: Counters;
  readonly log: DiscoveryLog;
}

const granted = z.object({ ID: z.string(), TTL: z.string() });
/** Without a TTL the lease is gone. */
const kept = z.object({ result: z.object({ TTL: z.string().default('0') }) });
const leaseOfKey = z.object({
  kvs: z.array(z.object({ lease: z.string().default('0') })).default([]),
});
const anything = z.object({});

/**
 * This peer's entry in etcd under a lease of its own. Each time the lease is renewed the entry is looked
 * at too: another hand may have removed it, or etcd came back with older data.
 */
export class EtcdRegistration {
  readonly #options: EtcdRegistrationOptions;
  readonly #health: EngineHealth;
  readonly #stop = new AbortController();
  readonly #tried: PromiseWithResolvers<void> = Promise.withResolvers();
  #lease: string | undefined;
  #run: Promise<void> | undefined;

  constructor(options: EtcdRegistrationOptions) {
    this.#options = options;
    this.#health = new EngineHealth('etcd', 'registration', options.log);
  }

  /** Resolves when the first try is over, whatever came of it; at once when none was started. */
  get tried(): Promise<void> {
    return this.#run === undefined ? Promise.resolve() : this.#tried.promise;
  }

  start(): void {
    this.#run ??= this.#keep(this.#stop.signal);
  }

  /** Gives the lease back, and the entry with it. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#run;
    if (this.#lease === undefined) return;
    const { client, counters, log } = this.#options;
    const deadline = AbortSignal.timeout(discoveryLimits.withdrawMs);
    const ended = await client.call('/v3/lease/revoke', { ID: this.#lease }, anything, deadline);
    this.#lease = undefined;
    counters.count('discovery_etcd_registrations', ended.ok ? 'withdrawn' : 'failed');
    if (ended.ok) return;
    const fields = { engine: 'etcd', fault: ended.fault };
    log.warn(fields, 'the entry could not be taken back; it runs out by itself');
  }

  async #keep(signal: AbortSignal): Promise<void> {
    const { ttlMs, counters } = this.#options;
    const renewMs = ttlMs / discoveryLimits.etcdRenewalsPerTtl;
    let inVain = 0;
    for (;;) {
      const told = await this.#tell(signal);
      this.#tried.resolve();
      if (signal.aborted) return;
      inVain = told.ok ? 0 : inVain + 1;
      if (told.ok) {
        this.#health.answered();
      } else {
        counters.count('discovery_etcd_registrations', 'failed');
        this.#health.failed(told.fault);
      }
      const wait =
        inVain === 0 ? renewMs : backoffMs(inVain, discoveryLimits.backoffMinMs, renewMs);
      await pause(wait, signal);
    }
  }

  /** Sees to it that the entry is there under a living lease. */
  async #tell(signal: AbortSignal): Promise<EtcdOutcome<unknown>> {
    const { client, key, value, counters } = this.#options;
    const lease = await this.#livingLease(signal);
    if (!lease.ok) return lease;
    const range = { key: toBase64(key), keys_only: true };
    const found = await client.call('/v3/kv/range', range, leaseOfKey, signal);
    if (!found.ok) return found;
    if (found.value.kvs[0]?.lease === lease.value) return found;
    const put = { key: toBase64(key), value: toBase64(value), lease: lease.value };
    const told = await client.call('/v3/kv/put', put, anything, signal);
    if (told.ok) counters.count('discovery_etcd_registrations', 'done');
    return told;
  }

  async #livingLease(signal: AbortSignal): Promise<EtcdOutcome<string>> {
    const { client, counters, log } = this.#options;
    if (this.#lease !== undefined) {
      const renewed = await client.call('/v3/lease/keepalive', { ID: this.#lease }, kept, signal);
      if (!renewed.ok) return renewed;
      if (Number(renewed.value.result.TTL) > 0) return { ok: true, value: this.#lease };
      this.#lease = undefined;
      counters.count('discovery_etcd_registrations', 'lost');
      log.warn({ engine: 'etcd' }, 'the lease ran out; this peer registers again');
    }
    return this.#grant(signal);
  }

  async #grant(signal: AbortSignal): Promise<{ ok: true; value: string } | EtcdFault> {
    const { client, ttlMs } = this.#options;
    const wanted = { TTL: `${Math.ceil(ttlMs / 1_000)}` };
    const lease = await client.call('/v3/lease/grant', wanted, granted, signal);
    if (!lease.ok) return lease;
    this.#lease = lease.value.ID;
    return { ok: true, value: lease.value.ID };
  }
}
