/**
 * Bytes that arrived and are not read yet. Grows by doubling, so that many small pieces cost no more
 * than one large one.
 */
export class ByteWindow {
  #bytes: Uint8Array = new Uint8Array(0);
  #start = 0;
  #end = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  append(piece: Uint8Array): void {
    if (this.#end + piece.length > this.#bytes.length) this.#makeRoom(piece.length);
    this.#bytes.set(piece, this.#end);
    this.#end += piece.length;
  }

  /** What is not read yet, good until the next `append`. */
  view(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** Counts bytes as read. */
  skip(count: number): void {
    this.#start += count;
  }

  /** Gives the memory back. */
  clear(): void {
    this.#bytes = new Uint8Array(0);
    this.#start = 0;
    this.#end = 0;
  }

  #makeRoom(needed: number): void {
    const unread = this.view();
    this.#bytes = new Uint8Array(Math.max(unread.length + needed, 2 * unread.length));
    this.#bytes.set(unread);
    this.#start = 0;
    this.#end = unread.length;
  }
}
