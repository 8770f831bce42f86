import { gossipLimits } from '../config/defaults.ts';

/** Where packets and streams of a member go. `address` is a canonical IP text without brackets. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** A seed as it is configured; `host` is a DNS name or an IP text. */
export interface Seed {
  readonly host: string;
  readonly port: number;
}

/** `address:port`, IPv6 in brackets. */
export function endpointText(endpoint: Endpoint): string {
  const { address, port } = endpoint;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Parses `host:port` or `[IPv6]:port`; undefined when it is neither or the port is not 1 to 65535. */
export function parseSeed(text: string): Seed | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const [, inBrackets, plain, digits] = match;
  const port = Number(digits);
  if (port < 1 || port > 65_535) return undefined;
  if (inBrackets !== undefined) {
    const host = canonicalAddress(inBrackets);
    return host?.includes(':') === true ? { host, port } : undefined;
  }
  return { host: canonicalAddress(plain!) ?? plain!, port };
}

/**
 * The one spelling of an IP address that we compare: IPv4 dotted, IPv6 as RFC 5952 section 4 wants it,
 * without zone, IPv4-mapped IPv6 as IPv4. Undefined when `text` is no IP address.
 */
export function canonicalAddress(text: string): string | undefined {
  const bytes = addressBytes(text);
  return bytes === undefined ? undefined : addressText(bytes);
}

/** The 4 or 16 bytes of an IP text, or undefined. A zone is dropped: no other host would know it. */
export function addressBytes(text: string): Uint8Array | undefined {
  if (text.length > gossipLimits.labelBytesMax) return undefined;
  if (!text.includes(':')) return ipv4Bytes(text);
  const percent = text.indexOf('%');
  return ipv6Bytes(percent === -1 ? text : text.slice(0, percent));
}

/** The canonical text of 4 or 16 bytes, or undefined for any other length. */
export function addressText(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) return undefined;
  const groups = Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! << 8) | bytes[2 * i + 1]!);
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return bytes.subarray(12).join('.');
  }
  return ipv6Text(groups);
}

/** True for 0.0.0.0 and ::, which no packet can be sent to. */
export function isUnspecified(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

/** Four numbers up to 255 without leading zeros. Reads by hand: each message has an address or two. */
function ipv4Bytes(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(4);
  let part = 0;
  let value = -1;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit >= 0 && digit <= 9) {
      if (value === 0) return undefined;
      value = value === -1 ? digit : value * 10 + digit;
      if (value > 255) return undefined;
    } else {
      if (text[i] !== '.' || value === -1 || part === 3) return undefined;
      bytes[part++] = value;
      value = -1;
    }
  }
  if (part !== 3 || value === -1) return undefined;
  bytes[3] = value;
  return bytes;
}

function ipv6Bytes(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = ipv6Groups(halves[0]!);
  const tail = halves.length === 2 ? ipv6Groups(halves[1]!) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array.from({ length: missing }, () => 0), ...tail];
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

/** The 16-bit groups of one side of `::`; an IPv4 tail gives two. */
function ipv6Groups(text: string): number[] | undefined {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (index === parts.length - 1 && part.includes('.')) {
      const bytes = ipv4Bytes(part);
      if (bytes === undefined) return undefined;
      groups.push((bytes[0]! << 8) | bytes[1]!, (bytes[2]! << 8) | bytes[3]!);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16));
    } else {
      return undefined;
    }
  }
  return groups;
}

/** RFC 5952 section 4: lower case, no leading zeros, the first longest run of zeros (2 or more) as `::`. */
function ipv6Text(groups: readonly number[]): string {
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > length) {
      start = i;
      length = run;
    }
  }
  const hex = (part: readonly number[]): string =>
    part.map((group) => group.toString(16)).join(':');
  return start === -1
    ? hex(groups)
    : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}
