import type { HeaderBlock } from '../http/index.ts';

/** Makes 48 random lower-case hex digits: a trace id and a span id (W3C Trace Context). */
export type TraceIdSource = () => string;

const headerName = 'traceparent';
const stateName = 'tracestate';
const version00Length = 55;
const dash = 0x2d;

/**
 * Headers that belong to a trace (W3C Trace Context level 1, section 3.2). One valid `traceparent` passes
 * unchanged with its `tracestate`. In place of none, several or an invalid one a new trace begins, and
 * `tracestate` goes: it is of another trace. The new one says "sampled": applications whose sampler follows
 * their caller, as most do by default, record what they would record without a caller.
 */
export function tracedHeaders(headers: HeaderBlock, newIds: TraceIdSource): HeaderBlock {
  const { text } = headers;
  let parents = 0;
  let others = 0;
  let parentAt = 0;
  for (let at = 0; at < text.length; at = lineEnd(text, at)) {
    if ((text.charCodeAt(at) | 0x20) !== 0x74) continue;
    if (isNamed(text, at, headerName)) {
      parents++;
      parentAt = at;
    } else if (isNamed(text, at, stateName)) {
      others++;
    }
  }
  if (parents === 1) {
    const from = parentAt + headerName.length + 1;
    if (isTraceparent(text.slice(from, lineEnd(text, from) - 2).trim())) return headers;
  }
  const line = `${headerName}: ${traceparentOf(newIds())}\r\n`;
  if (parents + others === 0) return headers.followedBy(line);
  const isKept = (lower: string): boolean => lower !== headerName && lower !== stateName;
  return headers.filtered(isKept).followedBy(line);
}

/** The value that names a new trace. @param ids 48 lower-case hex digits */
export function traceparentOf(ids: string): string {
  return `00-${notZero(ids.slice(0, 32))}-${notZero(ids.slice(32, 48))}-01`;
}

/** All zeros are invalid; a chance of one in 2^64 is still one. */
function notZero(digits: string): string {
  return isZero(digits, 0, digits.length) ? `${digits.slice(0, -1)}1` : digits;
}

/** Whether a value can be read (section 2.2.2 and, for higher versions, section 4.3). */
export function isTraceparent(value: string): boolean {
  if (!isShaped(value) || value.startsWith('ff')) return false;
  if (isZero(value, 3, 35) || isZero(value, 36, 52)) return false;
  if (value.length === version00Length) return true;
  // A higher version may go on behind another dash.
  return !value.startsWith('00') && value.charCodeAt(version00Length) === dash;
}

function isShaped(value: string): boolean {
  if (value.length < version00Length) return false;
  for (const at of [2, 35, 52]) if (value.charCodeAt(at) !== dash) return false;
  return isHex(value, 0, 2) && isHex(value, 3, 35) && isHex(value, 36, 52) && isHex(value, 53, 55);
}

function isHex(text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at);
    const isDigit = code >= 0x30 && code <= 0x39;
    if (!isDigit && !(code >= 0x61 && code <= 0x66)) return false;
  }
  return true;
}

function isZero(text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (text.charCodeAt(at) !== 0x30) return false;
  return true;
}

function lineEnd(text: string, at: number): number {
  return text.indexOf('\r\n', at) + 2;
}

function isNamed(text: string, at: number, lower: string): boolean {
  if (text.charCodeAt(at + lower.length) !== 0x3a) return false;
  return text.slice(at, at + lower.length).toLowerCase() === lower;
}
