import { expandLzw } from './lzw.ts';
import type { Decoded } from './message.ts';
import { Fields, measureValue } from './msgpack.ts';

const lzwAlgorithm = 0;
/** Its map has two fields; a few more may come some day. */
const valuesMax = 16;

/** Where a compressed message ends in `bytes`, without its type byte, which stands before `start`. */
export function measureCompressed(
  bytes: Uint8Array,
  start: number,
): number | 'incomplete' | 'malformed' {
  return measureValue(bytes, start, valuesMax);
}

/**
 * What stands in a compressed message, without its type byte: a msgpack map of the algorithm and the
 * bytes. Gives at most `bytesMax` bytes.
 */
export function expand(body: Uint8Array, bytesMax: number): Decoded<Uint8Array> {
  // Before it is decoded: millions of small values in one message would take gigabytes.
  if (measureCompressed(body, 0) !== body.length) return { ok: false, fault: 'malformed' };
  let packed: Uint8Array;
  try {
    const fields = Fields.read(body, body.length);
    if (fields.uint('Algo', 255) !== lzwAlgorithm) return { ok: false, fault: 'unsupported' };
    packed = fields.view('Buf');
  } catch {
    return { ok: false, fault: 'malformed' };
  }
  return expandLzw(packed, bytesMax);
}
