import { Buffer } from 'node:buffer';

/** Bytes of `value` as a protobuf varint; `value` is a safe integer, not negative. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  if (value < 0x1000_0000) return 4;
  let size = 5;
  for (let rest = Math.floor(value / 0x8_0000_0000); rest > 0; rest = Math.floor(rest / 0x80)) {
    size += 1;
  }
  return size;
}

/** Size of a bytes field with a one-byte tag. Empty is the default and left out. */
export function bytesSize(length: number): number {
  return length === 0 ? 0 : 1 + varintSize(length) + length;
}

/** Size of an integer field with a one-byte tag. Zero is the default and left out. */
export function uintSize(value: number): number {
  return value === 0 ? 0 : 1 + varintSize(value);
}

/**
 * Appends protobuf fields to a slab of memory from which batches are cut. What was cut is never
 * written again, so the stream below may keep it as long as it likes.
 */
export class WireWriter {
  readonly #slabBytes: number;
  #slab: Buffer;
  #start = 0;
  #position = 0;

  constructor(slabBytes: number) {
    this.#slabBytes = slabBytes;
    this.#slab = Buffer.allocUnsafeSlow(slabBytes);
  }

  get pendingBytes(): number {
    return this.#position - this.#start;
  }

  fits(size: number): boolean {
    return this.#position + size <= this.#slab.length;
  }

  /** Takes a new slab with room for `size`. Nothing may be pending. */
  makeRoom(size: number): void {
    this.#slab = Buffer.allocUnsafeSlow(Math.max(this.#slabBytes, size));
    this.#start = 0;
    this.#position = 0;
  }

  /** Cuts off what was written since the last call. */
  take(): Buffer {
    const taken = this.#slab.subarray(this.#start, this.#position);
    this.#start = this.#position;
    return taken;
  }

  varint(value: number): void {
    const slab = this.#slab;
    let position = this.#position;
    let rest = value;
    while (rest >= 0x8000_0000) {
      slab[position++] = (rest % 0x80) + 0x80;
      rest = Math.floor(rest / 0x80);
    }
    while (rest >= 0x80) {
      slab[position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    slab[position++] = rest;
    this.#position = position;
  }

  /** Tag and length of a field whose bytes follow. */
  length(tag: number, size: number): void {
    this.#slab[this.#position++] = tag;
    this.varint(size);
  }

  uint(tag: number, value: number): void {
    if (value === 0) return;
    this.#slab[this.#position++] = tag;
    this.varint(value);
  }

  bytes(tag: number, value: Uint8Array): void {
    if (value.length === 0) return;
    this.length(tag, value.length);
    this.#slab.set(value, this.#position);
    this.#position += value.length;
  }

  /** The caller has made sure that every character has a latin1 byte. */
  latin1(tag: number, text: string): void {
    if (text.length === 0) return;
    this.length(tag, text.length);
    this.#position += this.#slab.write(text, this.#position, 'latin1');
  }

  /** @param size bytes of `text` in UTF-8 */
  utf8(tag: number, text: string, size: number): void {
    if (size === 0) return;
    this.length(tag, size);
    this.#position += this.#slab.write(text, this.#position, 'utf8');
  }

  /** For short texts known to be ASCII; a loop beats the call into the runtime. */
  ascii(tag: number, text: string): void {
    if (text.length === 0) return;
    this.length(tag, text.length);
    const slab = this.#slab;
    let position = this.#position;
    for (let index = 0; index < text.length; index++) slab[position++] = text.charCodeAt(index);
    this.#position = position;
  }
}
