import type {
  BodyFraming,
  HeaderList,
  RequestHead,
  ResetCode,
  ResponseHead,
} from '../../http/index.ts';
import type { SipTransport } from '../../pipeline/arrival.ts';
import type { Envelope, RoutingReason } from '../../pipeline/envelope.ts';
import type { SipTarget } from '../../pipeline/sip-target.ts';
import type { Assignment } from '../../sip/index.ts';

/** Version of the rules in docs/link.md. Peers of different versions do not link. */
export const protocolVersion = 3;

/** What a lane carries. A large body on the one never delays a message on the other. */
export type LaneKind = 'sip' | 'http';

/** First frame of a lane in each direction. */
export interface HelloFrame {
  readonly kind: 'hello';
  readonly cluster: string;
  readonly peer: string;
  readonly epoch: number;
  readonly protocol: number;
  readonly lane: LaneKind;
  /** Body bytes that the speaker takes per exchange before it gives credit. */
  readonly windowBytes: number;
}

/** The speaker leaves. */
export interface GoodbyeFrame {
  readonly kind: 'goodbye';
}

/** The end of a body, and the bytes that go with it. Grows while it waits to be written. */
export interface BodyPart {
  readonly exchange: number;
  data: Uint8Array;
  end: boolean;
  trailers: HeaderList;
}

export interface HttpOpenFrame extends BodyPart {
  readonly kind: 'open';
  readonly request: RequestHead;
  readonly envelope: Envelope;
}

export interface HttpHeadFrame extends BodyPart {
  readonly kind: 'head';
  readonly response: ResponseHead;
}

export interface HttpDataFrame extends BodyPart {
  readonly kind: 'data';
}

export interface HttpResetFrame {
  readonly kind: 'reset';
  readonly exchange: number;
  readonly code: ResetCode;
}

export interface HttpCreditFrame {
  readonly kind: 'credit';
  readonly exchange: number;
  /** Grows while the frame waits to be written. */
  bytes: number;
}

export type HttpBodyFrame = HttpOpenFrame | HttpHeadFrame | HttpDataFrame;
export type HttpFrame = HttpBodyFrame | HttpResetFrame | HttpCreditFrame;

/** What comes on a SIP lane, as calls of their own: it is the fast path. */
export interface SipFrameSink {
  /** `message` is a view into the batch; whoever keeps it keeps the batch. */
  sipRequest(message: Buffer, envelope: Envelope): void;
  sipResponse(message: Buffer): void;
  toApplication(message: Buffer): void;
  toFlow(message: Buffer, flow: string, target: SipTarget | undefined): void;
  note(transaction: string, assignment: Assignment): void;
  ask(id: number, transaction: string, claim: Assignment | undefined): void;
  answer(id: number, assignment: Assignment | undefined): void;
}

/** What a lane delivers. */
export interface FrameSink extends SipFrameSink {
  http(frame: HttpFrame): void;
  hello(frame: HelloFrame): void;
  goodbye(): void;
}

/** Numbers of `Reason` in link.proto, from 1. */
export const reasons: readonly RoutingReason[] = [
  'flow',
  'stamp',
  'stamp-key',
  'addressed',
  'memory',
  'rule',
  'plugin',
  'fallback',
  'round-robin',
];

/** Numbers of `ResetCode` in link.proto, from 1. */
export const resetCodes: readonly ResetCode[] = [
  'refused',
  'broken',
  'timeout',
  'cancelled',
  'limit',
];

/** Numbers of `FramingKind` in link.proto, from 1. */
export const framingKinds: readonly BodyFraming['kind'][] = ['length', 'chunked', 'tunnel'];

/** Numbers of `LaneKind` in link.proto, from 1. */
export const laneKinds: readonly LaneKind[] = ['sip', 'http'];

/** Names of transports in `ToFlow`. */
export const transports: readonly SipTransport[] = ['UDP', 'TCP', 'TLS', 'WS', 'WSS'];

/** Number of `value` in a table whose first entry has number 1. */
export function numberOf<T>(table: readonly T[], value: T): number {
  return table.indexOf(value) + 1;
}
