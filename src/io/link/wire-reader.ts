import type { Buffer } from 'node:buffer';

/**
 * Reads protobuf fields from a batch. It never throws: the first fault is kept in `faulty`, and from
 * then on every read gives nothing and every loop over `more` ends.
 */
export class WireReader {
  readonly bytes: Buffer;
  position = 0;
  faulty = false;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  more(end: number): boolean {
    return this.position < end && !this.faulty;
  }

  fail(): void {
    this.faulty = true;
  }

  /** An unsigned varint up to 2^53 - 1; 0 on a fault. */
  varint(end: number): number {
    const bytes = this.bytes;
    let factor = 1;
    let value = 0;
    while (this.position < end) {
      const byte = bytes[this.position++]!;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        if (value <= Number.MAX_SAFE_INTEGER) return value;
        break;
      }
      factor *= 0x80;
      if (factor > 0x2_0000_0000_0000) break;
    }
    this.faulty = true;
    return 0;
  }

  /** An unsigned 32-bit varint; 0 on a fault. */
  uint32(end: number): number {
    const value = this.varint(end);
    if (value <= 0xffff_ffff) return value;
    this.faulty = true;
    return 0;
  }

  /** Reads the length of a field and gives the position after its last byte; `end` on a fault. */
  block(end: number): number {
    const length = this.varint(end);
    const after = this.position + length;
    if (!this.faulty && after <= end) return after;
    this.faulty = true;
    return end;
  }

  /** A view of a bytes field. */
  view(end: number): Buffer {
    const after = this.block(end);
    const view = this.bytes.subarray(this.position, after);
    this.position = after;
    return view;
  }

  latin1(end: number): string {
    const after = this.block(end);
    const text = this.bytes.toString('latin1', this.position, after);
    this.position = after;
    return text;
  }

  text(end: number): string {
    const after = this.block(end);
    const text = this.bytes.toString('utf8', this.position, after);
    this.position = after;
    return text;
  }

  /** The same as {@link latin1}, a fault when it is longer than `bytesMax`. */
  shortLatin1(end: number, bytesMax: number): string {
    const after = this.#shortBlock(end, bytesMax);
    const text = this.bytes.toString('latin1', this.position, after);
    this.position = after;
    return text;
  }

  /** The same as {@link text}, a fault when it is longer than `bytesMax`. */
  shortText(end: number, bytesMax: number): string {
    const after = this.#shortBlock(end, bytesMax);
    const text = this.bytes.toString('utf8', this.position, after);
    this.position = after;
    return text;
  }

  /** Passes over a field that this version does not know. Groups are not part of proto3. */
  skip(tag: number, end: number): void {
    // No field has number 0.
    if (tag < 8) {
      this.faulty = true;
      return;
    }
    switch (tag & 7) {
      case 0:
        this.#passVarint(end);
        return;
      case 1:
        this.#advance(8, end);
        return;
      case 2:
        this.position = this.block(end);
        return;
      case 5:
        this.#advance(4, end);
        return;
      default:
        this.faulty = true;
    }
  }

  #shortBlock(end: number, bytesMax: number): number {
    const after = this.block(end);
    if (after - this.position <= bytesMax) return after;
    this.faulty = true;
    return this.position;
  }

  /** Passes over a varint of any legal length. */
  #passVarint(end: number): void {
    for (let read = 0; read < 10 && this.position < end; read++) {
      if (this.bytes[this.position++]! < 0x80) return;
    }
    this.faulty = true;
  }

  #advance(length: number, end: number): void {
    this.position += length;
    if (this.position > end) this.faulty = true;
  }
}
