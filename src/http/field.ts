import { isTokenByte, isValueByte } from './characters.ts';

/** Name and value of one header. */
export type Field = readonly [name: string, value: string];

const colon = 0x3a;

/**
 * Reads one header line (RFC 9112 section 5) without its CRLF. Undefined when it is not one: no or
 * an impossible name, a blank before the colon, a fold, a control character in the value.
 */
export function parseField(bytes: Buffer, start: number, end: number): Field | undefined {
  let nameEnd = start;
  while (nameEnd < end && isTokenByte(bytes[nameEnd]!)) nameEnd++;
  if (nameEnd === start || nameEnd === end || bytes[nameEnd] !== colon) return undefined;
  let first = nameEnd + 1;
  let last = end;
  while (first < last && isBlank(bytes[first]!)) first++;
  while (last > first && isBlank(bytes[last - 1]!)) last--;
  for (let at = first; at < last; at++) if (!isValueByte(bytes[at]!)) return undefined;
  return [bytes.toString('latin1', start, nameEnd), bytes.toString('latin1', first, last)];
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x09;
}
