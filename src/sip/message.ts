import {
  canonicalName,
  equalsIgnoringCase,
  fieldName,
  HeaderId,
  type FieldName,
} from './header-names.ts';
import { decimal } from './decimal.ts';
import { readTag } from './tag.ts';
import { isBlank, isToken, isTokenCharacter } from './token.ts';
import { readVia, type Via } from './via.ts';

/** Why bytes are no SIP message that could even be answered. */
export type SipFault =
  'empty' | 'not-sip' | 'header-too-large' | 'too-many-headers' | 'header-not-ended';

/** A flaw that leaves the message answerable: 400 when it is a request. */
export type SipFlaw = 'start-line' | 'bare-line-break' | 'header-line' | 'nul';

export type SipParseResult =
  | { readonly ok: true; readonly message: SipMessage }
  | { readonly ok: false; readonly fault: SipFault };

const SP = 32;

/** In place of a tag that nobody has asked for yet. */
const unread = 0;

/** Numbers kept for each header line: id, name start, value start, value end, line end. */
export const stride = 5;

/**
 * A SIP message on its bytes: an index of its lines, fields decoded when asked for. Nothing is
 * changed in place; {@link Edits} records changes and copies once. Its beginning is also
 * kept as latin1 text, whose offsets are those of the bytes: slices of it cost far less.
 */
export class SipMessage {
  readonly bytes: Buffer;
  /** The message's beginning, one character a byte; start line and header at least. */
  readonly text: string;
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
  #cseq: { readonly number: number; readonly method: string } | undefined;
  #topVia: Via | null | undefined;
  #fromTag: string | null | undefined | typeof unread = unread;
  #toTag: string | null | undefined | typeof unread = unread;

  constructor(bytes: Buffer, text: string, startLine: StartLine, index: HeaderIndex) {
    this.bytes = bytes;
    this.text = text;
    this.isRequest = startLine.status === 0;
    this.method = startLine.method;
    this.status = startLine.status;
    this.version = startLine.version;
    this.uriStart = startLine.uriStart;
    this.uriEnd = startLine.uriEnd;
    this.headersStart = startLine.end;
    this.bodyStart = index.end + 2;
    this.flaw = startLine.flaw ?? index.flaw;
    this.#lines = index.lines;
    this.#firstLines = index.firstLines;
  }

  get requestUri(): string {
    return decoded(this.text.slice(this.uriStart, this.uriEnd));
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
    return this.text.slice(this.valueStart(line), this.valueEnd(line));
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

  /** Undefined when absent or malformed. */
  get fromTag(): string | undefined {
    if (this.#fromTag === unread) this.#fromTag = readTag(this.first(HeaderId.from));
    return this.#fromTag ?? undefined;
  }

  /** Undefined when absent or malformed. */
  get toTag(): string | undefined {
    if (this.#toTag === unread) this.#toTag = readTag(this.first(HeaderId.to));
    return this.#toTag ?? undefined;
  }

  /** Whether From or To is such that its tag cannot be told. */
  get hasMalformedTag(): boolean {
    return (
      (this.fromTag === undefined && this.#fromTag === null) ||
      (this.toTag === undefined && this.#toTag === null)
    );
  }

  /** -1 when CSeq is absent or no number of RFC 3261 section 8.1.1.5. */
  get cseqNumber(): number {
    return this.#cseqParts().number;
  }

  /** Empty when CSeq is absent or malformed. */
  get cseqMethod(): string {
    return this.#cseqParts().method;
  }

  /** The topmost Via value; undefined when absent or malformed. */
  get topVia(): Via | undefined {
    if (this.#topVia === undefined) {
      const line = this.line(HeaderId.via);
      this.#topVia =
        line < 0 ? null : (readVia(this.text, this.valueStart(line), this.valueEnd(line)) ?? null);
    }
    return this.#topVia ?? undefined;
  }

  #cseqParts(): { readonly number: number; readonly method: string } {
    return (this.#cseq ??= cseqOf(this.first(HeaderId.cseq)));
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
    const { text } = this;
    // Names end at a colon or white space, so what follows the wanted length decides.
    if (
      !isTokenCharacter(text.charCodeAt(start + canonical.length)) &&
      equalsIgnoringCase(text, start, canonical)
    ) {
      return true;
    }
    const isCompact = !isTokenCharacter(text.charCodeAt(start + 1));
    return isCompact && canonicalName(text[start]!) === canonical;
  }
}

/** What the start line says. */
export interface StartLine {
  readonly method: string;
  readonly status: number;
  readonly version: string;
  readonly uriStart: number;
  readonly uriEnd: number;
  readonly flaw: SipFlaw | undefined;
  /** Offset of the line after it. */
  readonly end: number;
}

/** Where the header lines stand. */
export interface HeaderIndex {
  /** Offset of the empty line. */
  readonly end: number;
  readonly flaw: SipFlaw | undefined;
  readonly lines: readonly number[];
  readonly firstLines: readonly number[];
}

/** UTF-8 text of latin1 characters; the same string where all are ASCII. */
function decoded(latin1: string): string {
  for (let at = 0; at < latin1.length; at++) {
    if (latin1.charCodeAt(at) > 0x7f) return Buffer.from(latin1, 'latin1').toString('utf8');
  }
  return latin1;
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
  if (!text.includes(',', from)) return text.length;
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
