/**
 * What members tell each other. The names are those of the memberlist wire format, so that a reader
 * can hold this file beside it. Addresses are canonical IP texts; '' when the message carried none.
 */

/** "Are you `node`?" Answered by an ack with the same number. */
export interface Ping {
  readonly kind: 'ping';
  readonly seqNo: number;
  readonly node: string;
  readonly sourceAddress: string;
  readonly sourcePort: number;
  readonly sourceNode: string;
}

/** "Ping `node` at this address for me." */
export interface IndirectPing {
  readonly kind: 'indirectPing';
  readonly seqNo: number;
  readonly address: string;
  readonly port: number;
  readonly node: string;
  /** The asker wants a nack when the target does not answer the relay in time. */
  readonly nack: boolean;
  readonly sourceAddress: string;
  readonly sourcePort: number;
  readonly sourceNode: string;
}

export interface Ack {
  readonly kind: 'ack';
  readonly seqNo: number;
  readonly payload: Uint8Array;
}

/** "I asked for you, and it did not answer": proves that the relay lives. */
export interface Nack {
  readonly kind: 'nack';
  readonly seqNo: number;
}

export interface Suspect {
  readonly kind: 'suspect';
  readonly incarnation: number;
  readonly node: string;
  /** The accuser. */
  readonly from: string;
}

export interface Alive {
  readonly kind: 'alive';
  readonly incarnation: number;
  readonly node: string;
  readonly address: string;
  readonly port: number;
  readonly meta: Uint8Array;
  /** Protocol versions: min, max, current; delegate min, max, current. Empty: not told. */
  readonly versions: Uint8Array;
}

/** From another: failed. From the node itself: it left. */
export interface Dead {
  readonly kind: 'dead';
  readonly incarnation: number;
  readonly node: string;
  readonly from: string;
}

/** Something of the application above; understood by serf, skipped by us. */
export interface User {
  readonly kind: 'user';
  readonly payload: Uint8Array;
}

/** Why the other side gave up a stream. */
export interface StreamError {
  readonly kind: 'error';
  readonly error: string;
}

export const memberStates = ['alive', 'suspect', 'dead', 'left'] as const;

/** What a member is held for. `left` went by its own word. */
export type MemberState = (typeof memberStates)[number];

/** One member as a full sync tells it. */
export interface RemoteState {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly meta: Uint8Array;
  readonly incarnation: number;
  readonly state: MemberState;
  readonly versions: Uint8Array;
}

/** All that a member knows; exchanged both ways over one stream. */
export interface PushPull {
  readonly kind: 'pushPull';
  readonly join: boolean;
  readonly states: readonly RemoteState[];
  /** What the layer above keeps the same at all members; empty for none. */
  readonly userState: Uint8Array;
}

export type Message =
  Ping | IndirectPing | Ack | Nack | Suspect | Alive | Dead | User | StreamError;

/** What a packet is counted as: what it is sent for. News may ride on each. */
export type PacketKind = 'ping' | 'indirect-ping' | 'ack' | 'nack' | 'news' | 'user' | 'error';

export function packetKind(messages: readonly Message[]): PacketKind {
  const kind = messages[0]?.kind;
  switch (kind) {
    case 'ping':
    case 'ack':
    case 'nack':
    case 'user':
    case 'error':
      return kind;
    case 'indirectPing':
      return 'indirect-ping';
    default:
      return 'news';
  }
}

export type StreamMessage = Ping | Ack | StreamError | PushPull;

/** Why bytes from outside are not a message; each is counted under its name. */
export type WireFault =
  | 'empty'
  | 'label-missing'
  | 'label-wrong'
  | 'label-unexpected'
  | 'not-encrypted'
  | 'encrypted'
  | 'wrong-key'
  | 'checksum'
  | 'truncated'
  | 'malformed'
  | 'too-large'
  | 'unsupported';

export type Decoded<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly fault: WireFault };
