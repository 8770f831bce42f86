import { isIPv6 } from 'node:net';
import { mappedPrefix } from '../accept/index.ts';

type LookupCallback = (error: Error | null, address: string, family: number) => void;

/**
 * Stands in for DNS where addresses are known to be numeric: dgram otherwise asks the resolver for
 * every datagram.
 */
export function numericLookup(address: string, ...rest: unknown[]): void {
  const callback = rest.at(-1) as LookupCallback;
  callback(null, address, isIPv6(address) ? 6 : 4);
}

/** The inverse of `plainAddress`, for an IPv6 socket that sends to an IPv4 address. */
export function mappedAddress(address: string): string {
  return address.includes(':') ? address : mappedPrefix + address;
}
