/**
 * Why a request went to its instance, in the order in which the pipeline asks.
 *
 * - `flow`: a flow token named the connection (RFC 5626)
 * - `stamp`: `beroute` named a living instance
 * - `stamp-key`: the stamped instance is gone, `bekey` chose on the ring
 * - `addressed`: Route or Request-URI named a living instance
 * - `memory`: the transaction memory or directory knew it
 * - `rule`, `plugin`: Data Centric Rules gave the key
 * - `fallback`: From tag and Call-ID (SIP), remote host and port (HTTP)
 * - `round-robin`: pure web traffic without a session
 */
export type RoutingReason =
  | 'flow'
  | 'stamp'
  | 'stamp-key'
  | 'addressed'
  | 'memory'
  | 'rule'
  | 'plugin'
  | 'fallback'
  | 'round-robin';

/** What the ingress peer decided; it travels beside the message, never inside it. */
export interface Envelope {
  /** 22 characters, or empty where no key was needed (round robin). */
  readonly keyDigest: string;
  /** Name of the instance that serves the message. */
  readonly instance: string;
  readonly reason: RoutingReason;
  /** Version of the ring that the ingress peer decided with. */
  readonly ringVersion: string;
  /** Peer that received the message from outside and owns the client's flow. */
  readonly ingressPeer: string;
  /** Links crossed so far: 0 at the ingress peer, never more than 2. */
  readonly hop: 0 | 1 | 2;
  /**
   * {@link assignmentKey} of the request when the owning peer's directory shall know it; empty for
   * what a stamp routed.
   */
  readonly transaction: string;
  /** HTTP: whoever gets the request is the last to be asked, so even a server that keeps failing is tried. */
  readonly isLastOffer?: boolean;
}
