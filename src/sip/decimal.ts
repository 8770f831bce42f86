/** The number that the text is, all of it digits and at most `digitsMax` of them; else -1. */
export function decimal(text: string, digitsMax: number): number {
  if (text.length === 0 || text.length > digitsMax) return -1;
  let value = 0;
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
