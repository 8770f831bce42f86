import { sipLimits } from '../config/defaults.ts';
import { decimal } from './decimal.ts';
import { HeaderId, idAt } from './header-names.ts';
import { trimmed } from './token.ts';

const CR = 13;
const LF = 10;
const SP = 32;
const HT = 9;
const headEnd = Buffer.from('\r\n\r\n');
const nothing: Buffer = Buffer.alloc(0);

/** As much as a message of another peer may hold; requests of clients are refused below this. */
const headBytesMax = sipLimits.headerBytesMax + sipLimits.ownHeaderBytesMax;

/** What a stream gave: a whole message, a keep-alive to be answered, or a fault that ends it. */
export type StreamFrame =
  | { readonly kind: 'message'; readonly bytes: Buffer }
  /** A double CRLF (RFC 5626 section 3.5.1): answer with one CRLF. */
  | { readonly kind: 'ping' }
  /** The stream cannot be cut any more; close it. `bytes` is the head where it may be answered. */
  | { readonly kind: 'fault'; readonly cause: FramingFault; readonly bytes: Buffer };

export type FramingFault =
  | 'header-too-large'
  | 'content-length'
  /** A body is announced, its length is not. */
  | 'length-missing'
  | 'body-too-large'
  /** CR or LF alone in the header: for some it ends a line, for others it does not. */
  | 'bare-line-break'
  /** The start line is none of SIP: the stream was cut wrongly before, or never was one. */
  | 'not-sip';

/**
 * Cuts a byte stream into SIP messages by Content-Length (RFC 3261 section 18.3). Any split of the
 * stream gives the same frames.
 */
export class StreamFramer {
  #pending: Buffer = nothing;
  /** Memory behind `#pending` that is free to take more; it ends where that memory ends. */
  #spare: Buffer = nothing;
  #scanned = 0;
  /** Bytes that the message at the front needs; 0 while its head is not complete. */
  #needed = 0;
  #broken = false;

  /** Bytes held until the rest of a message comes. */
  get pendingBytes(): number {
    return this.#pending.length;
  }

  /** Takes what the connection gave; after a fault it gives nothing more. */
  push(chunk: Buffer): StreamFrame[] {
    if (this.#broken) return [];
    this.#append(chunk);
    const frames: StreamFrame[] = [];
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) {
      frames.push(frame);
      if (frame.kind === 'fault') {
        this.#broken = true;
        this.#pending = nothing;
        break;
      }
    }
    // A whole chunk costs no copy; only what is left of it is kept where more can follow.
    if (this.#pending.length === 0) this.#spare = nothing;
    return frames;
  }

  /**
   * Room doubles with what is held, so bytes fed one by one are copied twice at most. What was given
   * out stands before what is written, and stays.
   */
  #append(chunk: Buffer): void {
    const held = this.#pending.length;
    if (held === 0) {
      this.#pending = chunk;
      return;
    }
    if (this.#spare.length < chunk.length) {
      const room = Buffer.allocUnsafeSlow(Math.max(this.#needed, 2 * (held + chunk.length)));
      this.#pending.copy(room);
      this.#pending = room.subarray(0, held);
      this.#spare = room.subarray(held);
    }
    chunk.copy(this.#spare);
    const { buffer, byteOffset } = this.#pending;
    this.#pending = Buffer.from(buffer, byteOffset, held + chunk.length);
    this.#spare = this.#spare.subarray(chunk.length);
  }

  #next(): StreamFrame | undefined {
    if (this.#needed === 0) {
      const ping = this.#skipLineBreaks();
      if (ping !== undefined) return ping;
      const fault = this.#readHead();
      if (fault !== undefined) return fault;
    }
    if (this.#needed === 0 || this.#pending.length < this.#needed) return undefined;
    const bytes = this.#pending.subarray(0, this.#needed);
    this.#consume(this.#needed);
    this.#needed = 0;
    return { kind: 'message', bytes };
  }

  #skipLineBreaks(): StreamFrame | undefined {
    const bytes = this.#pending;
    if (startsWithHeadEnd(bytes)) {
      this.#consume(4);
      return { kind: 'ping' };
    }
    // A single CRLF stands before a start line only when something else follows it.
    if (bytes.length >= 3 && bytes[0] === CR && bytes[1] === LF && bytes[2] !== CR)
      this.#consume(2);
    return undefined;
  }

  #readHead(): StreamFrame | undefined {
    const bytes = this.#pending;
    if (bytes.length < 3 || (bytes[0] === CR && bytes.length < 4)) return undefined;
    const end = bytes.indexOf(headEnd, Math.max(0, this.#scanned - 3));
    this.#scanned = bytes.length;
    const headBytes = end < 0 ? bytes.length : end + 4;
    if (headBytes > headBytesMax) return this.#fault('header-too-large', headBytes);
    if (end < 0) return undefined;
    const length = contentLength(bytes.toString('latin1', 0, headBytes));
    // Without its body the request looks whole: the head must not be taken for it.
    if (length === 'length-missing' || length === 'not-sip') return this.#fault(length, 0);
    if (typeof length === 'string') return this.#fault(length, headBytes);
    if (length > sipLimits.bodyBytesMax) return this.#fault('body-too-large', headBytes);
    this.#needed = headBytes + length;
    return undefined;
  }

  #fault(cause: FramingFault, headBytes: number): StreamFrame {
    return { kind: 'fault', cause, bytes: this.#pending.subarray(0, headBytes) };
  }

  #consume(count: number): void {
    this.#pending = this.#pending.subarray(count);
    this.#scanned = 0;
  }
}

function startsWithHeadEnd(bytes: Buffer): boolean {
  return bytes[0] === CR && bytes[1] === LF && bytes[2] === CR && bytes[3] === LF;
}

/** Any version: another one than ours can be answered. */
const versionPattern = /^sip\/\d+\.\d+ | sip\/\d+\.\d+[ \t]*$/i;

/** What the head says of its body, as `parseSipMessage` would read it; 0 when it has none. */
function contentLength(head: string): number | FramingFault {
  let length = -1;
  let hasContentType = false;
  const startEnd = head.indexOf('\r\n');
  if (!versionPattern.test(head.slice(0, startEnd))) return 'not-sip';
  for (let at = startEnd + 2; at < head.length - 2;) {
    const end = endOfLine(head, at);
    if (end < 0) return 'bare-line-break';
    const id = lengthOrType(head, at, end);
    if (id === undefined) return 'content-length';
    if (id === HeaderId.contentType) hasContentType = true;
    if (id === HeaderId.contentLength) {
      const value = decimal(trimmed(head.slice(head.indexOf(':', at) + 1, end)), 10);
      if (value < 0 || (length >= 0 && value !== length)) return 'content-length';
      length = value;
    }
    at = end + 2;
  }
  if (length >= 0) return length;
  // RFC 3261 section 20.14 demands it on streams; some leave it out where there is no body.
  return hasContentType ? 'length-missing' : 0;
}

/** Offset of the line's CR, folds included; -1 where a CR or LF stands alone. */
function endOfLine(head: string, from: number): number {
  for (let at = from; ;) {
    const end = head.indexOf('\r', at);
    if (end < 0 || head.indexOf('\n', at) !== end + 1) return -1;
    const next = head.charCodeAt(end + 2);
    if (next !== SP && next !== HT) return end;
    at = end + 2;
  }
}

/**
 * Id of a field named Content-Length or Content-Type; other names need not be found.
 *
 * @returns undefined for a name that is folded, which some would take for the field
 */
function lengthOrType(head: string, start: number, end: number): HeaderId | undefined {
  const first = head.charCodeAt(start) | 0x20;
  // Both have a compact form: `l`, `c`.
  if (first !== 0x63 && first !== 0x6c) return HeaderId.other;
  let name = head.indexOf(':', start);
  if (name < 0 || name > end) return HeaderId.other;
  while (name > start && isSpace(head.charCodeAt(name - 1))) name--;
  if (head.charCodeAt(name - 1) === LF) return undefined;
  return idAt(head, start, name);
}

function isSpace(code: number): boolean {
  return code === SP || code === HT;
}
