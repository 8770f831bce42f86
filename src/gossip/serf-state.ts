import { encode } from '@msgpack/msgpack';
import { gossipLimits } from '../config/defaults.ts';
import type { Decoded } from './message.ts';
import { isPrintable, measureValue } from './msgpack.ts';
import { serfType } from './serf-message.ts';

/** What serf agents tell each other in a full sync, as far as it matters to a member without events. */
export interface SerfState {
  readonly time: number;
  readonly eventTime: number;
  readonly queryTime: number;
  /** The Lamport time of the last intent of each member. */
  readonly statusTimes: ReadonlyMap<string, number>;
  /** Members that went by their own word. */
  readonly leftMembers: readonly string[];
}

/** Field of the map that carries our own state; serf's decoder skips fields that it does not know. */
const ownField = 'Sailring';

const emptyState: SerfState = {
  time: 0,
  eventTime: 0,
  queryTime: 0,
  statusTimes: new Map(),
  leftMembers: [],
};

/**
 * User state of a full sync that a serf agent reads as another agent's, with `own` inside it. Throws
 * RangeError when the whole would be larger than any receiver takes.
 */
export function wrapUserState(own: Uint8Array, serf: SerfState): Uint8Array {
  const map = encode(
    {
      LTime: serf.time,
      StatusLTimes: Object.fromEntries(serf.statusTimes),
      LeftMembers: serf.leftMembers,
      EventLTime: serf.eventTime,
      Events: null,
      QueryLTime: serf.queryTime,
      ...(own.length === 0 ? {} : { [ownField]: own }),
    },
    { sortKeys: true },
  );
  if (map.length + 1 > gossipLimits.userStateBytesMax) {
    throw new RangeError(`user state is larger than ${gossipLimits.userStateBytesMax} bytes`);
  }
  return Buffer.concat([Uint8Array.of(serfType.pushPull), map]);
}

/** What a full sync brought: serf's part, and our own part when a peer of ours sent it. */
export interface UnwrappedState {
  readonly serf: SerfState;
  readonly own: Uint8Array | undefined;
}

/**
 * Reads user state without decoding more than is asked for: an agent's recent events are in it, and may
 * be many. Total on any bytes.
 */
export function unwrapUserState(bytes: Uint8Array): Decoded<UnwrappedState> {
  if (bytes.length === 0) return { ok: false, fault: 'empty' };
  if (bytes[0] !== serfType.pushPull) return { ok: false, fault: 'unsupported' };
  const serf = { ...emptyState };
  let own: Uint8Array | undefined;
  try {
    const end = eachField(bytes.subarray(1), (name, value) => {
      if (name === 'LTime') serf.time = readTime(value);
      else if (name === 'EventLTime') serf.eventTime = readTime(value);
      else if (name === 'QueryLTime') serf.queryTime = readTime(value);
      else if (name === 'StatusLTimes') serf.statusTimes = readTimes(value);
      else if (name === 'LeftMembers') serf.leftMembers = readNames(value);
      else if (name === ownField) own = readBytes(value);
    });
    if (end !== bytes.length - 1) return { ok: false, fault: 'malformed' };
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return { ok: false, fault: 'malformed' };
  }
  return { ok: true, value: { serf, own } };
}

class Malformed extends Error {}

function readTimes(value: Uint8Array): ReadonlyMap<string, number> {
  const times = new Map<string, number>();
  if (value[0] === nil) return times;
  eachField(value, (name, time) => {
    if (times.size < gossipLimits.membersMax) times.set(name, readTime(time));
  });
  return times;
}

function readNames(value: Uint8Array): readonly string[] {
  if (value[0] === nil) return [];
  const { count, at: first } = readHead(value, { fix: 0x90, short: 0xdc });
  const names: string[] = [];
  let at = first;
  for (let i = 0; i < count; i++) {
    const end = endOf(value, at);
    if (names.length < gossipLimits.membersMax) names.push(readName(value.subarray(at, end)));
    at = end;
  }
  return names;
}

/** Calls `take` with each name and encoded value of a map; returns where the map ends. */
function eachField(map: Uint8Array, take: (name: string, value: Uint8Array) => void): number {
  const { count, at: first } = readHead(map, { fix: 0x80, short: 0xde });
  let at = first;
  for (let i = 0; i < count; i++) {
    const nameEnd = endOf(map, at);
    const valueEnd = endOf(map, nameEnd);
    take(readName(map.subarray(at, nameEnd)), map.subarray(nameEnd, valueEnd));
    at = valueEnd;
  }
  return at;
}

/** How many values a list or map has, and where the first begins. */
function readHead(
  value: Uint8Array,
  type: { readonly fix: number; readonly short: number },
): { readonly count: number; readonly at: number } {
  const first = value[0] ?? 0;
  if ((first & 0xf0) === type.fix) return { count: first & 0x0f, at: 1 };
  if (first === type.short) return { count: readUint(value, 1, 2), at: 3 };
  if (first === type.short + 1) return { count: readUint(value, 1, 4), at: 5 };
  throw new Malformed();
}

function endOf(bytes: Uint8Array, at: number): number {
  const end = measureValue(bytes, at);
  if (typeof end !== 'number') throw new Malformed();
  return end;
}

const nil = 0xc0;

function readTime(value: Uint8Array): number {
  const first = value[0]!;
  const time = first < 0x80 ? first : readUint(value, 1, uintBytes.get(first) ?? 0);
  if (time > gossipLimits.lamportTimeMax) throw new Malformed();
  return time;
}

/** Unsigned integers by their first byte; Go writes small signed ones as these, too. */
const uintBytes: ReadonlyMap<number, number> = new Map([
  [0xcc, 1],
  [0xcd, 2],
  [0xce, 4],
  [0xcf, 8],
  [0xd1, 2],
  [0xd2, 4],
  [0xd3, 8],
]);

function readUint(bytes: Uint8Array, at: number, count: number): number {
  if (count === 0 || at + count > bytes.length) throw new Malformed();
  let value = 0;
  for (let i = at; i < at + count; i++) value = value * 256 + bytes[i]!;
  return value;
}

function readName(value: Uint8Array): string {
  const bytes = readBytes(value);
  const name = Buffer.from(bytes).toString('utf8');
  if (bytes.length > gossipLimits.nameBytesMax || !isPrintable(name)) throw new Malformed();
  return name;
}

/** The content of a string or byte field. */
function readBytes(value: Uint8Array): Uint8Array {
  const first = value[0]!;
  const lengthBytes = stringLengthBytes(first);
  return value.subarray(1 + lengthBytes);
}

function stringLengthBytes(type: number): number {
  if (type >= 0xa0 && type <= 0xbf) return 0;
  if (type === 0xc4 || type === 0xd9) return 1;
  if (type === 0xc5 || type === 0xda) return 2;
  if (type === 0xc6 || type === 0xdb) return 4;
  throw new Malformed();
}
