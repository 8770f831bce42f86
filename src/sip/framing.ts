import { sipLimits } from '../config/defaults.ts';

const CR = 13;
const LF = 10;
const headEnd = Buffer.from('\r\n\r\n');

/** As much as a message of another peer may hold; requests of clients are refused below this. */
const headBytesMax = sipLimits.headerBytesMax + sipLimits.ownHeaderBytesMax;

/** What a stream gave: a whole message, a keep-alive to be answered, or a fault that ends it. */
export type StreamFrame =
  | { readonly kind: 'message'; readonly bytes: Buffer }
  /** A double CRLF (RFC 5626 section 3.5.1): answer with one CRLF. */
  | { readonly kind: 'ping' }
  /** The stream cannot be cut any more; close it. `bytes` is the head that was read, if any. */
  | { readonly kind: 'fault'; readonly cause: FramingFault; readonly bytes: Buffer };

export type FramingFault = 'header-too-large' | 'content-length' | 'body-too-large';

/**
 * Cuts a byte stream into SIP messages by Content-Length (RFC 3261 section 18.3). Any split of the
 * stream gives the same frames.
 */
export class StreamFramer {
  #pending: Buffer = Buffer.alloc(0);
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
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const frames: StreamFrame[] = [];
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) {
      frames.push(frame);
      if (frame.kind === 'fault') {
        this.#broken = true;
        this.#pending = Buffer.alloc(0);
        break;
      }
    }
    return frames;
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
    if (bytes.length >= 4 && bytes.indexOf(headEnd) === 0) {
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
    if (length < 0) return this.#fault('content-length', headBytes);
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

const lengthField = /\r\n(?:content-length|l)[ \t]*:/gi;
const lineEnd = /\r\n(?![ \t])/g;

/** -1 when it is malformed or given twice with different values; 0 when absent. */
function contentLength(head: string): number {
  let length = -2;
  for (const match of head.matchAll(lengthField)) {
    const start = match.index + match[0].length;
    lineEnd.lastIndex = start;
    const text = head.slice(start, lineEnd.exec(head)?.index).trim();
    if (!/^\d{1,10}$/.test(text)) return -1;
    if (length >= 0 && length !== Number(text)) return -1;
    length = Number(text);
  }
  // RFC 3261 section 20.14 demands it on streams; without it the body cannot have begun.
  return length === -2 ? 0 : length;
}
