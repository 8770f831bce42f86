import type { SipMessage } from '../sip/index.ts';
import type { SipTransport } from './arrival.ts';

/** Methods that never make a dialog (RFC 3261 section 16.6 step 4); unknown ones may. */
const dialogless: ReadonlySet<string> = new Set([
  'ACK',
  'BYE',
  'CANCEL',
  'INFO',
  'MESSAGE',
  'OPTIONS',
  'PRACK',
  'PUBLISH',
  'REGISTER',
  'UPDATE',
]);

/** One side of the cluster, as a URI in Record-Route or Path names it. */
export interface Face {
  readonly scheme: 'sip' | 'sips';
  /** A flow token, or empty. */
  readonly user: string;
  /** `host:port`. */
  readonly address: string;
  readonly transport: SipTransport;
}

/** The `transport` parameter; RFC 7118 section 5.1 has one word for both kinds of WebSocket. */
const parameterOf: Readonly<Record<SipTransport, string>> = {
  UDP: '',
  TCP: ';transport=tcp',
  TLS: ';transport=tls',
  WS: ';transport=ws',
  WSS: ';transport=ws',
};

/** Whether a dialog may begin with this request. */
export function createsDialog(message: SipMessage): boolean {
  return !dialogless.has(message.method) && message.toTag === undefined;
}

/**
 * The Record-Route lines of a request. Where the two sides of the cluster differ each gets a value
 * (RFC 5658): an application that speaks plain UDP to its peer need not know how to reach a browser.
 *
 * @param sender the face that the request's sender knows
 * @param receiver the face towards its receiver; undefined: the same one
 * @param parameters the stamp, signed
 * @param senderParameters the same of the sender's face, where that leads elsewhere
 */
export function recordRoute(
  sender: Face | undefined,
  receiver: Face | undefined,
  parameters: string,
  senderParameters: string = parameters,
): string {
  const inner =
    receiver === undefined ? '' : `Record-Route: ${routeValue(receiver, parameters)}\r\n`;
  const outer =
    sender === undefined ? '' : `Record-Route: ${routeValue(sender, senderParameters)}\r\n`;
  return inner + outer;
}

/** A loose-routing URI of this cluster in angle brackets. */
export function routeValue({ scheme, user, address, transport }: Face, parameters: string): string {
  const at = user === '' ? '' : `${user}@`;
  return `<${scheme}:${at}${address}${parameterOf[transport]};lr;${parameters}>`;
}
