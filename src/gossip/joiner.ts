import { gossipLimits } from '../config/defaults.ts';
import { canonicalAddress, endpointText, type Endpoint, type Seed } from './address.ts';
import type { SwimContext } from './context.ts';
import type { FullSync } from './full-sync.ts';
import type { Membership } from './membership.ts';

interface NamedSeed extends Seed {
  addresses: readonly string[];
}

/**
 * Finds the cluster and finds it again. While this peer is alone it dials seeds and failed members for
 * ever, with back-off. While it is not, it now and then tries one failed member or unknown seed, so that
 * halves and islands merge.
 */
export class Joiner {
  readonly #context: SwimContext;
  readonly #membership: Membership;
  readonly #sync: FullSync;
  #fixed: readonly Endpoint[] = [];
  #named: readonly NamedSeed[] = [];
  #attempts = 0;
  #inAttempt = new Set<string>();

  constructor(context: SwimContext, membership: Membership, sync: FullSync) {
    this.#context = context;
    this.#membership = membership;
    this.#sync = sync;
    this.#useSeeds([]);
  }

  start(): void {
    this.#joinTick();
    const { reconnectIntervalMs, seedPollIntervalMs } = this.#context.options.profile;
    this.#every(gossipLimits.forgetIntervalMs, () => {
      this.#membership.forget();
    });
    this.#every(reconnectIntervalMs, () => {
      this.#reconnect();
    });
    this.#every(seedPollIntervalMs, () => {
      const { options, roster } = this.#context;
      if (options.random() < 3 / roster.liveCount()) this.#resolveAll();
    });
  }

  /** Replaces the seeds that were found beside the configured ones; at most 256 count. */
  found(seeds: readonly Seed[]): void {
    this.#useSeeds(seeds);
    const { roster, isLeaving } = this.#context;
    if (isLeaving || !roster.isAlone()) return;
    this.#resolveAll();
    this.#dialSome();
  }

  /** Takes the answer to a look-up. A failed one keeps what was known before. */
  resolved(host: string, addresses: readonly string[]): void {
    const { roster, isLeaving } = this.#context;
    const usable = addresses
      .slice(0, gossipLimits.seedsMax)
      .map(canonicalAddress)
      .filter((address) => address !== undefined);
    if (usable.length === 0) {
      this.#context.outbox.count('gossip_seeds', 'unresolved');
      return;
    }
    for (const seed of this.#named) if (seed.host === host) seed.addresses = usable;
    if (!isLeaving && roster.isAlone()) this.#dialSome();
  }

  /** What names were resolved to stays known. */
  #useSeeds(found: readonly Seed[]): void {
    const { seedsMax } = gossipLimits;
    const seeds = [...this.#context.options.seeds.slice(0, seedsMax), ...found.slice(0, seedsMax)];
    const known = new Map(this.#named.map(({ host, addresses }) => [host, addresses]));
    const fixed: Endpoint[] = [];
    const named: NamedSeed[] = [];
    for (const seed of seeds) {
      const address = canonicalAddress(seed.host);
      if (address !== undefined) fixed.push({ address, port: seed.port });
      else named.push({ ...seed, addresses: known.get(seed.host) ?? [] });
    }
    this.#fixed = fixed;
    this.#named = named;
  }

  /** Tries to join while alone; otherwise only watches whether it became alone again. */
  #joinTick(): void {
    const { timers, now, roster, options, isLeaving } = this.#context;
    if (isLeaving) return;
    const isAlone = roster.isAlone();
    this.#attempts = isAlone ? this.#attempts + 1 : 0;
    const { joinBackoffMinMs, joinBackoffMaxMs } = gossipLimits;
    const backoff = Math.min(joinBackoffMaxMs, joinBackoffMinMs * 2 ** (this.#attempts - 1));
    const delay = isAlone ? backoff * (0.5 + options.random() / 2) : joinBackoffMinMs;
    timers.schedule(now + delay, () => {
      this.#joinTick();
    });
    if (!isAlone) return;
    this.#inAttempt = new Set();
    this.#resolveAll();
    this.#dialSome();
  }

  /** Dials a few candidates that this attempt has not dialled yet. */
  #dialSome(): void {
    const { roster } = this.#context;
    const candidates = [...this.#seedEndpoints(), ...this.#failedEndpoints()].filter(
      (endpoint) => !this.#inAttempt.has(endpointText(endpoint)) && !this.#sync.isOpen(endpoint),
    );
    const room = Math.max(0, gossipLimits.joinParallel - this.#inAttempt.size);
    for (const endpoint of roster.shuffled(candidates).slice(0, room)) {
      this.#inAttempt.add(endpointText(endpoint));
      this.#sync.exchange(endpoint, true);
    }
  }

  /** One failed member or unknown seed, with the probability of failed to living members. */
  #reconnect(): void {
    const { roster, options, isLeaving } = this.#context;
    if (isLeaving || roster.isAlone()) return;
    const lost = [
      ...this.#failedEndpoints(),
      ...this.#seedEndpoints().filter((endpoint) => !roster.knows(endpoint)),
    ];
    if (lost.length === 0 || options.random() >= lost.length / roster.liveCount()) return;
    this.#sync.reconnect(lost[Math.floor(options.random() * lost.length)]!);
  }

  #resolveAll(): void {
    for (const host of new Set(this.#named.map((seed) => seed.host))) {
      this.#context.outbox.add({ kind: 'resolve', host });
    }
  }

  /** All known addresses of seeds but our own, each once. */
  #seedEndpoints(): readonly Endpoint[] {
    const named = this.#named.flatMap(({ addresses, port }) =>
      addresses.map((address) => ({ address, port })),
    );
    const endpoints = new Map(
      [...this.#fixed, ...named].map((endpoint) => [endpointText(endpoint), endpoint]),
    );
    endpoints.delete(endpointText(this.#context.options.endpoint));
    return [...endpoints.values()];
  }

  #failedEndpoints(): readonly Endpoint[] {
    return [...this.#context.roster.all()]
      .filter((record) => record.state === 'dead')
      .map((record) => record.endpoint);
  }

  #every(intervalMs: number, run: () => void): void {
    const { timers, now, isLeaving } = this.#context;
    if (isLeaving || intervalMs === Infinity) return;
    timers.schedule(now + intervalMs, () => {
      this.#every(intervalMs, run);
      run();
    });
  }
}
