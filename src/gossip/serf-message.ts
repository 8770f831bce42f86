import { encode } from '@msgpack/msgpack';
import { gossipLimits } from '../config/defaults.ts';
import { addressBytes, type Endpoint } from './address.ts';
import type { Decoded } from './message.ts';
import { Fields, isPrintable, MalformedFields, measureValue } from './msgpack.ts';

/** First byte of what serf agents put into user messages and into the user state of a full sync. */
export const serfType = {
  leave: 0,
  join: 1,
  pushPull: 2,
  userEvent: 3,
  query: 4,
  queryResponse: 5,
  keyRequest: 7,
  keyResponse: 8,
  relay: 9,
} as const;

/** A member means to go, or is here after all, at this Lamport time. */
export interface Intent {
  readonly kind: 'leave' | 'join';
  readonly time: number;
  readonly node: string;
}

/** Something that an operator fired at all agents; only passed on here. */
export interface UserEvent {
  readonly kind: 'userEvent';
  readonly time: number;
}

/** A question to all members, answered directly to who asked. */
export interface Query {
  readonly kind: 'query';
  readonly time: number;
  readonly id: number;
  /** Where answers go. */
  readonly source: Endpoint;
  readonly sourceNode: string;
  /** Each: its type, then msgpack. All must match. */
  readonly filters: readonly Uint8Array[];
  /** Whoever passes the filters says at once that it heard. */
  readonly isAckWanted: boolean;
  readonly isForUsAlone: boolean;
  readonly timeoutMs: number;
  readonly name: string;
  readonly payload: Uint8Array;
}

export interface QueryResponse {
  readonly kind: 'queryResponse';
  readonly time: number;
  readonly id: number;
  readonly from: string;
  readonly isAck: boolean;
  readonly payload: Uint8Array;
}

/** An answer that another member is to pass to who asked, because the direct way may fail. */
export interface Relay {
  readonly kind: 'relay';
  readonly to: Endpoint;
  readonly body: Uint8Array;
}

export type SerfMessage = Intent | UserEvent | Query | QueryResponse | Relay;

/** What one member answers to an operation on its keys. */
export interface KeyAnswer {
  readonly isDone: boolean;
  /** Why not; or a remark. */
  readonly message: string;
  /** Base64, the one that encrypts first; of `list` only. */
  readonly keys: readonly string[];
}

const ackFlag = 1;
const noBroadcastFlag = 2;
const uint32Max = 0xffff_ffff;
const portMax = 0xffff;
const nanosecondsPerMs = 1_000_000;

/** Reads one message of serf. Total: any bytes give a message or a fault. */
export function decodeSerfMessage(bytes: Uint8Array): Decoded<SerfMessage> {
  if (bytes.length === 0) return { ok: false, fault: 'empty' };
  if (bytes.length > gossipLimits.userMessageBytesMax) return { ok: false, fault: 'too-large' };
  const body = bytes.subarray(1);
  try {
    const value = bytes[0] === serfType.relay ? readRelay(body) : readMap(bytes[0]!, body);
    return value === undefined ? { ok: false, fault: 'unsupported' } : { ok: true, value };
  } catch {
    return { ok: false, fault: 'malformed' };
  }
}

function readMap(type: number, body: Uint8Array): SerfMessage | undefined {
  switch (type) {
    case serfType.leave:
    case serfType.join:
      return readIntent(type === serfType.leave ? 'leave' : 'join', Fields.read(body));
    case serfType.userEvent:
      return { kind: 'userEvent', time: readTime(Fields.read(body)) };
    case serfType.query:
      return readQuery(Fields.read(body));
    case serfType.queryResponse:
      return readResponse(Fields.read(body));
    default:
      return undefined;
  }
}

function readIntent(kind: Intent['kind'], fields: Fields): Intent {
  const node = fields.memberName('Node');
  if (node === '') throw new MalformedFields('Node');
  return { kind, time: readTime(fields), node };
}

function readQuery(fields: Fields): Query {
  const flags = fields.uint('Flags', uint32Max);
  return {
    kind: 'query',
    time: readTime(fields),
    id: fields.uint('ID', uint32Max),
    source: { address: fields.address('Addr'), port: fields.uint('Port', portMax) },
    sourceNode: fields.memberName('SourceNode'),
    filters: fields.bytesList('Filters', gossipLimits.userMessageBytesMax),
    isAckWanted: (flags & ackFlag) !== 0,
    isForUsAlone: (flags & noBroadcastFlag) !== 0,
    timeoutMs: fields.uint('Timeout', Number.MAX_SAFE_INTEGER) / nanosecondsPerMs,
    name: fields.text('Name', gossipLimits.userMessageBytesMax),
    payload: fields.bytes('Payload', gossipLimits.userMessageBytesMax),
  };
}

function readResponse(fields: Fields): QueryResponse {
  return {
    kind: 'queryResponse',
    time: readTime(fields),
    id: fields.uint('ID', uint32Max),
    from: fields.memberName('From'),
    isAck: (fields.uint('Flags', uint32Max) & ackFlag) !== 0,
    payload: fields.bytes('Payload', gossipLimits.userMessageBytesMax),
  };
}

/** A head that says whereto, and behind it the message as it is to be sent. */
function readRelay(body: Uint8Array): Relay {
  const end = measureValue(body, 0);
  if (typeof end !== 'number') throw new MalformedFields('relay');
  const to = Fields.read(body.subarray(0, end)).map('DestAddr');
  return {
    kind: 'relay',
    to: { address: to.address('IP'), port: to.uint('Port', portMax) },
    body: Uint8Array.from(body.subarray(end)),
  };
}

function readTime(fields: Fields): number {
  return fields.uint('LTime', gossipLimits.lamportTimeMax);
}

export function encodeIntent({ kind, time, node }: Intent): Uint8Array {
  const prune = kind === 'leave' ? { Prune: false } : {};
  return typed(serfType[kind], { LTime: time, Node: node, ...prune });
}

export function encodeQuery(query: Query): Uint8Array {
  return typed(serfType.query, {
    LTime: query.time,
    ID: query.id,
    Addr: addressBytes(query.source.address) ?? null,
    Port: query.source.port,
    SourceNode: query.sourceNode,
    Filters: query.filters.length === 0 ? null : query.filters,
    Flags: (query.isAckWanted ? ackFlag : 0) | (query.isForUsAlone ? noBroadcastFlag : 0),
    RelayFactor: 0,
    Timeout: Math.round(query.timeoutMs * nanosecondsPerMs),
    Name: query.name,
    Payload: query.payload,
  });
}

export function encodeResponse(response: QueryResponse): Uint8Array {
  return typed(serfType.queryResponse, {
    LTime: response.time,
    ID: response.id,
    From: response.from,
    Flags: response.isAck ? ackFlag : 0,
    Payload: response.payload.length === 0 ? null : response.payload,
  });
}

/** The payload of a query about keys; no bytes for `list`. */
export function encodeKeyRequest(key: Uint8Array): Uint8Array {
  return typed(serfType.keyRequest, { Key: key });
}

export function decodeKeyRequest(payload: Uint8Array): Uint8Array | undefined {
  return attempt(payload, serfType.keyRequest, (fields) =>
    fields.bytes('Key', gossipLimits.userMessageBytesMax),
  );
}

export function encodeKeyAnswer({ isDone, message, keys }: KeyAnswer): Uint8Array {
  return typed(serfType.keyResponse, {
    Result: isDone,
    Message: message,
    Keys: keys.length === 0 ? null : keys,
    PrimaryKey: keys[0] ?? '',
  });
}

export function decodeKeyAnswer(payload: Uint8Array): KeyAnswer | undefined {
  return attempt(payload, serfType.keyResponse, (fields) => ({
    isDone: fields.flag('Result'),
    message: printable(fields.text('Message', gossipLimits.userMessageBytesMax)),
    keys: fields
      .bytesList('Keys', gossipLimits.userMessageBytesMax)
      .map((key) => printable(Buffer.from(key).toString('latin1'))),
  }));
}

/** The names in a filter by name; undefined for a filter of another kind, or a broken one. */
export function decodeNameFilter(filter: Uint8Array): readonly string[] | undefined {
  if (filter[0] !== 0) return undefined;
  try {
    return Fields.readList(filter.subarray(1), gossipLimits.nameBytesMax).map((name) =>
      Buffer.from(name).toString('utf8'),
    );
  } catch {
    return undefined;
  }
}

/** Ends in the operator's terminal. */
function printable(text: string): string {
  if (!isPrintable(text)) throw new MalformedFields('text');
  return text;
}

function attempt<T>(payload: Uint8Array, type: number, read: (fields: Fields) => T): T | undefined {
  if (payload[0] !== type) return undefined;
  try {
    return read(Fields.read(payload.subarray(1)));
  } catch {
    return undefined;
  }
}

function typed(type: number, fields: Readonly<Record<string, unknown>>): Uint8Array {
  return Buffer.concat([Uint8Array.of(type), encode(fields, { sortKeys: true })]);
}
