/** What our messages hold: text as msgpack str, bytes as bin, null as nil. */
export type WireValue = string | number | boolean | Uint8Array | null;

const initialBytes = 1_024;
/** Of one value: its type and the longest length that follows. */
const headBytesMax = 5;
const utf8BytesPerUnitMax = 3;

/**
 * Writes msgpack maps of few fields with known names: what nearly all gossip consists of. A general encoder
 * costs several times as much, and a full sync of a large cluster has thousands of them.
 */
export class MapWriter {
  readonly #keys = new Map<string, Buffer>();
  #bytes = Buffer.allocUnsafeSlow(initialBytes);
  #at = 0;

  /**
   * A map with the fields that are not undefined, in the order given, behind the byte `first` if there is
   * one. At most 15 fields; numbers are integers of 32 bits without sign.
   */
  write(
    first: number | undefined,
    fields: Readonly<Record<string, WireValue | undefined>>,
  ): Buffer {
    this.#at = 0;
    this.#reserve(2);
    if (first !== undefined) this.#bytes[this.#at++] = first;
    const countAt = this.#at++;
    let count = 0;
    for (const name in fields) {
      const value = fields[name];
      if (value === undefined) continue;
      count++;
      this.#copy(this.#key(name));
      this.#value(value);
    }
    this.#bytes[countAt] = 0x80 | count;
    return Buffer.from(this.#bytes.subarray(0, this.#at));
  }

  #value(value: WireValue): void {
    if (typeof value === 'number') this.#uint(value);
    else if (typeof value === 'string') this.#text(value);
    else if (value === null) this.#byte(0xc0);
    else if (typeof value === 'boolean') this.#byte(value ? 0xc3 : 0xc2);
    else this.#binary(value);
  }

  #uint(value: number): void {
    if (value < 0x80) this.#byte(value);
    else this.#head(value, 0xcc);
  }

  #text(text: string): void {
    // The length in bytes comes first and is not known: short texts are written where a short length ends.
    if (text.length * utf8BytesPerUnitMax < 32) {
      this.#reserve(headBytesMax + text.length * utf8BytesPerUnitMax);
      const length = this.#bytes.write(text, this.#at + 1, 'utf8');
      this.#bytes[this.#at] = 0xa0 | length;
      this.#at += 1 + length;
      return;
    }
    const bytes = Buffer.from(text, 'utf8');
    if (bytes.length < 32) this.#byte(0xa0 | bytes.length);
    else this.#head(bytes.length, 0xd9);
    this.#copy(bytes);
  }

  #binary(bytes: Uint8Array): void {
    this.#head(bytes.length, 0xc4);
    this.#copy(bytes);
  }

  /** A number in 1, 2 or 4 bytes behind the type for its size; the three types follow one another. */
  #head(value: number, type: number): void {
    this.#reserve(headBytesMax);
    if (value <= 0xff) {
      this.#bytes[this.#at] = type;
      this.#at = this.#bytes.writeUInt8(value, this.#at + 1);
    } else if (value <= 0xffff) {
      this.#bytes[this.#at] = type + 1;
      this.#at = this.#bytes.writeUInt16BE(value, this.#at + 1);
    } else {
      this.#bytes[this.#at] = type + 2;
      this.#at = this.#bytes.writeUInt32BE(value, this.#at + 1);
    }
  }

  #key(name: string): Buffer {
    let key = this.#keys.get(name);
    if (key === undefined) {
      key = Buffer.concat([Uint8Array.of(0xa0 | name.length), Buffer.from(name, 'ascii')]);
      this.#keys.set(name, key);
    }
    return key;
  }

  #byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = value;
  }

  #copy(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #reserve(count: number): void {
    const needed = this.#at + count;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
  }
}
