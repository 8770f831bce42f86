/** How an IPv4 address begins that a socket on both families gives as an IPv6 one. */
export const mappedPrefix = '::ffff:';

/** An IPv4 address as such, where a socket on both families gives it as an IPv6 one. */
export function plainAddress(address: string): string {
  const isMapped = address.startsWith(mappedPrefix) && address.includes('.');
  return isMapped ? address.slice(mappedPrefix.length) : address;
}
