/**
 * A 64-bit hash in two FNV-like halves, as text of letters and digits. Need not resist forgery: who
 * can choose the text could as well send the same text twice.
 */
export function hash64(text: string): string {
  let low = 0x811c9dc5;
  let high = 0x9e3779b9;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    low = Math.imul(low ^ code, 0x01000193);
    high = Math.imul(high ^ code, 0x5bd1e995) ^ (low >>> 15);
  }
  return base32(high, low);
}

/** 13 digits of base 32, written here because `toString` of numbers beyond 31 bits divides floating-point numbers. */
function base32(high: number, low: number): string {
  return String.fromCharCode(
    digit(high >>> 27),
    digit(high >>> 22),
    digit(high >>> 17),
    digit(high >>> 12),
    digit(high >>> 7),
    digit(high >>> 2),
    digit((high << 3) | (low >>> 29)),
    digit(low >>> 24),
    digit(low >>> 19),
    digit(low >>> 14),
    digit(low >>> 9),
    digit(low >>> 4),
    digit(low << 1),
  );
}

/** 0 to 9, a to v. */
function digit(number: number): number {
  const value = number & 31;
  return value < 10 ? 0x30 + value : 0x57 + value;
}
