import type { Logger } from 'pino';
import type { sipSocketLimits } from '../../config/defaults.ts';
import type { SipConnectionsConfig } from '../../config/config.ts';
import type { Arrival } from '../../pipeline/arrival.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { NetworkSet } from '../../pipeline/network.ts';

export type SipSocketLimits = Readonly<Record<keyof typeof sipSocketLimits, number>>;

/** What all SIP transports of a peer share. */
export interface TransportContext {
  readonly receive: (message: Buffer, arrival: Arrival) => void;
  readonly counters: Counters;
  /** Milliseconds that never run backwards. */
  readonly now: () => number;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly connections: SipConnectionsConfig;
  /** Sources that may have any number of connections. */
  readonly unlimited: NetworkSet;
  readonly limits: SipSocketLimits;
}
