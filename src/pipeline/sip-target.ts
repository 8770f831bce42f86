import type { SipTransport } from './arrival.ts';

/** What a SIP URI says of where its requests go, before any look-up (RFC 3263 section 4). */
export interface SipDestination {
  /** Lower case: `sip` or `sips`. */
  readonly scheme: string;
  /** Host without brackets, or the `maddr` parameter. */
  readonly host: string;
  readonly port: number | undefined;
  /** The `transport` parameter, upper case, when it is a transport we speak. */
  readonly transport: SipTransport | undefined;
}

/** One place where a request can be sent. */
export interface SipTarget {
  readonly transport: SipTransport;
  /** Without brackets. */
  readonly address: string;
  readonly port: number;
  /** Name that a TLS certificate must bear. */
  readonly serverName: string;
}
