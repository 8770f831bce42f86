import { lookup } from 'node:dns/promises';
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { canonicalHost, isWildcard } from '../../config/address.ts';
import { applicationNode } from '../../config/application-addresses.ts';

export interface UpstreamAddressesOptions {
  readonly host: string;
  readonly port: number;
  readonly extraServerNodes: readonly string[];
  readonly local: { readonly address: string };
  readonly lookup?: (host: string) => Promise<readonly string[]>;
}

/** From where an upstream application sends: its own host, looked up when it is a name, and others. */
export class UpstreamAddresses {
  readonly #options: UpstreamAddressesOptions;
  readonly #extra: ReadonlySet<string>;
  readonly #extraSenders: ReadonlySet<string>;
  #own: readonly string[];

  constructor(options: UpstreamAddressesOptions) {
    const { host, port, extraServerNodes } = options;
    const extra = extraServerNodes.map((node) => applicationNode(node, port));
    this.#options = options;
    this.#extra = new Set(extra.map((node) => node.host));
    this.#extraSenders = new Set(extra.map((node) => `${node.host} ${node.port}`));
    this.#own = isIP(host) === 0 ? [] : [canonicalHost(host)];
  }

  /** Where to send to; undefined while the name is not known. */
  get first(): string | undefined {
    return this.#own[0];
  }

  /** All that are known, in the order to try. */
  get own(): readonly string[] {
    return this.#own;
  }

  get isName(): boolean {
    return isIP(this.#options.host) === 0;
  }

  get hasExtra(): boolean {
    return this.#extra.size > 0;
  }

  /** Whether datagrams from there are the application's. */
  isSender(address: string, port: number): boolean {
    if (port === this.#options.port && this.isOwn(address)) return true;
    return this.hasExtra && this.#extraSenders.has(`${address} ${port}`);
  }

  /** Whether connections from there, from whatever port, are the application's. */
  isNode(address: string): boolean {
    return this.isOwn(address) || this.#extra.has(address);
  }

  isOwn(address: string): boolean {
    return this.#own.includes(address);
  }

  /** Looks the name up again. Never rejects: what was known stays when nothing is found. */
  async resolve(): Promise<void> {
    if (!this.isName) return;
    const find = this.#options.lookup ?? systemLookup;
    const found = await find(this.#options.host).catch(() => []);
    const usable = reachableFrom(this.#options.local.address, found);
    if (usable.length > 0) this.#own = usable.map(canonicalHost);
  }
}

async function systemLookup(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { all: true });
  return found.map(({ address }) => address);
}

/** A socket reaches the addresses of its family; the one on all IPv6 addresses reaches both. */
function reachableFrom(local: string, addresses: readonly string[]): readonly string[] {
  const v4 = addresses.filter((address) => isIPv4(address));
  if (!isIPv6(local)) return v4;
  const v6 = addresses.filter((address) => isIPv6(address));
  return isWildcard(local) ? [...v6, ...v4] : v6;
}

const mappedPrefix = '::ffff:';

/** An IPv4 address as such, where a socket on both families gives it as an IPv6 one. */
export function plainAddress(address: string): string {
  const isMapped = address.startsWith(mappedPrefix) && address.includes('.');
  return isMapped ? address.slice(mappedPrefix.length) : address;
}

/** The inverse, for an IPv6 socket that sends to an IPv4 address. */
export function mappedAddress(address: string): string {
  return address.includes(':') ? address : mappedPrefix + address;
}
