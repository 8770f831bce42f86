import { randomBytes } from 'node:crypto';
import { gossipLimits } from '../../config/defaults.ts';
import { Keyring, Seal, type StreamDecoder } from '../../gossip/index.ts';
import type { Counters } from '../../pipeline/counters.ts';
import { NetworkSet, parseAddress } from '../../pipeline/network.ts';
import { SourceBuckets } from '../../pipeline/source-buckets.ts';

const nonceBytes = 12;

export interface BorderOptions {
  /** Name of the cluster; '' switches the label off. */
  readonly label: string;
  /** The first encrypts, any decrypts; none: gossip is plain. */
  readonly keys: readonly Uint8Array[];
  /** Addresses and networks that may speak; none: all may. */
  readonly allow: readonly string[];
  readonly counters: Counters;
}

/**
 * What gossip passes between this process and the network: who may speak and how much is looked at
 * before a byte is read, then encryption is put on and taken off. Each refusal is counted.
 */
export class Border {
  /** The keys in use, to be changed while the peer runs; undefined where gossip is plain. */
  readonly keyring: Keyring | undefined;
  readonly #counters: Counters;
  readonly #seal: Seal;
  readonly #allowed: NetworkSet | undefined;
  readonly #packets: SourceBuckets;
  readonly #streams: SourceBuckets;
  /** One bucket that all sources share. */
  readonly #allStreams: SourceBuckets;

  /** Throws on a key of another size than 16, 24 or 32 bytes, and on what is no network. */
  constructor({ label, keys, allow, counters }: BorderOptions) {
    this.keyring = keys.length === 0 ? undefined : new Keyring(keys);
    this.#counters = counters;
    this.#seal = new Seal(label, this.keyring, () => randomBytes(nonceBytes));
    this.#allowed = allow.length === 0 ? undefined : new NetworkSet(allow);
    const { packetsPerSecond, packetsBurst, streamsPerSecond, streamsBurst } = gossipLimits;
    const { allStreamsPerSecond, allStreamsBurst } = gossipLimits;
    this.#packets = buckets(packetsPerSecond, packetsBurst);
    this.#streams = buckets(streamsPerSecond, streamsBurst);
    this.#allStreams = buckets(allStreamsPerSecond, allStreamsBurst);
  }

  /** Bytes that a packet of the machine is longer on the network. */
  get packetOverheadBytes(): number {
    return this.#seal.packetOverheadBytes;
  }

  /** True when members may be at this address. */
  isAllowed(address: string): boolean {
    if (this.#allowed === undefined) return true;
    const groups = parseAddress(address);
    return groups !== undefined && this.#allowed.has(groups);
  }

  sealPacket(packet: Uint8Array): Uint8Array {
    return this.#seal.sealPacket(packet);
  }

  /** A packet from this source as the machine reads it; undefined when it is dropped. */
  openPacket(packet: Uint8Array, address: string): Uint8Array | undefined {
    if (!this.#admits(address, this.#packets, 'packet-rate')) return undefined;
    const opened = this.#seal.openPacket(packet);
    if (opened.ok) return opened.value;
    this.#drop(opened.fault);
    return undefined;
  }

  /** Whether a stream of this source is taken at all. Strangers together cannot shut out a living member. */
  admitsStream(address: string, isMember: (address: string) => boolean): boolean {
    if (!this.#admits(address, this.#streams, 'stream-rate')) return false;
    if (this.#allStreams.take('', performance.now()) || isMember(address)) return true;
    this.#drop('all-streams-rate');
    return false;
  }

  sealStream(bytes: Uint8Array, side: 'opened' | 'accepted'): Uint8Array {
    return this.#seal.sealStream(bytes, side);
  }

  streamDecoder(side: 'opened' | 'accepted'): StreamDecoder {
    return this.#seal.streamDecoder(side);
  }

  #admits(address: string, rates: SourceBuckets, reason: string): boolean {
    if (!this.isAllowed(address)) {
      this.#drop('not-allowed');
      return false;
    }
    if (rates.take(address, performance.now())) return true;
    this.#drop(reason);
    return false;
  }

  #drop(reason: string): void {
    this.#counters.count('gossip_drops', reason);
  }
}

function buckets(requestsPerSecond: number, burst: number): SourceBuckets {
  return new SourceBuckets({ requestsPerSecond, burst, allow: [] }, gossipLimits.sourcesRemembered);
}
