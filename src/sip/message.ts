import {
  canonicalName,
  equalsIgnoringCase,
  fieldName,
  HeaderId,
  idAt,
  type FieldName,
} from './header-names.ts';
import { sipLimits } from '../config/defaults.ts';
import { decimal } from './decimal.ts';
import { readVia, type Via } from './via.ts';

/** Why bytes are no SIP message that could even be answered. */
export type SipFault =
  'empty' | 'not-sip' | 'header-too-large' | 'too-many-headers' | 'header-not-ended';

/** A flaw that leaves the message answerable: 400 when it is a request. */
export type SipFlaw = 'start-line' | 'bare-line-break' | 'header-line' | 'nul';

export type SipParseResult =
  | { readonly ok: true; readonly message: SipMessage }
  | { readonly ok: false; readonly fault: SipFault };

const CR = 13;
const LF = 10;
const SP = 32;
const HT = 9;
const COLON = 58;

/** Numbers kept for each header line in the index. */
const stride = 5;

/**
 * A SIP message on its bytes: an index of its lines, fields decoded when asked for. Nothing is
 * changed in place; {@link Edits} records changes and copies once. The header is also kept as one
 * latin1 text, whose offsets are those of the bytes: slices of it cost far less than of the bytes.
 */
export class SipMessage {
  readonly bytes: Buffer;
  /** Start line and header, bytes one to one as characters, the last CRLF included. */
  readonly head: string;
  readonly isRequest: boolean;
  /** As written; empty for a response. */
  readonly method: string;
  /** 0 for a request. */
  readonly status: number;
  /** Range of the Request-URI; empty for a response. */
  readonly uriStart: number;
  readonly uriEnd: number;
  /** Offset of the first header line: where the topmost header goes. */
  readonly headersStart: number;
  /** Offset of the first byte after the empty line. */
  readonly bodyStart: number;
  /** First flaw found while indexing. */
  readonly flaw: SipFlaw | undefined;
  /** `SIP/2.0` as the start line gave it, upper case. */
  readonly version: string;
  /** id, name start, value start, value end, line end of each header line. */
  readonly #lines: readonly number[];
  /** Index of the first line of each id, or -1. */
  readonly #firstLines: readonly number[];
  #callId: string | undefined;
  #topVia: Via | null | undefined;

  constructor(bytes: Buffer, head: string, startLine: StartLine, index: HeaderIndex) {
    this.bytes = bytes;
    this.head = head;
    this.isRequest = startLine.status === 0;
    this.method = startLine.method;
    this.status = startLine.status;
    this.version = startLine.version;
    this.uriStart = startLine.uriStart;
    this.uriEnd = startLine.uriEnd;
    this.headersStart = startLine.end;
    this.bodyStart = head.length + 2;
    this.flaw = startLine.flaw ?? index.flaw;
    this.#lines = index.lines;
    this.#firstLines = index.firstLines;
  }

  get requestUri(): string {
    return decoded(this.head.slice(this.uriStart, this.uriEnd));
  }

  get body(): Buffer {
    return this.bytes.subarray(this.bodyStart);
  }

  /** Number of header lines. */
  get lineCount(): number {
    return this.#lines.length / stride;
  }

  /** Index of the first line with this id at or after `from`, or -1. */
  line(id: HeaderId, from = 0): number {
    if (from === 0) return this.#firstLines[id]!;
    for (let at = from * stride; at < this.#lines.length; at += stride) {
      if (this.#lines[at] === id) return at / stride;
    }
    return -1;
  }

  idOfLine(line: number): HeaderId {
    return this.#lines[line * stride] as HeaderId;
  }

  lineStart(line: number): number {
    return this.#lines[line * stride + 1]!;
  }

  valueStart(line: number): number {
    return this.#lines[line * stride + 2]!;
  }

  valueEnd(line: number): number {
    return this.#lines[line * stride + 3]!;
  }

  /** Offset of the next line. */
  lineEnd(line: number): number {
    return this.#lines[line * stride + 4]!;
  }

  /** Value of a line, its bytes one to one as characters. */
  latin1(line: number): string {
    return this.head.slice(this.valueStart(line), this.valueEnd(line));
  }

  /** First value of a field, names without case and in compact form; unfolded, UTF-8. */
  header(name: string): string | undefined {
    const field = fieldName(name);
    const line = this.#lineNamed(field, 0);
    if (line < 0) return undefined;
    const value = this.#text(line);
    return field.isList && value.includes(',') ? splitList(value)[0] : value;
  }

  /** All values of a field in order; comma lists are split where the field's grammar has them. */
  headers(name: string): string[] {
    const field = fieldName(name);
    const values: string[] = [];
    for (let line = this.#lineNamed(field, 0); line >= 0; line = this.#lineNamed(field, line + 1)) {
      const value = this.#text(line);
      if (field.isList && value.includes(',')) values.push(...splitList(value));
      else values.push(value);
    }
    return values;
  }

  /** Call-ID, or empty when absent. */
  get callId(): string {
    return (this.#callId ??= this.first(HeaderId.callId));
  }

  /** Latin1 value of the first line with this id, or empty. */
  first(id: HeaderId): string {
    const line = this.line(id);
    return line < 0 ? '' : this.latin1(line);
  }

  get fromTag(): string | undefined {
    return this.#tag(HeaderId.from);
  }

  get toTag(): string | undefined {
    return this.#tag(HeaderId.to);
  }

  /** -1 when CSeq is absent or no number of RFC 3261 section 8.1.1.5. */
  get cseqNumber(): number {
    return cseqOf(this.first(HeaderId.cseq)).number;
  }

  /** Empty when CSeq is absent or malformed. */
  get cseqMethod(): string {
    return cseqOf(this.first(HeaderId.cseq)).method;
  }

  /** The topmost Via value; undefined when absent or malformed. */
  get topVia(): Via | undefined {
    if (this.#topVia === undefined) {
      const line = this.line(HeaderId.via);
      this.#topVia =
        line < 0 ? null : (readVia(this.head, this.valueStart(line), this.valueEnd(line)) ?? null);
    }
    return this.#topVia ?? undefined;
  }

  #tag(id: HeaderId): string | undefined {
    const line = this.line(id);
    return line < 0 ? undefined : tagOf(this.latin1(line));
  }

  #text(line: number): string {
    const text = decoded(this.latin1(line));
    return text.includes('\r') ? text.replace(/\r\n[ \t]+/g, ' ') : text;
  }

  #lineNamed(field: FieldName, from: number): number {
    if (field.id !== HeaderId.other) return this.line(field.id, from);
    for (let line = from; line < this.lineCount; line++) {
      if (this.idOfLine(line) === HeaderId.other && this.#isNamed(line, field)) return line;
    }
    return -1;
  }

  #isNamed(line: number, { canonical }: FieldName): boolean {
    const start = this.lineStart(line);
    const { head } = this;
    // Names end at a colon or white space, so what follows the wanted length decides.
    if (
      tokenBytes[head.charCodeAt(start + canonical.length)] === 0 &&
      equalsIgnoringCase(head, start, canonical)
    ) {
      return true;
    }
    const isCompact = tokenBytes[head.charCodeAt(start + 1)] === 0;
    return isCompact && canonicalName(head[start]!) === canonical;
  }
}

interface StartLine {
  readonly method: string;
  readonly status: number;
  readonly version: string;
  readonly uriStart: number;
  readonly uriEnd: number;
  readonly flaw: SipFlaw | undefined;
  /** Offset of the line after it. */
  readonly end: number;
}

interface HeaderIndex {
  readonly flaw: SipFlaw | undefined;
  readonly lines: readonly number[];
  readonly firstLines: readonly number[];
}

const noLines: readonly number[] = Object.values(HeaderId).map(() => -1);

const headEnd = Buffer.from('\r\n\r\n');

/** Messages of other peers hold what their ingress peer added; requests of clients are refused below this. */
const headBytesMax = sipLimits.headerBytesMax + sipLimits.ownHeaderBytesMax;
const headerLinesMax = sipLimits.headerCountMax + sipLimits.ownHeaderCountMax;

/**
 * Indexes one whole message (a datagram, or what {@link StreamFramer} cut). Structure only: what a
 * request must have is checked by `validateRequest`.
 */
export function parseSipMessage(bytes: Buffer): SipParseResult {
  let start = 0;
  // RFC 3261 section 7.5: line breaks before the start line are ignored.
  while (bytes[start] === CR && bytes[start + 1] === LF) start += 2;
  if (start > 0)
    return start < bytes.length
      ? parseSipMessage(bytes.subarray(start))
      : { ok: false, fault: 'empty' };
  if (start >= bytes.length) return { ok: false, fault: 'empty' };
  const end = bytes.indexOf(headEnd, start);
  const headBytes = (end < 0 ? bytes.length : end) - start;
  if (headBytes > headBytesMax) return { ok: false, fault: 'header-too-large' };
  if (end < 0) return { ok: false, fault: 'header-not-ended' };
  const head = bytes.toString('latin1', 0, end + 2);
  const startLine = readStartLine(head, start);
  if (startLine === undefined) return { ok: false, fault: 'not-sip' };
  const index = indexHeaders(head, startLine.end);
  if (index === undefined) return { ok: false, fault: 'too-many-headers' };
  const message = new SipMessage(bytes, head, startLine, index);
  const bodyEnd = endOfBody(message);
  if (bodyEnd >= bytes.length) return { ok: true, message };
  return { ok: true, message: new SipMessage(bytes.subarray(0, bodyEnd), head, startLine, index) };
}

/** RFC 3261 section 18.3: what a datagram holds beyond its Content-Length is cut. */
function endOfBody(message: SipMessage): number {
  const line = message.line(HeaderId.contentLength);
  const length = line < 0 ? -1 : decimal(message.latin1(line), 10);
  return length < 0 ? message.bytes.length : message.bodyStart + length;
}

function readStartLine(head: string, start: number): StartLine | undefined {
  const lineEnd = head.indexOf('\r\n', start);
  const first = head.indexOf(' ', start);
  if (first < 0 || first >= lineEnd) return undefined;
  if (first - start === 7 && equalsIgnoringCase(head, start, 'sip/2.0')) {
    return readStatusLine(head, first, lineEnd);
  }
  const last = head.lastIndexOf(' ', lineEnd - 1);
  const version = head.slice(last + 1, lineEnd).toUpperCase();
  if (version !== 'SIP/2.0' && !/^SIP\/\d+\.\d+$/.test(version)) return undefined;
  const method = head.slice(start, first);
  const uriStart = first + 1;
  const uriEnd = Math.max(last, uriStart);
  const flawed = last === first || !isToken(method) || hasSpace(head, uriStart, uriEnd);
  const flaw = flawed ? 'start-line' : undefined;
  return { method, status: 0, version, uriStart, uriEnd, flaw, end: lineEnd + 2 };
}

function readStatusLine(head: string, space: number, lineEnd: number): StartLine | undefined {
  const status = decimal(head.slice(space + 1, Math.min(space + 4, lineEnd)), 3);
  const isEnded = space + 4 === lineEnd || head.charCodeAt(space + 4) === SP;
  if (status < 100 || status > 699 || !isEnded) return undefined;
  const end = lineEnd + 2;
  return { method: '', status, version: 'SIP/2.0', uriStart: 0, uriEnd: 0, flaw: undefined, end };
}

function hasSpace(head: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    if (head.charCodeAt(at) <= SP) return true;
  }
  return start === end;
}

/** Undefined: there are too many lines. */
function indexHeaders(head: string, from: number): HeaderIndex | undefined {
  const lines: number[] = [];
  const firstLines = noLines.slice();
  let flaw: SipFlaw | undefined;
  let at = from;
  while (at < head.length) {
    if (lines.length >= headerLinesMax * stride) return undefined;
    const end = scanLine(head, at);
    flaw ??= lineFlaw;
    flaw ??= pushLine(head, at, end, lines, firstLines);
    at = end + 2;
  }
  return { flaw, lines, firstLines };
}

/** Set by {@link scanLine}: what it met on its way. Kept outside so that a line costs no object. */
let lineFlaw: SipFlaw | undefined;

/** Offset of the CR that ends the logical line (folds included); the head ends with one. */
function scanLine(head: string, from: number): number {
  lineFlaw = undefined;
  for (let at = from; at < head.length; at++) {
    const code = head.charCodeAt(at);
    if (code > CR) continue;
    if (code === CR && head.charCodeAt(at + 1) === LF) {
      const next = head.charCodeAt(at + 2);
      if (next !== SP && next !== HT) return at;
      at++;
    } else if (code === CR || code === LF) {
      lineFlaw ??= 'bare-line-break';
    } else if (code === 0) {
      lineFlaw ??= 'nul';
    }
  }
  return head.length - 2;
}

function pushLine(
  head: string,
  start: number,
  end: number,
  lines: number[],
  firstLines: number[],
): SipFlaw | undefined {
  let name = start;
  while (tokenBytes[head.charCodeAt(name)] === 1) name++;
  let colon = name;
  // RFC 3261 section 25.1, HCOLON: white space may stand before the colon.
  while (head.charCodeAt(colon) === SP || head.charCodeAt(colon) === HT) colon++;
  if (name === start || head.charCodeAt(colon) !== COLON || colon >= end) return 'header-line';
  let valueStart = colon + 1;
  while (valueStart < end && isBlank(head.charCodeAt(valueStart))) valueStart++;
  let valueEnd = end;
  while (valueEnd > valueStart && isBlank(head.charCodeAt(valueEnd - 1))) valueEnd--;
  const id = idAt(head, start, name);
  if (firstLines[id] === -1) firstLines[id] = lines.length / stride;
  lines.push(id, start, valueStart, valueEnd, end + 2);
  return undefined;
}

function isBlank(code: number): boolean {
  return code === SP || code === HT || code === CR || code === LF;
}

/** UTF-8 text of latin1 characters; the same string where all are ASCII. */
function decoded(latin1: string): string {
  for (let at = 0; at < latin1.length; at++) {
    if (latin1.charCodeAt(at) > 0x7f) return Buffer.from(latin1, 'latin1').toString('utf8');
  }
  return latin1;
}

/** 1 for the characters of `token` (RFC 3261 section 25.1). */
const tokenBytes = new Uint8Array(256);
for (const character of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~") {
  tokenBytes[character.charCodeAt(0)] = 1;
}

/** Whether the text is a `token` of RFC 3261 section 25.1. */
export function isToken(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    if (tokenBytes[text.charCodeAt(at)] !== 1) return false;
  }
  return text !== '';
}

/** Splits a comma list; commas in quotes and angle brackets belong to their value. */
export function splitList(text: string): string[] {
  const values: string[] = [];
  let start = 0;
  for (let end = endOfListValue(text, 0); ; end = endOfListValue(text, start)) {
    values.push(text.slice(start, end).trim());
    if (end >= text.length) return values;
    start = end + 1;
  }
}

/** Offset of the comma that ends the list value at `from`, or the text's length. */
export function endOfListValue(text: string, from: number): number {
  let quoted = false;
  let bracketed = false;
  for (let at = from; at < text.length; at++) {
    const character = text[at];
    if (quoted && character === '\\') at++;
    else if (character === '"' && !bracketed) quoted = !quoted;
    else if (quoted) continue;
    else if (character === '<') bracketed = true;
    else if (character === '>') bracketed = false;
    else if (character === ',' && !bracketed) return at;
  }
  return text.length;
}

/** The `tag` header parameter of a From or To value. */
export function tagOf(value: string): string | undefined {
  // Parameters of the header follow the closing bracket; without brackets all parameters are the header's.
  let at = value.indexOf(';', value.lastIndexOf('>') + 1);
  while (at >= 0) {
    let start = at + 1;
    while (value.charCodeAt(start) <= SP) start++;
    const next = value.indexOf(';', start);
    if (isTagAt(value, start)) {
      const equals = value.indexOf('=', start);
      return value.slice(equals + 1, next < 0 ? undefined : next).trim();
    }
    at = next;
  }
  return undefined;
}

function isTagAt(value: string, start: number): boolean {
  if (value.slice(start, start + 3).toLowerCase() !== 'tag') return false;
  return /^\s*=/.test(value.slice(start + 3, start + 12));
}

/** Number and method of a CSeq value; -1 and empty where malformed. */
export function cseqOf(value: string): { number: number; method: string } {
  let digits = 0;
  while (value.charCodeAt(digits) > SP) digits++;
  let start = digits;
  while (start < value.length && isBlank(value.charCodeAt(start))) start++;
  const method = value.slice(start);
  const number = decimal(value.slice(0, digits), 10);
  if (start === digits || !isToken(method) || number < 0) return { number: -1, method: '' };
  // RFC 3261 section 8.1.1.5: below 2**31.
  return { number: number < 2 ** 31 ? number : -1, method };
}
