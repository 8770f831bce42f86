import type { SipNames } from './arrival.ts';
import type { Counters } from './counters.ts';
import type { Envelope } from './envelope.ts';
import type { KeyDeriver } from './key.ts';
import type { ResponseTarget } from './return-response.ts';
import type { Stamper } from './stamp.ts';
import type { ClusterView } from './view.ts';

/** What the pipeline makes happen; `peer.ts` wires it to the io rooms. All calls are synchronous. */
export interface PipelinePorts {
  /** Gives a final request to the application of an instance, here or over its link. False: nothing was sent. */
  deliver(message: Buffer, envelope: Envelope): boolean;
  /** Brings a response to the peer that holds the flow. False: there is no link to it. */
  relayResponse(peer: string, message: Buffer): boolean;
  /** Sends to a client on the flow that its request came in on. */
  answer(flow: string, target: ResponseTarget): void;
  /** Settles when an ENUM look-up ended, however it ended; never rejects. */
  numberKnown(number: string): Promise<void>;
  /** A defect of ours, caught once per message. */
  defect(error: unknown): void;
}

export interface PipelineOptions {
  readonly names: SipNames;
  readonly stamper: Stamper;
  readonly counters: Counters;
  /** What to do with a stamp that was not signed by this cluster. */
  readonly onInvalidStamp: 'ignore' | 'reject';
  readonly keys: () => KeyDeriver;
  readonly view: () => ClusterView;
  readonly ports: PipelinePorts;
}
