import { Buffer } from 'node:buffer';

const nameCharactersMax = 253;
/** Labels of the longest name: more pointers lead nowhere, but take time. */
const pointersMax = 127;
const name = /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/;

/** Lower-case name without its last dot, or undefined for what cannot be asked for. */
export function parseDnsName(text: string): string | undefined {
  const folded = (text.endsWith('.') ? text.slice(0, -1) : text).toLowerCase();
  return folded.length <= nameCharactersMax && name.test(folded) ? folded : undefined;
}

/** A name of labels of 1 to 63 ASCII characters in the form of RFC 1035 section 3.1. */
export function encodeName(text: string): Buffer {
  const labels = text.split('.').filter((label) => label !== '');
  const parts = labels.map((label) => Buffer.from([label.length, ...Buffer.from(label, 'latin1')]));
  return Buffer.concat([...parts, Buffer.from([0])]);
}

/**
 * Reads a name, lower case; the root is empty. Octets that no host or service has are given as `?`,
 * so that such a name equals none that was asked for.
 *
 * @returns the name and the position behind it
 * @throws RangeError where it leads beyond the message or in a circle
 */
export function readName(bytes: Buffer, start: number): { text: string; next: number } {
  const labels: string[] = [];
  let characters = 0;
  let pointers = 0;
  let next = -1;
  let at = start;
  // Every pointer must lead backwards (RFC 1035 section 4.1.4: "a prior occurrence").
  let limit = start;
  for (;;) {
    const length = bytes.readUInt8(at);
    if (length >= 0xc0) {
      if (next < 0) next = at + 2;
      at = bytes.readUInt16BE(at) & 0x3fff;
      pointers += 1;
      if (at >= limit || pointers > pointersMax) throw new RangeError('pointer that leads nowhere');
      limit = at;
    } else if (length === 0) {
      return { text: labels.join('.'), next: next < 0 ? at + 1 : next };
    } else {
      const end = at + 1 + length;
      characters += length + 1;
      if (length > 63 || end > bytes.length || characters > nameCharactersMax + 1) {
        throw new RangeError('label beyond the end');
      }
      const label = bytes.toString('latin1', at + 1, end).toLowerCase();
      labels.push(label.replace(/[^a-z0-9_-]/g, '?'));
      at = end;
    }
  }
}
