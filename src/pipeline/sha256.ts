import { hash } from 'node:crypto';

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
/** For each character of base64url: the one that stands for its two upper bits alone. */
const upperBits: string[] = [];
for (let index = 0; index < alphabet.length; index++) {
  upperBits[alphabet.charCodeAt(index)] = alphabet[index & 0b110000]!;
}

/**
 * base64url of the first 16 bytes of SHA-256, 22 characters. Cut from the text of the whole hash:
 * one-shot hashing into a string costs a third of hashing into a buffer.
 */
export function sha256Of16(data: string | Uint8Array): string {
  const whole = hash('sha256', data, 'base64url');
  // 21 characters hold 126 bits; the 22nd holds the last two, and four of the next byte.
  return whole.slice(0, 21) + upperBits[whole.charCodeAt(21)]!;
}

/** The 32 bytes of SHA-256, one to one as characters. */
export function sha256Latin1(data: Uint8Array): string {
  return hash('sha256', data, 'binary');
}
