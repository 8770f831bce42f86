import { isIP, isIPv4, isIPv6 } from 'node:net';
import type { ListenAddress } from './config.ts';

const hostName =
  /^(?=.{1,253}$)[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)*\.?$/u;

/** Splits `host:port` (IPv6 in brackets); undefined when it is not one. The host has no brackets. */
export function parseHostPort(text: string): { host: string; port: number } | undefined {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/u.exec(text);
  if (match === null) return undefined;
  const [, v6, plain, digits] = match;
  const port = Number(digits);
  if (port > 65_535) return undefined;
  if (v6 !== undefined) return isIPv6(v6) ? { host: v6, port } : undefined;
  return plain !== undefined && isHost(plain) ? { host: plain, port } : undefined;
}

/** True for an IP address without brackets or a DNS name. */
export function isHost(text: string): boolean {
  if (isIP(text) !== 0) return true;
  // Four dotted numbers that are no address are a typing error, not a name.
  return hostName.test(text) && !/^[\d.]+$/u.test(text);
}

/** `host:port`, IPv6 in brackets. */
export function formatHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** True for 127/8, ::1 (also mapped) and the name `localhost`. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  if (name === 'localhost' || name.endsWith('.localhost')) return true;
  const address = name.startsWith('::ffff:') ? name.slice(7) : name;
  return isIPv4(address) ? address.startsWith('127.') : isIPv6(name) && compressed(name) === '::1';
}

/** True for 0.0.0.0 and ::. */
export function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || (isIPv6(address) && compressed(address) === '::');
}

/** True when two sockets on these addresses cannot share one port. */
export function overlaps(a: ListenAddress, b: ListenAddress): boolean {
  if (a.port === 0 || a.port !== b.port) return false;
  if (isWildcard(a.address) || isWildcard(b.address)) return true;
  return canonicalHost(a.address) === canonicalHost(b.address);
}

/** Whether what is sent to `to` arrives at this socket, as far as the configuration can tell. */
export function isReachedBy(listen: ListenAddress, to: { host: string; port: number }): boolean {
  const host = to.host.toLowerCase() === 'localhost' ? '127.0.0.1' : canonicalHost(to.host);
  const isHere = isWildcard(listen.address)
    ? isLoopback(host)
    : canonicalHost(listen.address) === host;
  return listen.port === to.port && isHere;
}

/**
 * Lower case; an IPv6 address in its shortest form, as sockets report it, and an IPv4 address that
 * was mapped into IPv6 as such.
 */
export function canonicalHost(host: string): string {
  if (!isIPv6(host)) return host.toLowerCase();
  const address = compressed(host);
  const mapped = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/u.exec(address);
  if (mapped === null) return address;
  const [high, low] = [mapped[1]!, mapped[2]!].map((group) => Number.parseInt(group, 16));
  return [high! >> 8, high! & 255, low! >> 8, low! & 255].join('.');
}

/** True for an IP address or a network such as 10.0.0.0/8 or fd00::/8. */
export function isNetwork(text: string): boolean {
  const [address, prefix, ...rest] = text.split('/');
  const version = isIP(address ?? '');
  if (version === 0 || rest.length > 0) return false;
  if (prefix === undefined) return true;
  return /^\d{1,3}$/u.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128);
}

/** The shortest form of an IPv6 address, as the URL standard writes it. */
function compressed(address: string): string {
  const withoutZone = address.replace(/%.*$/u, '');
  return new URL(`http://[${withoutZone}]/`).hostname.slice(1, -1);
}
