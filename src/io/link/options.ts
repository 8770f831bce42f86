import { linkLimits, transactionLimits } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { LinkHandler } from './link.ts';

/** The numbers of `linkLimits` and those of asking, of which tests may set their own. */
export type LinkLimits = Readonly<
  Record<keyof typeof linkLimits | 'askTimeoutMs' | 'asksMax', number>
>;

export const defaultLimits: LinkLimits = {
  ...linkLimits,
  askTimeoutMs: transactionLimits.askTimeoutMs,
  asksMax: transactionLimits.asksMax,
};

/** Where links tell what an operator may want to know; a pino logger fits. */
export interface LinkLog {
  info(details: object, text: string): void;
  warn(details: object, text: string): void;
  error(details: object, text: string): void;
}

/** PEM files of this peer; all peers trust one CA, and the certificate's SAN names the peer. */
export interface LinkTlsFiles {
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
}

export interface LinkOptions {
  /** Member name of this peer, and the start epoch of its process. */
  readonly self: { readonly name: string; readonly epoch: number };
  /** Peers of another cluster name are refused. */
  readonly cluster: string;
  /** Where the link server listens; port 0 takes a free one. */
  readonly listen: { readonly address: string; readonly port: number };
  /** Mutual TLS. Without it links are plaintext, which is refused off loopback. */
  readonly tls?: LinkTlsFiles;
  /** Allows plaintext on an address that is not loopback. Default false. */
  readonly insecure?: boolean;
  readonly handler: LinkHandler;
  readonly counters: Counters;
  readonly log: LinkLog;
  /** A peer's link broke or could not be made: a reason to probe the peer at once. */
  readonly onPeerFailed?: (peer: string) => void;
  /** The link to a peer takes work from now on. */
  readonly onPeerUp?: (peer: string) => void;
  /** Body bytes of an exchange that is served here went over a link, in either direction. */
  readonly onBodyBytes?: (bytes: number) => void;
  /** Default `linkLimits` and `transactionLimits`. */
  readonly limits?: Partial<LinkLimits>;
}
