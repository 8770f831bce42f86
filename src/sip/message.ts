import {
  canonicalName,
  equalsIgnoringCase,
  fieldName,
  HeaderId,
  idAt,
  type FieldName,
} from './header-names.ts';
import { sipLimits } from '../config/defaults.ts';
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
 * changed in place; {@link Edits} records changes and copies once.
 */
export class SipMessage {
  readonly bytes: Buffer;
  readonly isRequest: boolean;
  /** Upper-case as written; empty for a response. */
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
  /** `SIP/2.0` as the start line gave it. */
  readonly version: string;
  /** id, name start, value start, value end, line end of each header line. */
  readonly #lines: readonly number[];
  #topVia: Via | null | undefined;

  constructor(bytes: Buffer, startLine: StartLine, index: HeaderIndex) {
    this.bytes = bytes;
    this.isRequest = startLine.status === 0;
    this.method = startLine.method;
    this.status = startLine.status;
    this.version = startLine.version;
    this.uriStart = startLine.uriStart;
    this.uriEnd = startLine.uriEnd;
    this.headersStart = index.headersStart;
    this.bodyStart = index.bodyStart;
    this.flaw = startLine.flaw ?? index.flaw;
    this.#lines = index.lines;
  }

  get requestUri(): string {
    return this.bytes.toString('utf8', this.uriStart, this.uriEnd);
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
    return this.bytes.toString('latin1', this.valueStart(line), this.valueEnd(line));
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
    return this.first(HeaderId.callId);
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
        line < 0 ? null : (readVia(this.bytes, this.valueStart(line), this.valueEnd(line)) ?? null);
    }
    return this.#topVia ?? undefined;
  }

  #tag(id: HeaderId): string | undefined {
    const line = this.line(id);
    return line < 0 ? undefined : tagOf(this.latin1(line));
  }

  #text(line: number): string {
    const text = this.bytes.toString('utf8', this.valueStart(line), this.valueEnd(line));
    return text.includes('\r') ? text.replace(/\r\n[ \t]+/g, ' ') : text;
  }

  #lineNamed(field: FieldName, from: number): number {
    if (field.id !== HeaderId.other) return this.line(field.id, from);
    for (let line = from; line < this.lineCount; line++) {
      if (this.idOfLine(line) === HeaderId.other && this.#isNamed(line, field)) return line;
    }
    return -1;
  }

  #isNamed(line: number, { text, canonical }: FieldName): boolean {
    const start = this.lineStart(line);
    const { bytes } = this;
    // Names end at a colon or white space, so what follows the wanted length decides.
    if (tokenBytes[bytes[start + text.length]!] === 0 && equalsIgnoringCase(bytes, start, text)) {
      return true;
    }
    const isCompact = tokenBytes[bytes[start + 1]!] === 0;
    return isCompact && canonicalName(String.fromCharCode(bytes[start]!)) === canonical;
  }
}

interface StartLine {
  readonly method: string;
  readonly status: number;
  readonly version: string;
  readonly uriStart: number;
  readonly uriEnd: number;
  readonly flaw: SipFlaw | undefined;
}

interface HeaderIndex {
  readonly headersStart: number;
  readonly bodyStart: number;
  readonly flaw: SipFlaw | undefined;
  readonly lines: readonly number[];
}

/**
 * Indexes one whole message (a datagram, or what {@link StreamFramer} cut). Structure only: what a
 * request must have is checked by `validateRequest`.
 */
export function parseSipMessage(bytes: Buffer): SipParseResult {
  let start = 0;
  // RFC 3261 section 7.5: line breaks before the start line are ignored.
  while (bytes[start] === CR && bytes[start + 1] === LF) start += 2;
  if (start >= bytes.length) return { ok: false, fault: 'empty' };
  const lineEnd = endOfLine(bytes, start);
  if (lineEnd < 0) return { ok: false, fault: 'not-sip' };
  const startLine = readStartLine(bytes, start, lineEnd);
  if (startLine === undefined) return { ok: false, fault: 'not-sip' };
  const index = indexHeaders(bytes, lineEnd + 2);
  if (typeof index === 'string') return { ok: false, fault: index };
  const message = new SipMessage(bytes, startLine, index);
  const end = endOfBody(message);
  if (end >= bytes.length) return { ok: true, message };
  return { ok: true, message: new SipMessage(bytes.subarray(0, end), startLine, index) };
}

/** RFC 3261 section 18.3: what a datagram holds beyond its Content-Length is cut. */
function endOfBody(message: SipMessage): number {
  const line = message.line(HeaderId.contentLength);
  if (line < 0) return message.bytes.length;
  const length = message.latin1(line);
  return /^\d{1,10}$/.test(length) ? message.bodyStart + Number(length) : message.bytes.length;
}

function readStartLine(bytes: Buffer, start: number, end: number): StartLine | undefined {
  const first = bytes.indexOf(SP, start);
  if (first < 0 || first >= end) return undefined;
  if (bytes[start] === 0x53 && bytes.toString('latin1', start, first).toUpperCase() === 'SIP/2.0') {
    return readStatusLine(bytes, first, end);
  }
  const last = bytes.lastIndexOf(SP, end - 1);
  const version = bytes.toString('latin1', last + 1, end);
  if (!/^SIP\/\d+\.\d+$/i.test(version)) return undefined;
  const method = bytes.toString('latin1', start, first);
  const uriStart = first + 1;
  const uriEnd = Math.max(last, uriStart);
  const flawed = last === first || !isToken(method) || hasSpace(bytes, uriStart, uriEnd);
  const flaw = flawed ? 'start-line' : undefined;
  return { method, status: 0, version: version.toUpperCase(), uriStart, uriEnd, flaw };
}

function readStatusLine(bytes: Buffer, space: number, end: number): StartLine | undefined {
  const text = bytes.toString('latin1', space + 1, Math.min(space + 4, end));
  const status = /^[1-6]\d\d$/.test(text) ? Number(text) : -1;
  const wellFormed = status > 0 && (space + 4 === end || bytes[space + 4] === SP);
  if (!wellFormed) return undefined;
  return { method: '', status, version: 'SIP/2.0', uriStart: 0, uriEnd: 0, flaw: undefined };
}

function hasSpace(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    if (bytes[at]! <= SP) return true;
  }
  return start === end;
}

/** Offset of the CR that ends the line, or -1. */
function endOfLine(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(CR, from); at >= 0; at = bytes.indexOf(CR, at + 1)) {
    if (bytes[at + 1] === LF) return at;
  }
  return -1;
}

function indexHeaders(bytes: Buffer, headersStart: number): HeaderIndex | SipFault {
  const lines: number[] = [];
  let flaw: SipFlaw | undefined;
  let at = headersStart;
  const limit = Math.min(bytes.length, headersStart + sipLimits.headerBytesMax);
  while (at < limit) {
    if (bytes[at] === CR && bytes[at + 1] === LF) {
      return { headersStart, bodyStart: at + 2, flaw, lines };
    }
    if (lines.length >= sipLimits.headerCountMax * stride) return 'too-many-headers';
    const scan = scanLine(bytes, at, limit);
    if (scan < 0) return limit < bytes.length ? 'header-too-large' : 'header-not-ended';
    flaw ??= lineFlaw;
    flaw ??= pushLine(bytes, at, scan, lines);
    at = scan + 2;
  }
  return at < bytes.length ? 'header-too-large' : 'header-not-ended';
}

/** Set by {@link scanLine}: what it met on its way. Kept outside so that a line costs no object. */
let lineFlaw: SipFlaw | undefined;

/** Offset of the CR that ends the logical line (folds included), or -1. */
function scanLine(bytes: Buffer, from: number, limit: number): number {
  lineFlaw = undefined;
  for (let at = from; at < limit; at++) {
    const byte = bytes[at]!;
    if (byte > CR) continue;
    if (byte === CR && bytes[at + 1] === LF) {
      const next = bytes[at + 2];
      if (next !== SP && next !== HT) return at;
      at++;
    } else if (byte === CR || byte === LF) {
      lineFlaw ??= 'bare-line-break';
    } else if (byte === 0) {
      lineFlaw ??= 'nul';
    }
  }
  return -1;
}

function pushLine(bytes: Buffer, start: number, end: number, lines: number[]): SipFlaw | undefined {
  const name = nameEnd(bytes, start);
  let colon = name;
  // RFC 3261 section 25.1, HCOLON: white space may stand before the colon.
  while (bytes[colon] === SP || bytes[colon] === HT) colon++;
  if (name === start || bytes[colon] !== COLON || colon >= end) return 'header-line';
  let valueStart = colon + 1;
  while (valueStart < end && isBlank(bytes[valueStart]!)) valueStart++;
  let valueEnd = end;
  while (valueEnd > valueStart && isBlank(bytes[valueEnd - 1]!)) valueEnd--;
  lines.push(idAt(bytes, start, name), start, valueStart, valueEnd, end + 2);
  return undefined;
}

function isBlank(byte: number): boolean {
  return byte === SP || byte === HT || byte === CR || byte === LF;
}

/** 1 for the characters of `token` (RFC 3261 section 25.1). */
const tokenBytes = new Uint8Array(256);
for (const character of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~") {
  tokenBytes[character.charCodeAt(0)] = 1;
}

function nameEnd(bytes: Buffer, start: number): number {
  let at = start;
  while (at < bytes.length && tokenBytes[bytes[at]!] === 1) at++;
  return at;
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
    while (value.charCodeAt(start) === SP || value.charCodeAt(start) === HT) start++;
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
  const match = /^(\d{1,10})[ \t\r\n]+(\S+)$/.exec(value);
  if (match === null) return { number: -1, method: '' };
  const number = Number(match[1]);
  // RFC 3261 section 8.1.1.5: below 2**31.
  return number < 2 ** 31 ? { number, method: match[2]! } : { number: -1, method: match[2]! };
}
