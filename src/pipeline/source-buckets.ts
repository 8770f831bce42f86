import { admissionLimits } from '../config/defaults.ts';
import { Generations } from './generations.ts';
import { networkKey, NetworkSet, parseAddress } from './network.ts';

/** What is left to one source. */
interface Bucket {
  tokens: number;
  /** When `tokens` was right. */
  atMs: number;
}

/** Stands for sources that no limit binds. */
const free: Bucket = { tokens: Infinity, atMs: 0 };

export interface SourceBucketsOptions {
  readonly requestsPerSecond: number;
  readonly burst: number;
  /** Addresses and networks that no limit binds. */
  readonly allow: readonly string[];
}

/**
 * A token bucket for each source address, IPv6 by its /64. Sources are remembered in bounded
 * generations; one that is forgotten starts with a full bucket, as does one that was quiet.
 */
export class SourceBuckets {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #allowed: NetworkSet;
  /** By address as the socket reports it; addresses of one IPv6 network share a bucket. */
  readonly #byAddress: Generations<Bucket>;
  readonly #byNetwork: Generations<Bucket>;

  constructor(
    options: SourceBucketsOptions,
    sourcesRemembered: number = admissionLimits.sourcesRemembered,
  ) {
    this.#perMs = options.requestsPerSecond / 1_000;
    this.#burst = options.burst;
    this.#allowed = new NetworkSet(options.allow);
    this.#byAddress = new Generations(sourcesRemembered);
    this.#byNetwork = new Generations(sourcesRemembered);
  }

  /** Takes a token of this source. False: it has none left. */
  take(address: string, nowMs: number): boolean {
    const bucket = this.#byAddress.get(address) ?? this.#meet(address, nowMs);
    if (bucket === free) return true;
    bucket.tokens = Math.min(
      this.#burst,
      bucket.tokens + Math.max(0, nowMs - bucket.atMs) * this.#perMs,
    );
    bucket.atMs = nowMs;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  #meet(address: string, nowMs: number): Bucket {
    const bucket = this.#bucketOf(address, nowMs);
    this.#byAddress.set(address, bucket);
    return bucket;
  }

  #bucketOf(address: string, nowMs: number): Bucket {
    const groups = parseAddress(address);
    if (groups === undefined) return { tokens: this.#burst, atMs: nowMs };
    if (this.#allowed.has(groups)) return free;
    if (groups.length === 2) return { tokens: this.#burst, atMs: nowMs };
    const network = networkKey(groups, admissionLimits.v6SourceBits);
    const shared = this.#byNetwork.get(network);
    if (shared !== undefined) return shared;
    const bucket = { tokens: this.#burst, atMs: nowMs };
    this.#byNetwork.set(network, bucket);
    return bucket;
  }
}
