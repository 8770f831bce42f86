import { lookup } from 'node:dns/promises';
import { networkInterfaces } from 'node:os';
import { canonicalAddress, isUnspecified, type Endpoint } from '../../gossip/index.ts';

/**
 * Where others reach this peer: what is configured (a name is looked up), else the address listened on;
 * when that is "all", the first address of this machine that is not loopback.
 */
export async function advertisedEndpoint(
  listened: Endpoint,
  configured: Endpoint | undefined,
): Promise<Endpoint> {
  const port = configured === undefined || configured.port === 0 ? listened.port : configured.port;
  const host = configured?.address ?? listened.address;
  const address = canonicalAddress(host) ?? canonicalAddress((await lookup(host)).address);
  if (address === undefined) throw new Error(`gossip cannot be reached at ${host}: no IP address`);
  if (!isUnspecified(address)) return { address, port };
  if (configured !== undefined) throw new Error(`gossip cannot be advertised at ${address}`);
  return { address: firstAddress(address === '::'), port };
}

function firstAddress(isDualStack: boolean): string {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const usable = all.filter(({ internal, address }) => !internal && !address.startsWith('fe80:'));
  const ipv4 = usable.find(({ family }) => family === 'IPv4');
  const ipv6 = usable.find(({ family }) => family === 'IPv6');
  const found = isDualStack ? (ipv6 ?? ipv4) : ipv4;
  return canonicalAddress(found?.address ?? '') ?? (isDualStack ? '::1' : '127.0.0.1');
}
