import type { Arrival, ListenerNames } from '../../pipeline/arrival.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { ResponseTarget } from '../../pipeline/return-response.ts';

export interface UpstreamSipOptions {
  /** Where the upstream SIP server listens, and from where it sends over UDP. */
  readonly host: string;
  readonly port: number;
  /** Transport of what is delivered to it; it may send over both. */
  readonly transport: 'udp' | 'tcp';
  /** Further `ip` or `ip:port` from which it sends; without a port, that of `port`. */
  readonly extraServerNodes: readonly string[];
  /** Address of our UDP and TCP sockets for it; port 0 takes one that is free for both. */
  readonly local: { readonly address: string; readonly port: number };
  /** `host:port` by which the server reaches them. Default: the address that was bound. */
  readonly advertise?: string | undefined;
  readonly counters: Counters;
  readonly now: () => number;
  readonly log: { warn(details: object, message: string): void };
  /** A request of the application, which uses this peer as its outbound proxy. */
  readonly request: (message: Buffer, arrival: Arrival) => void;
  /** A response that the upstream server wrote. */
  readonly response: (message: Buffer) => void;
  /** A request that was taken but cannot be delivered after all. */
  readonly refused: (message: Buffer) => void;
  /** Finds the addresses of `host` where that is a name. Default: the system's resolver. */
  readonly lookup?: (host: string) => Promise<readonly string[]>;
}

/**
 * The SIP half of an upstream application: a server beside the peer. What is delivered goes out over
 * one transport; its own requests and responses come in over both. Flows are named `a0` (UDP) and
 * `a1-<connection>`.
 */
export interface UpstreamSip {
  /** Binds the local address. Rejects when it cannot be bound, not when the server is not there. */
  start(): Promise<void>;
  /** `host:port` that our Via names to the upstream server. */
  readonly localAddress: string;
  /** As the Via names it. */
  readonly transport: 'UDP' | 'TCP';
  /** Names of the sockets, which the arrivals of {@link UpstreamSipOptions.request} carry. */
  readonly listeners: readonly ListenerNames[];
  /** Takes a final request. False: the server is known to be unreachable; nothing was sent. */
  deliver(message: Buffer): boolean;
  /** The same for a response that another peer hands over; lost when it cannot be sent after all. */
  deliverResponse(message: Buffer): boolean;
  /**
   * Sends a response to a request of the application: on the flow it came in on, over UDP to
   * `target`. Anybody but the application and its extra nodes gets nothing.
   */
  answer(flow: string, target: ResponseTarget): void;
  stop(): Promise<void>;
}

/** Whether a message claims to be a response. */
export function isResponse(message: Buffer): boolean {
  return message.toString('latin1', 0, 8).toUpperCase() === 'SIP/2.0 ';
}
