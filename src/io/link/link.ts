import type { RequestHead, RequestReceiver, ResponseReceiver } from '../../http/index.ts';
import type { Envelope } from '../../pipeline/envelope.ts';
import type { Question } from '../../pipeline/ports.ts';
import type { SipTarget } from '../../pipeline/sip-target.ts';
import type { Assignment } from '../../sip/index.ts';

/**
 * The gRPC links of one peer to all others: one channel per pair, long-lived streams, batches.
 * Peers are named by their member name; `setPeers` tells which exist and where they listen.
 */
export interface Links {
  /** Binds the server side. Rejects when the address cannot be bound. */
  start(): Promise<void>;
  /** Replaces the list of living members (without this peer). Links of those gone are closed. */
  setPeers(peers: readonly LinkPeer[]): void;
  /** True while a request handed over now would leave at once. */
  isUp(peer: string): boolean;
  /** The link broke a moment ago and the peer does not refuse another: it may be held up and come back. */
  isSilent(peer: string): boolean;
  /** Hands a final SIP request to the owning peer. False: nothing was sent, try the next successor. */
  sendSipRequest(peer: string, message: Buffer, envelope: Envelope): boolean;
  /** Brings a response to the peer that holds the client's flow. False: not sent. */
  sendSipResponse(peer: string, message: Buffer): boolean;
  /** Brings a final response to the application of another peer. False: not sent. */
  sendToApplication(peer: string, message: Buffer): boolean;
  /** Hands a request to the peer that holds the client's flow. False: not sent. */
  sendToFlow(peer: string, flow: string, target: SipTarget | undefined, message: Buffer): boolean;
  /** Leaves a note with the peer's directory; lost, and counted, when there is no link. */
  sendNote(peer: string, transaction: string, assignment: Assignment): void;
  /**
   * Asks directories of peers, all at once. `answered` is called exactly once and never before this
   * returns: with the first assignment that one knows, or undefined when all know none, have no link
   * or `transactionLimits.askTimeoutMs` is up.
   */
  ask(questions: readonly Question[], answered: (assignment: Assignment | undefined) => void): void;
  /** Opens an exchange at the owning peer. Undefined: nothing was sent, try the next successor. */
  openHttp(
    peer: string,
    request: RequestHead,
    envelope: Envelope,
    response: ResponseReceiver,
  ): RequestReceiver | undefined;
  /**
   * Tells every peer that this one leaves, lets running exchanges end until `deadlineMs`, closes.
   *
   * @param asking resolves when nobody here will open an exchange any more
   */
  stop(deadlineMs: number, asking?: Promise<void>): Promise<void>;
}

export interface LinkPeer {
  readonly name: string;
  /** Start epoch: a peer that restarted under the same name has a higher one. */
  readonly epoch: number;
  /** `host:port` of its link server, IPv6 in brackets. */
  readonly address: string;
}

/** What arrives over links; given by `peer.ts`. */
export interface LinkHandler {
  sipRequest(message: Buffer, envelope: Envelope): void;
  sipResponse(message: Buffer): void;
  /** A final response for the application of this peer. */
  toApplication(message: Buffer): void;
  /** A request of another peer's application for a flow of this peer. */
  toFlow(message: Buffer, flow: string, target: SipTarget | undefined): void;
  /** A note for the directory here. */
  note(transaction: string, assignment: Assignment): void;
  /** A question to the directory here; a claim is kept where nothing is known. */
  ask(transaction: string, claim: Assignment | undefined): Assignment | undefined;
  http(request: RequestHead, envelope: Envelope, response: ResponseReceiver): RequestReceiver;
}
