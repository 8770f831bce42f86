/** An IP address as 16-bit groups: two for IPv4, eight for IPv6. */
export type AddressGroups = readonly number[];

/**
 * Groups of an IP address without brackets; undefined for other text. A zone is left out, and an IPv4
 * address that was mapped into IPv6 is the IPv4 address.
 */
export function parseAddress(text: string): AddressGroups | undefined {
  if (!text.includes(':')) return parseV4(text);
  const groups = parseV6(text);
  return groups !== undefined && isMapped(groups) ? groups.slice(6) : groups;
}

/** The first bits of an address as text; equal for addresses of one network of that size. */
export function networkKey(groups: AddressGroups, bits: number): string {
  const whole = bits >> 4;
  const left = bits & 15;
  let key = groups.length === 2 ? '4' : '6';
  for (let at = 0; at < whole; at++) key += `:${groups[at]!.toString(16)}`;
  if (left > 0) key += `:${(groups[whole]! & (0xffff << (16 - left))).toString(16)}`;
  return key;
}

interface NetworksOfSize {
  readonly groupCount: number;
  readonly bits: number;
  readonly keys: Set<string>;
}

/** Addresses and networks, compiled so that a look-up costs one set access for each prefix length. */
export class NetworkSet {
  readonly #sizes: NetworksOfSize[] = [];

  /**
   * @param networks IP addresses and networks such as 10.0.0.0/8 or fd00::/8
   * @throws TypeError for anything else: configuration is checked before it comes here
   */
  constructor(networks: readonly string[]) {
    for (const network of networks) this.#add(network);
  }

  has(address: AddressGroups): boolean {
    return this.#sizes.some(
      ({ groupCount, bits, keys }) =>
        groupCount === address.length && keys.has(networkKey(address, bits)),
    );
  }

  #add(network: string): void {
    const { groups, bits } = parseNetwork(network);
    let size = this.#sizes.find((one) => one.groupCount === groups.length && one.bits === bits);
    if (size === undefined) {
      size = { groupCount: groups.length, bits, keys: new Set() };
      this.#sizes.push(size);
    }
    size.keys.add(networkKey(groups, bits));
  }
}

function parseNetwork(network: string): { groups: AddressGroups; bits: number } {
  const [address = '', prefix] = network.split('/');
  const groups = address.includes(':') ? parseV6(address) : parseV4(address);
  if (groups === undefined) throw new TypeError(`${network} is no network`);
  const bitsMax = groups.length * 16;
  const bits = prefix === undefined ? bitsMax : Number(prefix);
  if (!(bits >= 0 && bits <= bitsMax)) throw new TypeError(`${network} is no network`);
  return isMapped(groups) && bits >= 96
    ? { groups: groups.slice(6), bits: bits - 96 }
    : { groups, bits };
}

function parseV4(text: string): number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part))) return undefined;
  const [a, b, c, d] = parts.map(Number) as [number, number, number, number];
  return Math.max(a, b, c, d) > 255 ? undefined : [a * 256 + b, c * 256 + d];
}

function parseV6(text: string): number[] | undefined {
  const zone = text.indexOf('%');
  const halves = (zone < 0 ? text : text.slice(0, zone)).split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half, at) => parseGroups(half, at === halves.length - 1));
  if (head === undefined) return undefined;
  if (halves.length === 1) return head.length === 8 ? head : undefined;
  if (tail === undefined || head.length + tail.length > 7) return undefined;
  return [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}

/** Groups between colons; the last of an address may be an IPv4 address. */
function parseGroups(text: string, isEnd: boolean): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [at, part] of parts.entries()) {
    if (part.includes('.')) {
      const v4 = isEnd && at === parts.length - 1 ? parseV4(part) : undefined;
      if (v4 === undefined) return undefined;
      groups.push(...v4);
    } else {
      if (!/^[0-9a-f]{1,4}$/i.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}

function isMapped(groups: AddressGroups): boolean {
  return groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
}
