import { hash } from 'node:crypto';

/** An SRV record (RFC 2782). */
export interface SrvRecord {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  /** Lower case, without a last dot; empty: the service is decidedly not there. */
  readonly target: string;
}

/** Weight 0 "should have a very small chance of being selected" (RFC 2782). */
const leastWeight = 0.01;

/**
 * The order in which to try servers: by priority, and within one by weight. The seed decides instead
 * of chance, because a peer that keeps no state must choose alike for all messages of a transaction
 * (RFC 3263 section 4.4); over many seeds the shares are those of the weights.
 */
export function orderServers(records: readonly SrvRecord[], seed: string): readonly SrvRecord[] {
  // The first of independent exponential clocks with these rates rings with the share of its rate.
  const ranked = records.map((record) => ({
    record,
    rank:
      -Math.log(fraction(seed, `${record.target}:${record.port}`)) /
      Math.max(record.weight, leastWeight),
  }));
  ranked.sort((a, b) => a.record.priority - b.record.priority || a.rank - b.rank);
  return ranked.map(({ record }) => record);
}

/** Addresses of one name in an order that the seed gives: name servers turn theirs round and round. */
export function orderAddresses(addresses: readonly string[], seed: string): readonly string[] {
  if (addresses.length < 2) return addresses;
  return addresses
    .map((address) => ({ address, rank: fraction(seed, address) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ address }) => address);
}

/** Above 0, at most 1, evenly spread over seeds. */
function fraction(seed: string, of: string): number {
  const digest = hash('sha256', `${seed}\n${of}`, 'buffer');
  return (digest.readUIntBE(0, 6) + 1) / 0x1_0000_0000_0000;
}
