import { fieldLines, type HeaderBlock } from './header-block.ts';

/** Where a request came from, as this peer saw it. */
export interface ForwardedHop {
  readonly remoteAddress: string;
  readonly isTls: boolean;
  /** Value of Host; may be empty. */
  readonly host: string;
  /** The remote is a listed proxy: what it says of the hops before it is kept. */
  readonly isTrusted: boolean;
}

/**
 * The forwarding headers of the next hop (RFC 7239 and the older X-Forwarded-*). From a trusted
 * remote the lists are continued and what it says of protocol, host and port stands; from anyone else
 * they begin here. The peers' own addresses are never told.
 *
 * @returns field lines, each with its CRLF
 */
export function forwardedLines(received: HeaderBlock, hop: ForwardedHop): string {
  const proto = hop.isTls ? 'https' : 'http';
  const element = forwardedElement(hop, proto);
  if (hop.isTrusted) return continuedLines(received, hop, proto, element);
  const host = hop.host === '' ? '' : `X-Forwarded-Host: ${hop.host}\r\n`;
  return (
    `X-Forwarded-For: ${hop.remoteAddress}\r\nX-Forwarded-Proto: ${proto}\r\n` +
    `X-Forwarded-Port: ${portOf(hop.host, hop.isTls)}\r\nForwarded: ${element}\r\n${host}`
  );
}

function continuedLines(
  received: HeaderBlock,
  hop: ForwardedHop,
  proto: string,
  element: string,
): string {
  const list = (lower: string, own: string): string =>
    [...received.all(lower), own].filter((value) => value !== '').join(', ');
  const host = received.get('x-forwarded-host') ?? hop.host;
  const port = received.get('x-forwarded-port') ?? portOf(hop.host, hop.isTls);
  return fieldLines([
    ['X-Forwarded-For', list('x-forwarded-for', hop.remoteAddress)],
    ['X-Forwarded-Proto', received.get('x-forwarded-proto') ?? proto],
    ['X-Forwarded-Port', port],
    ['Forwarded', list('forwarded', element)],
    ...(host === '' ? [] : [['X-Forwarded-Host', host] as const]),
  ]);
}

function forwardedElement(hop: ForwardedHop, proto: string): string {
  const address = hop.remoteAddress.includes(':') ? `"[${hop.remoteAddress}]"` : hop.remoteAddress;
  const host = hop.host === '' ? '' : `;host="${hop.host}"`;
  return `for=${address};proto=${proto}${host}`;
}

/** Port of an authority; the protocol's own where none is written. */
function portOf(host: string, isTls: boolean): string {
  const colon = host.lastIndexOf(':');
  // The last colon of an IPv6 address without port is inside the brackets.
  const digits = colon < 0 || host.includes(']', colon) ? '' : host.slice(colon + 1);
  if (digits !== '' && digits.length <= 5) return digits;
  return isTls ? '443' : '80';
}
