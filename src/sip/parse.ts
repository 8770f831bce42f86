import { sipLimits } from '../config/defaults.ts';
import { decimal } from './decimal.ts';
import { equalsIgnoringCase, HeaderId, idAt } from './header-names.ts';
import {
  SipMessage,
  stride,
  type HeaderIndex,
  type SipFault,
  type SipFlaw,
  type SipParseResult,
  type StartLine,
} from './message.ts';
import { isBlank, isToken } from './token.ts';

const CR = 13;
const LF = 10;
const SP = 32;
const HT = 9;
const BACKSLASH = 92;

const headEnd = Buffer.from('\r\n\r\n');

/** Messages of other peers hold what their ingress peer added; requests of clients are refused below this. */
const headBytesMax = sipLimits.headerBytesMax + sipLimits.ownHeaderBytesMax;
const headerLinesMax = sipLimits.headerCountMax + sipLimits.ownHeaderCountMax;

/** Up to this size the body is turned into text with the head, which saves looking for its end. */
const wholeTextBytesMax = 4_096;

const noLines: readonly number[] = Object.values(HeaderId).map(() => -1);

/**
 * Indexes one whole message (a datagram, or what {@link StreamFramer} cut). Structure only: what a
 * request must have is checked by `validateRequest`.
 */
export function parseSipMessage(bytes: Buffer): SipParseResult {
  let start = 0;
  // RFC 3261 section 7.5: line breaks before the start line are ignored.
  while (bytes[start] === CR && bytes[start + 1] === LF) start += 2;
  if (start >= bytes.length) return { ok: false, fault: 'empty' };
  const message = start === 0 ? parse(bytes) : parse(bytes.subarray(start));
  return typeof message === 'string' ? { ok: false, fault: message } : { ok: true, message };
}

function parse(bytes: Buffer): SipMessage | SipFault {
  let textEnd = bytes.length;
  if (textEnd > wholeTextBytesMax) {
    const end = bytes.indexOf(headEnd);
    if ((end < 0 ? bytes.length : end) > headBytesMax) return 'header-too-large';
    if (end >= 0) textEnd = end + headEnd.length;
  }
  const text = bytes.toString('latin1', 0, textEnd);
  const startLine = readStartLine(text);
  if (startLine === undefined) return 'not-sip';
  const index = indexHeaders(text, startLine.end);
  if (typeof index === 'string') return index;
  const message = new SipMessage(bytes, text, startLine, index);
  const bodyEnd = endOfBody(message);
  if (bodyEnd >= bytes.length) return message;
  return new SipMessage(bytes.subarray(0, bodyEnd), text, startLine, index);
}

/** RFC 3261 section 18.3: what a datagram holds beyond its Content-Length is cut. */
function endOfBody(message: SipMessage): number {
  const line = message.line(HeaderId.contentLength);
  const length = line < 0 ? -1 : decimal(message.latin1(line), 10);
  return length < 0 ? message.bytes.length : message.bodyStart + length;
}

function readStartLine(text: string): StartLine | undefined {
  const lineEnd = text.indexOf('\r\n');
  const first = text.indexOf(' ');
  if (first < 0 || first >= lineEnd) return undefined;
  if (first === 7 && equalsIgnoringCase(text, 0, 'sip/2.0')) {
    return readStatusLine(text, first, lineEnd);
  }
  let versionEnd = lineEnd;
  while (isSpace(text.charCodeAt(versionEnd - 1))) versionEnd--;
  const last = text.lastIndexOf(' ', versionEnd - 1);
  const version = versionAt(text, last + 1, versionEnd);
  if (version === undefined) return undefined;
  const method = text.slice(0, first);
  const uriStart = first + 1;
  const uriEnd = Math.max(last, uriStart);
  const flawed =
    versionEnd < lineEnd || last <= first || !isToken(method) || hasSpace(text, uriStart, uriEnd);
  const flaw = flawed ? 'start-line' : undefined;
  return { method, status: 0, version, uriStart, uriEnd, flaw, end: lineEnd + 2 };
}

function isSpace(code: number): boolean {
  return code === SP || code === HT;
}

function versionAt(text: string, start: number, end: number): string | undefined {
  if (end - start === 7 && text.startsWith('SIP/2.0', start)) return 'SIP/2.0';
  const version = text.slice(start, end).toUpperCase();
  return /^SIP\/\d+\.\d+$/.test(version) ? version : undefined;
}

function readStatusLine(text: string, space: number, lineEnd: number): StartLine | undefined {
  const status = decimal(text.slice(space + 1, Math.min(space + 4, lineEnd)), 3);
  const isEnded = space + 4 === lineEnd || text.charCodeAt(space + 4) === SP;
  if (status < 100 || status > 699 || !isEnded) return undefined;
  const end = lineEnd + 2;
  return { method: '', status, version: 'SIP/2.0', uriStart: 0, uriEnd: 0, flaw: undefined, end };
}

function hasSpace(text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    if (text.charCodeAt(at) <= SP) return true;
  }
  return start === end;
}

function indexHeaders(text: string, from: number): HeaderIndex | SipFault {
  const lines: number[] = [];
  const firstLines = noLines.slice();
  let flaw: SipFlaw | undefined;
  let at = from;
  while (text.charCodeAt(at) !== CR || text.charCodeAt(at + 1) !== LF) {
    if (lines.length >= headerLinesMax * stride) return 'too-many-headers';
    const end = endOfLine(text, at);
    if (end < 0) return 'header-not-ended';
    flaw ??= lineFlaw;
    const malformed = pushLine(text, at, end, lines, firstLines);
    flaw ??= malformed;
    at = end + 2;
  }
  const nul = text.indexOf('\0');
  if (nul >= 0 && nul < at && !isEveryNulQuoted(text, nul, at)) flaw ??= 'nul';
  return { end: at, flaw, lines, firstLines };
}

/** Whether each NUL follows the backslash of a quoted pair, where alone RFC 3261 section 25.1 has it. */
function isEveryNulQuoted(text: string, first: number, end: number): boolean {
  for (let nul = first; nul >= 0 && nul < end; nul = text.indexOf('\0', nul + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(nul - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return false;
  }
  return true;
}

/** Set by {@link endOfLine}: what it met on its way. Kept outside so that a line costs no object. */
let lineFlaw: SipFlaw | undefined;

/** Offset of the CR that ends the logical line, folds included; -1 where none does. */
function endOfLine(text: string, from: number): number {
  lineFlaw = undefined;
  let at = from;
  for (;;) {
    const cr = text.indexOf('\r', at);
    let end = cr;
    if (text.indexOf('\n', at) !== cr + 1) {
      lineFlaw = 'bare-line-break';
      end = text.indexOf('\r\n', at);
    }
    if (end < 0) return -1;
    const next = text.charCodeAt(end + 2);
    if (next !== SP && next !== HT) return end;
    at = end + 2;
  }
}

function pushLine(
  text: string,
  start: number,
  end: number,
  lines: number[],
  firstLines: number[],
): SipFlaw | undefined {
  const colon = text.indexOf(':', start);
  if (colon < 0 || colon >= end) return 'header-line';
  let name = colon;
  // RFC 3261 section 25.1, HCOLON: spaces and tabs may stand before the colon, a fold may not.
  while (name > start && isSpace(text.charCodeAt(name - 1))) name--;
  const id = idAt(text, start, name);
  if (id === HeaderId.other && !isToken(text.slice(start, name))) return 'header-line';
  let valueStart = colon + 1;
  while (valueStart < end && isBlank(text.charCodeAt(valueStart))) valueStart++;
  let valueEnd = end;
  while (valueEnd > valueStart && isBlank(text.charCodeAt(valueEnd - 1))) valueEnd--;
  if (firstLines[id] === -1) firstLines[id] = lines.length / stride;
  lines.push(id, start, valueStart, valueEnd, end + 2);
  return undefined;
}
