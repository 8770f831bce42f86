import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import { acceptLimits } from '../../config/defaults.ts';
import type { Source } from './handshake.ts';
import { plainAddress } from './plain-address.ts';

export type ProxyHeader =
  /** More bytes are needed. */
  | { readonly kind: 'incomplete' }
  /** No PROXY header, or a malformed one: the connection is closed. */
  | { readonly kind: 'invalid' }
  | {
      readonly kind: 'header';
      /** Bytes of the header; what follows is the client's. */
      readonly length: number;
      /** The client; undefined where the sprayer speaks for itself or does not say. */
      readonly source: Source | undefined;
    };

const incomplete: ProxyHeader = { kind: 'incomplete' };
const invalid: ProxyHeader = { kind: 'invalid' };

const v1Prefix = Buffer.from('PROXY ');
/** The protocol's own figure, CRLF included. */
const v1BytesMax = 107;

const v2Signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const v2HeaderBytes = 16;

/**
 * Reads the PROXY header, version 1 or 2, at the front of what a connection gave so far. Give it all
 * bytes again when it was incomplete: it never asks for more than `acceptLimits.proxyHeaderBytesMax`.
 */
export function readProxyHeader(bytes: Buffer): ProxyHeader {
  if (startsAlike(bytes, v1Prefix))
    return bytes.length < v1Prefix.length ? incomplete : readV1(bytes);
  if (startsAlike(bytes, v2Signature))
    return bytes.length < v2HeaderBytes ? incomplete : readV2(bytes);
  return invalid;
}

function startsAlike(bytes: Buffer, prefix: Buffer): boolean {
  const length = Math.min(bytes.length, prefix.length);
  return bytes.compare(prefix, 0, length, 0, length) === 0;
}

function readV1(bytes: Buffer): ProxyHeader {
  const line = bytes.toString('latin1', 0, v1BytesMax);
  const end = line.indexOf('\r\n');
  if (end < 0) return line.length < v1BytesMax ? incomplete : invalid;
  const length = end + 2;
  const parts = line.slice(v1Prefix.length, end).split(' ');
  // What follows UNKNOWN is to be ignored.
  if (parts[0] === 'UNKNOWN') return { kind: 'header', length, source: undefined };
  const [family, from, to, fromPort, toPort] = parts;
  if (toPort === undefined || parts.length > 5) return invalid;
  const isAddress = family === 'TCP4' ? isIPv4 : isUnscopedIPv6;
  const isRight =
    (family === 'TCP4' || family === 'TCP6') &&
    [from!, to!].every(isAddress) &&
    [fromPort!, toPort].every(isPort);
  return isRight ? { kind: 'header', length, source: source(from!, Number(fromPort)) } : invalid;
}

function isUnscopedIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%');
}

function isPort(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

/** Family and transport as version 2 writes them, with the bytes of their addresses. */
const v2AddressBytes: ReadonlyMap<number, number> = new Map([
  [0x00, 0],
  [0x11, 12],
  [0x12, 12],
  [0x21, 36],
  [0x22, 36],
  [0x31, 216],
  [0x32, 216],
]);

function readV2(bytes: Buffer): ProxyHeader {
  const command = bytes[12]!;
  const family = bytes[13]!;
  const length = v2HeaderBytes + bytes.readUInt16BE(14);
  if (command !== 0x20 && command !== 0x21) return invalid;
  if (length > acceptLimits.proxyHeaderBytesMax) return invalid;
  // LOCAL: the sprayer's own connection, e.g. a health check, whose addresses say nothing.
  const isLocal = command === 0x20;
  const addressBytes = v2AddressBytes.get(family);
  if (!isLocal && (addressBytes === undefined || v2HeaderBytes + addressBytes > length))
    return invalid;
  if (bytes.length < length) return incomplete;
  return { kind: 'header', length, source: isLocal ? undefined : readSource(bytes, family) };
}

function readSource(bytes: Buffer, family: number): Source | undefined {
  switch (family >> 4) {
    case 1:
      return source(bytes.subarray(16, 20).join('.'), bytes.readUInt16BE(24));
    case 2: {
      const groups = Array.from({ length: 8 }, (_, at) =>
        bytes.readUInt16BE(v2HeaderBytes + 2 * at).toString(16),
      );
      return source(groups.join(':'), bytes.readUInt16BE(48));
    }
    default:
      return undefined;
  }
}

function source(address: string, port: number): Source {
  const family = isIPv4(address) ? 'ipv4' : 'ipv6';
  return { address: plainAddress(new SocketAddress({ address, family }).address), port };
}
