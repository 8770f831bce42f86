import type { Counters } from '../../pipeline/counters.ts';

export interface UpstreamSipOptions {
  /** Where the upstream SIP server listens, and from where it answers. */
  readonly host: string;
  readonly port: number;
  readonly transport: 'udp' | 'tcp';
  /** Local address that our Via names to it; port 0 takes any. For TCP only the address is used. */
  readonly local: { readonly address: string; readonly port: number };
  readonly counters: Counters;
  readonly now: () => number;
  /** A response that the upstream server wrote. */
  readonly response: (message: Buffer) => void;
  /** A request that was taken but cannot be delivered after all. */
  readonly refused: (message: Buffer) => void;
}

/** The SIP half of an upstream application: a server beside the peer, over UDP or TCP. */
export interface UpstreamSip {
  /** Binds the local address. Rejects when it cannot be bound. */
  start(): Promise<void>;
  /** `host:port` that our Via names to the upstream server. */
  readonly localAddress: string;
  /** As the Via names it. */
  readonly transport: 'UDP' | 'TCP';
  /** False: the server is known to be unreachable; nothing was sent. */
  deliver(message: Buffer): boolean;
  stop(): Promise<void>;
}

/** Passes responses on; requests of the application have no way out of this peer yet. */
export function takeFromUpstream(message: Buffer, options: UpstreamSipOptions): void {
  const isResponse = message.toString('latin1', 0, 8).toUpperCase() === 'SIP/2.0 ';
  if (isResponse) options.response(message);
  else
    options.counters.count(
      'sip_drops',
      message.length <= 4 ? 'keep-alive' : 'request-of-application',
    );
}
