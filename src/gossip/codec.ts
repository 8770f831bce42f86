import { gossipLimits } from '../config/defaults.ts';
import { addressBytes } from './address.ts';
import { MapWriter, type WireValue } from './map-writer.ts';
import {
  memberStates,
  type Decoded,
  type Message,
  type RemoteState,
  type WireFault,
} from './message.ts';
import { Fields } from './msgpack.ts';

/** First byte of a message, as memberlist numbers them. */
export const wireType = {
  ping: 0,
  indirectPing: 1,
  ack: 2,
  suspect: 3,
  alive: 4,
  dead: 5,
  pushPull: 6,
  compound: 7,
  user: 8,
  compressed: 9,
  encrypted: 10,
  nack: 11,
  checksum: 12,
  error: 13,
  label: 244,
} as const;

/** Protocol versions that we speak and announce: 1 to 5, speaking 2; serf's delegate 2 to 5, 4. */
export const ourVersions: Uint8Array = Uint8Array.of(1, 5, 2, 2, 5, 4);

/** One for all messages: it keeps its buffer. */
const writer = new MapWriter();

const uint32Max = 0xffff_ffff;
const portMax = 0xffff;
const versionBytesMax = 16;

/**
 * One message as bytes: its type and a msgpack map, whose keys have the order of their bytes, as memberlist
 * writes it.
 */
export function encodeMessage(message: Message): Uint8Array {
  if (message.kind === 'user')
    return Buffer.concat([Uint8Array.of(wireType.user), message.payload]);
  return writer.write(wireType[message.kind], messageFields(message));
}

/** Reads one message. Total: any bytes give a message or a fault, never an exception. */
export function decodeMessage(bytes: Uint8Array): Decoded<Message> {
  if (bytes.length === 0) return fault('empty');
  if (bytes.length > gossipLimits.elementBytesMax) return fault('too-large');
  const body = bytes.subarray(1);
  if (bytes[0] === wireType.user) {
    return { ok: true, value: { kind: 'user', payload: Uint8Array.from(body) } };
  }
  const read = readers.get(bytes[0]!);
  if (read === undefined) return fault('unsupported');
  try {
    return { ok: true, value: read(Fields.read(body)) };
  } catch {
    return fault('malformed');
  }
}

/** Head of a full sync: how many states and bytes of user data follow. */
export interface PushPullHeader {
  readonly nodes: number;
  readonly userStateLen: number;
  readonly join: boolean;
}

export function encodePushPullHeader(header: PushPullHeader): Uint8Array {
  const { nodes, userStateLen, join } = header;
  return writer.write(undefined, { Join: join, Nodes: nodes, UserStateLen: userStateLen });
}

export function decodePushPullHeader(body: Uint8Array): Decoded<PushPullHeader> {
  return attempt(() => {
    const fields = Fields.read(body);
    return {
      nodes: fields.uint('Nodes', uint32Max),
      userStateLen: fields.uint('UserStateLen', uint32Max),
      join: fields.flag('Join'),
    };
  });
}

export function encodeRemoteState(state: RemoteState): Uint8Array {
  return writer.write(undefined, {
    Addr: wireAddress(state.address),
    Incarnation: state.incarnation,
    Meta: wireBytes(state.meta),
    Name: state.name,
    Port: state.port,
    State: memberStates.indexOf(state.state),
    Vsn: wireBytes(state.versions),
  });
}

export function decodeRemoteState(body: Uint8Array): Decoded<RemoteState> {
  return attempt(() => {
    const fields = Fields.read(body);
    return {
      name: fields.memberName('Name'),
      address: fields.address('Addr'),
      port: fields.uint('Port', portMax),
      meta: fields.bytes('Meta', gossipLimits.metaBytesMax),
      incarnation: fields.uint('Incarnation', uint32Max),
      state: memberStates[fields.uint('State', memberStates.length - 1)]!,
      versions: fields.bytes('Vsn', versionBytesMax),
    };
  });
}

const readers: ReadonlyMap<number, (fields: Fields) => Message> = new Map<
  number,
  (fields: Fields) => Message
>([
  [wireType.ping, (fields) => ({ kind: 'ping', ...readPing(fields) })],
  [
    wireType.indirectPing,
    (fields) => ({
      kind: 'indirectPing',
      ...readPing(fields),
      address: fields.address('Target'),
      port: fields.uint('Port', portMax),
      nack: fields.flag('Nack'),
    }),
  ],
  [
    wireType.ack,
    (fields) => ({
      kind: 'ack',
      seqNo: fields.uint('SeqNo', uint32Max),
      payload: fields.bytes('Payload', gossipLimits.elementBytesMax),
    }),
  ],
  [wireType.nack, (fields) => ({ kind: 'nack', seqNo: fields.uint('SeqNo', uint32Max) })],
  [wireType.suspect, (fields) => ({ kind: 'suspect', ...readAccusation(fields) })],
  [wireType.dead, (fields) => ({ kind: 'dead', ...readAccusation(fields) })],
  [
    wireType.alive,
    (fields) => ({
      kind: 'alive',
      incarnation: fields.uint('Incarnation', uint32Max),
      node: fields.memberName('Node'),
      address: fields.address('Addr'),
      port: fields.uint('Port', portMax),
      meta: fields.bytes('Meta', gossipLimits.metaBytesMax),
      versions: fields.bytes('Vsn', versionBytesMax),
    }),
  ],
  [
    wireType.error,
    (fields) => ({ kind: 'error', error: fields.text('Error', gossipLimits.elementBytesMax) }),
  ],
]);

interface PingFields {
  readonly seqNo: number;
  readonly node: string;
  readonly sourceAddress: string;
  readonly sourcePort: number;
  readonly sourceNode: string;
}

function readPing(fields: Fields): PingFields {
  return {
    seqNo: fields.uint('SeqNo', uint32Max),
    node: fields.memberName('Node'),
    sourceAddress: fields.address('SourceAddr'),
    sourcePort: fields.uint('SourcePort', portMax),
    sourceNode: fields.memberName('SourceNode'),
  };
}

function readAccusation(fields: Fields): { incarnation: number; node: string; from: string } {
  return {
    incarnation: fields.uint('Incarnation', uint32Max),
    node: fields.memberName('Node'),
    from: fields.memberName('From'),
  };
}

function messageFields(
  message: Exclude<Message, { kind: 'user' }>,
): Readonly<Record<string, WireValue | undefined>> {
  switch (message.kind) {
    case 'ping':
      return { Node: message.node, SeqNo: message.seqNo, ...source(message) };
    case 'indirectPing':
      return {
        Nack: message.nack,
        Node: message.node,
        Port: message.port,
        SeqNo: message.seqNo,
        ...source(message),
        Target: wireAddress(message.address),
      };
    case 'ack':
      return { Payload: wireBytes(message.payload), SeqNo: message.seqNo };
    case 'nack':
      return { SeqNo: message.seqNo };
    case 'suspect':
    case 'dead':
      return { From: message.from, Incarnation: message.incarnation, Node: message.node };
    case 'alive':
      return {
        Addr: wireAddress(message.address),
        Incarnation: message.incarnation,
        Meta: wireBytes(message.meta),
        Node: message.node,
        Port: message.port,
        Vsn: wireBytes(message.versions),
      };
    case 'error':
      return { Error: message.error };
  }
}

/** The sender's own address: memberlist leaves out what is empty. */
function source(fields: {
  readonly sourceAddress: string;
  readonly sourcePort: number;
  readonly sourceNode: string;
}): {
  readonly SourceAddr: Uint8Array | null | undefined;
  readonly SourceNode: string | undefined;
  readonly SourcePort: number | undefined;
} {
  const { sourceAddress, sourcePort, sourceNode } = fields;
  return {
    SourceAddr: sourceAddress === '' ? undefined : wireAddress(sourceAddress),
    SourceNode: sourceNode === '' ? undefined : sourceNode,
    SourcePort: sourcePort === 0 ? undefined : sourcePort,
  };
}

/** Go writes a nil slice as nil. */
function wireBytes(bytes: Uint8Array): Uint8Array | null {
  return bytes.length === 0 ? null : bytes;
}

function wireAddress(address: string): Uint8Array | null {
  return addressBytes(address) ?? null;
}

function attempt<T>(read: () => T): Decoded<T> {
  try {
    return { ok: true, value: read() };
  } catch {
    return fault('malformed');
  }
}

function fault(code: WireFault): { readonly ok: false; readonly fault: WireFault } {
  return { ok: false, fault: code };
}
