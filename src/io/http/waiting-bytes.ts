import { httpLimits } from '../../config/defaults.ts';

/**
 * Bytes of a client that wait until something before them is done. Joined once, when they are taken up:
 * a client that sends them one by one must not make each cost a copy of all.
 */
export class WaitingBytes {
  #pieces: Buffer[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** No more should come: there are enough bytes, or pieces, each of which costs memory of its own. */
  get isFull(): boolean {
    const { pipelinedBytesMax, pipelinedPiecesMax } = httpLimits;
    return this.#bytes > pipelinedBytesMax || this.#pieces.length >= pipelinedPiecesMax;
  }

  add(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
  }

  /** All of them, in order; undefined when there are none. */
  take(): Buffer | undefined {
    const [first] = this.#pieces;
    if (first === undefined) return undefined;
    const all = this.#pieces.length === 1 ? first : Buffer.concat(this.#pieces, this.#bytes);
    this.#pieces = [];
    this.#bytes = 0;
    return all;
  }
}
