const table: Uint32Array = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb8_8320 : value >>> 1;
  return value;
});

/** CRC-32 with the IEEE 802.3 polynomial, as Go's `crc32.ChecksumIEEE`. */
export function crc32(bytes: Uint8Array): number {
  let value = 0xffff_ffff;
  // By index: an iterator takes nearly twice as long, and every packet is summed.
  for (let i = 0, end = bytes.length; i < end; i++) {
    value = (value >>> 8) ^ table[(value ^ bytes[i]!) & 0xff]!;
  }
  return (value ^ 0xffff_ffff) >>> 0;
}
