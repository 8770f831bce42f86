/**
 * Cuts a byte stream into lines, however it was split. A line that is whole in one piece is not
 * copied; the rest of an unfinished one is kept in a buffer that doubles, so that a stream that
 * drips costs no more than one that pours.
 */
export class LineReader {
  /** Where the last whole line stands: {@link start} to {@link end}, its line feed included. */
  source: Buffer = Buffer.alloc(0);
  start = 0;
  end = 0;
  #kept: Buffer = Buffer.alloc(0);
  #keptBytes = 0;

  /** Bytes of the unfinished line held so far. */
  get pendingBytes(): number {
    return this.#keptBytes;
  }

  /**
   * @returns the offset behind the line feed, the line is in `source`; or -1: there was none, all
   *   bytes are kept
   */
  next(bytes: Buffer, at: number): number {
    const feed = bytes.indexOf(0x0a, at);
    if (feed < 0) {
      this.#keep(bytes, at, bytes.length);
      return -1;
    }
    if (this.#keptBytes === 0) {
      this.source = bytes;
      this.start = at;
      this.end = feed + 1;
      return feed + 1;
    }
    this.#keep(bytes, at, feed + 1);
    this.source = this.#kept;
    this.start = 0;
    this.end = this.#keptBytes;
    this.#keptBytes = 0;
    return feed + 1;
  }

  /** Whether the last line ended with CRLF and held no other CR. */
  get isClean(): boolean {
    const length = this.end - this.start;
    if (length < 2 || this.source[this.end - 2] !== 0x0d) return false;
    return this.source.indexOf(0x0d, this.start) === this.end - 2;
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const wanted = this.#keptBytes + end - start;
    if (wanted > this.#kept.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(256, 2 * this.#kept.length, wanted));
      this.#kept.copy(larger, 0, 0, this.#keptBytes);
      this.#kept = larger;
    }
    bytes.copy(this.#kept, this.#keptBytes, start, end);
    this.#keptBytes = wanted;
  }
}
