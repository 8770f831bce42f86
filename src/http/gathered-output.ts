import { httpLimits } from '../config/defaults.ts';

/**
 * Joins the small writes of one turn (a head, a chunk's size, a short body) into one. The caller
 * says when a turn ends, because this room has no clock of its own.
 */
export class GatheredOutput {
  readonly #write: (output: Uint8Array | string) => void;
  readonly #whenTurnEnds: (flush: () => void) => void;
  readonly #flushLater = (): void => {
    this.#isScheduled = false;
    this.flush();
  };
  #pieces: (string | Uint8Array)[] = [];
  #bytes = 0;
  #isScheduled = false;

  /**
   * @param write takes what was joined: bytes, or characters of which each is one byte (latin1)
   * @param whenTurnEnds calls its argument soon, when the running callback has ended
   */
  constructor(
    write: (output: Uint8Array | string) => void,
    whenTurnEnds: (flush: () => void) => void,
  ) {
    this.#write = write;
    this.#whenTurnEnds = whenTurnEnds;
  }

  /** Bytes that wait for the turn's end. */
  get pendingBytes(): number {
    return this.#bytes;
  }

  /** Adds characters, one byte each. */
  text(latin1: string): void {
    this.#add(latin1, latin1.length);
  }

  /** Adds bytes; they must not change afterwards. */
  bytes(chunk: Uint8Array): void {
    if (chunk.length > 0) this.#add(chunk, chunk.length);
  }

  /** Writes what has gathered. */
  flush(): void {
    if (this.#bytes === 0) return;
    const pieces = this.#pieces;
    const [only] = pieces;
    const output = pieces.length === 1 && typeof only === 'object' ? only : textOf(pieces);
    this.#pieces = [];
    this.#bytes = 0;
    this.#write(output);
  }

  /** Forgets what has gathered. */
  clear(): void {
    this.#pieces = [];
    this.#bytes = 0;
  }

  #add(piece: string | Uint8Array, bytes: number): void {
    if (this.#bytes + bytes > httpLimits.gatheredBytesMax) this.flush();
    this.#pieces.push(piece);
    this.#bytes += bytes;
    if (bytes > httpLimits.gatheredBytesMax) {
      this.flush();
    } else if (!this.#isScheduled) {
      this.#isScheduled = true;
      this.#whenTurnEnds(this.#flushLater);
    }
  }
}

/** A short text is cheaper to write than bytes, which would need memory of their own in between. */
function textOf(pieces: readonly (string | Uint8Array)[]): string {
  let text = '';
  for (const piece of pieces) {
    text +=
      typeof piece === 'string'
        ? piece
        : Buffer.from(piece.buffer, piece.byteOffset, piece.length).toString('latin1');
  }
  return text;
}
