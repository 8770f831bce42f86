import type { HeaderList } from './exchange.ts';
import { type Field, headerList, headerValue } from './field.ts';

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
 */
export function forwardedHeaders(received: HeaderList, hop: ForwardedHop): Field[] {
  const before = (lower: string): string | undefined =>
    hop.isTrusted ? headerList(received, lower) : undefined;
  const stated = (lower: string): string | undefined =>
    hop.isTrusted ? headerValue(received, lower) : undefined;
  const proto = hop.isTls ? 'https' : 'http';
  const statedHost = stated('x-forwarded-host') ?? hop.host;
  const headers: Field[] = [
    ['X-Forwarded-For', joined(before('x-forwarded-for'), hop.remoteAddress)],
    ['X-Forwarded-Proto', stated('x-forwarded-proto') ?? proto],
    ['X-Forwarded-Port', stated('x-forwarded-port') ?? portOf(hop.host, hop.isTls)],
    ['Forwarded', joined(before('forwarded'), forwardedElement(hop, proto))],
  ];
  if (statedHost !== '') headers.push(['X-Forwarded-Host', statedHost]);
  return headers;
}

function joined(before: string | undefined, own: string): string {
  return before === undefined || before === '' ? own : `${before}, ${own}`;
}

function forwardedElement(hop: ForwardedHop, proto: string): string {
  const address = hop.remoteAddress.includes(':') ? `"[${hop.remoteAddress}]"` : hop.remoteAddress;
  const host = hop.host === '' ? '' : `;host="${hop.host}"`;
  return `for=${address};proto=${proto}${host}`;
}

/** Port of an authority; the protocol's own where none is written. */
function portOf(host: string, isTls: boolean): string {
  return /:([0-9]{1,5})$/.exec(host)?.[1] ?? (isTls ? '443' : '80');
}
