/**
 * Changes to a message, recorded against its original bytes and applied in one copy. Ranges must
 * not overlap; insertions at one place keep the order in which they were recorded.
 */
export class Edits {
  readonly #bytes: Buffer;
  /** Sorted by start. Texts are latin1: bytes one to one as characters. */
  readonly #splices: Splice[] = [];
  #growth = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Replaces `start`..`end` by latin1 text; equal offsets insert, empty text removes. */
  replace(start: number, end: number, text: string): void {
    const splices = this.#splices;
    let at = splices.length;
    while (at > 0 && splices[at - 1]!.start > start) at--;
    splices.splice(at, 0, { start, end, text });
    this.#growth += text.length - (end - start);
  }

  insert(at: number, text: string): void {
    this.replace(at, at, text);
  }

  remove(start: number, end: number): void {
    this.replace(start, end, '');
  }

  /** The edited message, from offset `from` of the original on. */
  toBuffer(from = 0): Buffer {
    const bytes = this.#bytes;
    const result = Buffer.allocUnsafe(bytes.length - from + this.#growth);
    let read = from;
    let written = 0;
    for (const { start, end, text } of this.#splices) {
      written += bytes.copy(result, written, read, start);
      written += result.write(text, written, 'latin1');
      read = end;
    }
    bytes.copy(result, written, read);
    return result;
  }
}

interface Splice {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}
