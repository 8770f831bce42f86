import { randomFillSync } from 'node:crypto';
import { crc32 } from 'node:zlib';

const blockBytes = 65_536;

/** What went over a connection: how much, and a checksum over all of it in order. */
export interface BodyReading {
  readonly bytes: number;
  readonly crc32: number;
}

/** Reads a body piece by piece and keeps nothing of it. */
export async function readBody(body: AsyncIterable<Uint8Array>): Promise<BodyReading> {
  const reading = { bytes: 0, crc32: 0 };
  for await (const piece of body) add(reading, piece);
  return reading;
}

/**
 * Random blocks that each begin with their number, so that a lost, doubled or swapped piece shows;
 * `reading` says what was given so far.
 */
export class StreamBody implements Iterable<Uint8Array> {
  readonly reading: { bytes: number; crc32: number } = { bytes: 0, crc32: 0 };
  readonly #bytes: number;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  *[Symbol.iterator](): Iterator<Uint8Array> {
    const pattern = randomFillSync(Buffer.alloc(blockBytes));
    for (let left = this.#bytes; left > 0; left -= blockBytes) {
      const block = Buffer.from(pattern.subarray(0, Math.min(left, blockBytes)));
      if (block.length >= 8) block.writeBigUInt64BE(BigInt(left));
      add(this.reading, block);
      yield block;
    }
  }
}

function add(reading: { bytes: number; crc32: number }, piece: Uint8Array): void {
  reading.bytes += piece.length;
  reading.crc32 = crc32(piece, reading.crc32);
}
