import { Decoder } from '@msgpack/msgpack';
import { gossipLimits } from '../config/defaults.ts';
import { addressText } from './address.ts';

/** Thrown inside the codec only; its entry points turn it into a returned fault. */
export class MalformedFields extends Error {}

const shortTextBytes = 32;
/** One for nearly all messages: making one costs as much as reading a ping. */
const usualDecoder: Decoder = smallDecoder(gossipLimits.elementBytesMax);
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The fields of one msgpack map. Old go-msgpack writes byte fields as strings, so strings are kept as
 * bytes until a field says what it is. A field that is absent has Go's zero value.
 */
export class Fields {
  readonly #map: Readonly<Record<string, unknown>>;

  private constructor(map: Readonly<Record<string, unknown>>) {
    this.#map = map;
  }

  /** Reads exactly one map; throws (MalformedFields or the decoder's error) on anything else. */
  static read(body: Uint8Array, fieldBytesMax?: number): Fields {
    const value = decodeSmall(body, fieldBytesMax);
    if (!isMap(value)) throw new MalformedFields('not a map');
    return new Fields(value);
  }

  /** Reads exactly one list of byte fields; throws as `read` does. */
  static readList(body: Uint8Array, max: number): readonly Uint8Array[] {
    return byteFields(decodeSmall(body), max, 'list');
  }

  uint(name: string, max: number): number {
    const value = this.#map[name] ?? 0;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > max) {
      throw new MalformedFields(name);
    }
    return value;
  }

  flag(name: string): boolean {
    const value = this.#map[name] ?? false;
    if (typeof value !== 'boolean') throw new MalformedFields(name);
    return value;
  }

  /** A copy: it must not keep the whole packet in memory. */
  bytes(name: string, max: number): Uint8Array {
    const value = this.view(name);
    if (value.length > max) throw new MalformedFields(name);
    return new Uint8Array(value);
  }

  /** The bytes where they stand in what was read. */
  view(name: string): Uint8Array {
    const value = this.#map[name];
    if (value === undefined || value === null) return new Uint8Array(0);
    if (!(value instanceof Uint8Array)) throw new MalformedFields(name);
    return value;
  }

  /** Byte fields of at most `max` bytes each; none when absent. */
  bytesList(name: string, max: number): readonly Uint8Array[] {
    return byteFields(this.#map[name] ?? [], max, name);
  }

  map(name: string): Fields {
    const value = this.#map[name];
    if (!isMap(value)) throw new MalformedFields(name);
    return new Fields(value);
  }

  text(name: string, max: number): string {
    const value = this.view(name);
    if (value.length > max) throw new MalformedFields(name);
    return shortAscii(value) ?? utf8.decode(value);
  }

  /** A member name: printable, because it ends in logs; may be empty, which the caller judges. */
  memberName(name: string): string {
    const text = this.text(name, gossipLimits.nameBytesMax);
    if (!isPrintable(text)) throw new MalformedFields(name);
    return text;
  }

  /** An IP address as canonical text; '' when absent. */
  address(name: string): string {
    const bytes = this.bytes(name, 16);
    if (bytes.length === 0) return '';
    const text = addressText(bytes);
    if (text === undefined) throw new MalformedFields(name);
    return text;
  }
}

function decodeSmall(
  body: Uint8Array,
  fieldBytesMax: number = gossipLimits.elementBytesMax,
): unknown {
  const isUsual = fieldBytesMax === gossipLimits.elementBytesMax;
  return (isUsual ? usualDecoder : smallDecoder(fieldBytesMax)).decode(body);
}

function smallDecoder(fieldBytesMax: number): Decoder {
  return new Decoder({
    rawStrings: true,
    maxStrLength: fieldBytesMax,
    maxBinLength: fieldBytesMax,
    maxArrayLength: 64,
    maxMapLength: 64,
    maxExtLength: 0,
  });
}

/** Names are short and nearly always ASCII; a text decoder costs more to call than they to read. */
function shortAscii(bytes: Uint8Array): string | undefined {
  if (bytes.length > shortTextBytes) return undefined;
  let text = '';
  for (const byte of bytes) {
    if (byte >= 0x80) return undefined;
    text += String.fromCharCode(byte);
  }
  return text;
}

function byteFields(value: unknown, max: number, name: string): readonly Uint8Array[] {
  if (!Array.isArray(value)) throw new MalformedFields(name);
  return value.map((item: unknown) => {
    if (!(item instanceof Uint8Array) || item.length > max) throw new MalformedFields(name);
    return Uint8Array.from(item);
  });
}

/** True when `text` has no control character. */
export function isPrintable(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return false;
  }
  return true;
}

export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array)
  );
}

/**
 * Where the msgpack value that starts at `start` ends, without decoding it: streams carry values one
 * after the other with no length before them. With `valuesMax`, a value of more values is malformed: what
 * they cost to look at and to decode has nothing to do with their bytes.
 */
export function measureValue(
  bytes: Uint8Array,
  start: number,
  valuesMax: number = Number.POSITIVE_INFINITY,
): number | 'incomplete' | 'malformed' {
  let at = start;
  let left = 1;
  for (let values = 1; left > 0; values++) {
    if (values > valuesMax) return 'malformed';
    if (at >= bytes.length) return 'incomplete';
    const type = bytes[at]!;
    if (type === 0xc1) return 'malformed';
    const lengthBytes = lengthBytesOf(type);
    if (at + 1 + lengthBytes > bytes.length) return 'incomplete';
    const length = readLength(bytes, at + 1, lengthBytes);
    at += 1 + lengthBytes + payloadBytes(type, length);
    left += children(type, length) - 1;
  }
  return at > bytes.length ? 'incomplete' : at;
}

/** Bytes of the length that follows the type byte. */
function lengthBytesOf(type: number): number {
  if (type >= 0xc4 && type <= 0xc9) return [1, 2, 4][(type - 0xc4) % 3]!;
  if (type >= 0xd9 && type <= 0xdb) return [1, 2, 4][type - 0xd9]!;
  if (type >= 0xdc && type <= 0xdf) return type % 2 === 0 ? 2 : 4;
  return 0;
}

function readLength(bytes: Uint8Array, at: number, count: number): number {
  let length = 0;
  for (let i = 0; i < count; i++) length = length * 256 + bytes[at + i]!;
  return length;
}

/** Bytes after type and length that hold no further value. */
function payloadBytes(type: number, length: number): number {
  if (type >= 0xa0 && type <= 0xbf) return type & 0x1f;
  if (type >= 0xc7 && type <= 0xc9) return length + 1;
  if (type >= 0xca && type <= 0xd3) return [4, 8, 1, 2, 4, 8, 1, 2, 4, 8][type - 0xca]!;
  if (type >= 0xd4 && type <= 0xd8) return 1 + (1 << (type - 0xd4));
  return type >= 0xdc ? 0 : length;
}

/** Values inside an array or map. */
function children(type: number, length: number): number {
  if (type >= 0x80 && type <= 0x8f) return 2 * (type & 0x0f);
  if (type >= 0x90 && type <= 0x9f) return type & 0x0f;
  if (type === 0xdc || type === 0xdd) return length;
  if (type === 0xde || type === 0xdf) return 2 * length;
  return 0;
}
