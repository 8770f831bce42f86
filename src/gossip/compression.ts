import { expandLzw } from './lzw.ts';
import type { Decoded } from './message.ts';
import { Fields } from './msgpack.ts';

const lzwAlgorithm = 0;

/**
 * What stands in a compressed message, without its type byte: a msgpack map of the algorithm and the
 * bytes. Gives at most `bytesMax` bytes.
 */
export function expand(body: Uint8Array, bytesMax: number): Decoded<Uint8Array> {
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
