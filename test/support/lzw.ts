const clearCode = 256;
const endCode = 257;
const widthMax = 12;

/** LZW as Go's compress/lzw writes it: least significant bit first, literals of 8 bits. */
export function compressLzw(text: Uint8Array): Uint8Array {
  const packed: number[] = [];
  let bits = 0;
  let bitCount = 0;
  let width = 9;
  let high = endCode;
  let codes = new Map<number, number>();
  const write = (code: number): void => {
    bits |= code << bitCount;
    bitCount += width;
    for (; bitCount >= 8; bitCount -= 8, bits >>>= 8) packed.push(bits & 0xff);
  };
  /** Counts a new code; true when all were used and the table begins anew. */
  const next = (): boolean => {
    high += 1;
    if (high === 1 << width) width += 1;
    if (high < (1 << widthMax) - 1) return false;
    write(clearCode);
    width = 9;
    high = endCode;
    codes = new Map();
    return true;
  };
  write(clearCode);
  let code = text[0];
  for (const byte of text.subarray(1)) {
    const pair = (code! << 8) | byte;
    const known = codes.get(pair);
    if (known !== undefined) {
      code = known;
      continue;
    }
    write(code!);
    code = byte;
    if (!next()) codes.set(pair, high);
  }
  if (code !== undefined) {
    write(code);
    next();
  }
  write(endCode);
  if (bitCount > 0) packed.push(bits & 0xff);
  return Uint8Array.from(packed);
}
