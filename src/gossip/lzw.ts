import type { Decoded, WireFault } from './message.ts';

const literalBits = 8;
const clearCode = 256;
const endCode = 257;
const widthMax = 12;
const noCode = 0xffff;

/**
 * Expands LZW as Go's compress/lzw writes it: least significant bit first, literals of 8 bits. Never
 * makes more than `bytesMax` bytes: text that would be longer is refused when it gets there.
 */
export function expandLzw(packed: Uint8Array, bytesMax: number): Decoded<Uint8Array> {
  const expansion = new Expansion(packed, bytesMax);
  for (;;) {
    const step = expansion.step();
    if (step === 'end') return { ok: true, value: expansion.text() };
    if (step !== 'again') return { ok: false, fault: step };
  }
}

class Expansion {
  readonly #packed: Uint8Array;
  readonly #bytesMax: number;
  /** What a code above the literals stands for: another code and one byte behind it. */
  readonly #prefix = new Uint16Array(1 << widthMax);
  readonly #suffix = new Uint8Array(1 << widthMax);
  readonly #length = new Uint16Array(1 << widthMax);
  #output: Uint8Array;
  #written = 0;
  #at = 0;
  #bits = 0;
  #bitCount = 0;
  #width = literalBits + 1;
  /** The code that the next step defines. */
  #high = endCode;
  /** The code before; none after a clear, and once all codes are defined. */
  #last = noCode;

  constructor(packed: Uint8Array, bytesMax: number) {
    this.#packed = packed;
    this.#bytesMax = bytesMax;
    this.#output = new Uint8Array(Math.min(bytesMax, 4 * packed.length));
  }

  text(): Uint8Array {
    return this.#output.subarray(0, this.#written);
  }

  /** Reads one code. */
  step(): 'again' | 'end' | WireFault {
    const code = this.#read();
    if (code === undefined) return 'truncated';
    if (code === endCode) return 'end';
    if (code === clearCode) {
      this.#width = literalBits + 1;
      this.#high = endCode;
      this.#last = noCode;
      return 'again';
    }
    if (code > this.#high) return 'malformed';
    // A code that is about to be defined is the one before and that one's first byte once more.
    const isNew = code === this.#high && this.#last !== noCode;
    const known = isNew ? this.#last : code;
    const length = this.#lengthOf(known) + (isNew ? 1 : 0);
    if (this.#written + length > this.#bytesMax) return 'too-large';
    this.#makeRoom(length);
    const first = this.#write(known);
    if (isNew) this.#output[this.#written++] = first;
    this.#define(code, first);
    return 'again';
  }

  #read(): number | undefined {
    while (this.#bitCount < this.#width) {
      const byte = this.#packed[this.#at++];
      if (byte === undefined) return undefined;
      this.#bits |= byte << this.#bitCount;
      this.#bitCount += 8;
    }
    const code = this.#bits & ((1 << this.#width) - 1);
    this.#bits >>>= this.#width;
    this.#bitCount -= this.#width;
    return code;
  }

  #lengthOf(code: number): number {
    return code < clearCode ? 1 : this.#length[code]!;
  }

  #makeRoom(count: number): void {
    const needed = this.#written + count;
    if (needed <= this.#output.length) return;
    const size = Math.min(this.#bytesMax, Math.max(needed, 2 * this.#output.length));
    const output = new Uint8Array(size);
    output.set(this.text());
    this.#output = output;
  }

  /** Writes what a code stands for, last byte first, and gives its first byte. */
  #write(code: number): number {
    const end = this.#written + this.#lengthOf(code);
    let at = end;
    let rest = code;
    while (rest >= clearCode) {
      this.#output[--at] = this.#suffix[rest]!;
      rest = this.#prefix[rest]!;
    }
    this.#output[--at] = rest;
    this.#written = end;
    return rest;
  }

  #define(code: number, first: number): void {
    if (this.#last !== noCode) {
      this.#suffix[this.#high] = first;
      this.#prefix[this.#high] = this.#last;
      this.#length[this.#high] = this.#lengthOf(this.#last) + 1;
    }
    this.#last = code;
    if (this.#high + 1 < 1 << this.#width) {
      this.#high += 1;
    } else if (this.#width < widthMax) {
      this.#high += 1;
      this.#width += 1;
    } else {
      // All codes are defined: they stay as they are until a clear.
      this.#last = noCode;
    }
  }
}
