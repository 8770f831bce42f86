import { httpLimits } from '../config/defaults.ts';
import { type HttpFault, httpFault, isFault } from './fault.ts';
import {
  receivedRequest,
  type ReceivedRequest,
  receivedResponse,
  type ReceivedResponse,
} from './head.ts';
import { parseRequestLine, parseStatusLine, startLineBytesMax } from './start-line.ts';

/** `more`: everything was taken and the head is not complete. `next`: the offset behind the head. */
export type HeadProgress<Head> =
  | { readonly kind: 'more' }
  | { readonly kind: 'head'; readonly head: Head; readonly next: number }
  | HttpFault;

const more: { readonly kind: 'more' } = { kind: 'more' };
const nothing: Buffer = Buffer.alloc(0);
const emptyLine = Buffer.from('\r\n\r\n');
const carriageReturn = 0x0d;
const lineFeed = 0x0a;

/** What differs between the heads of requests and responses. */
interface Grammar<Head extends { readonly kind: string }> {
  /** @param text start line and field lines, each with its CRLF */
  head(text: string): Head | HttpFault;
  /** RFC 9112 section 2.2: a server overlooks one empty line before a request. */
  readonly mayBeginEmpty: boolean;
}

/**
 * Reads the heads of one connection, one after another, from any split of its bytes; each split
 * gives the same heads and the same fault. After a fault the parser must not be fed again.
 *
 * A head that is whole in one piece, as nearly all are, is decoded once and never copied.
 */
export class HeadParser<Head extends { readonly kind: string }> {
  readonly #grammar: Grammar<Head>;
  /** The beginning of a head that came in pieces; doubles, so that a drip costs no more than a gush. */
  #kept: Buffer = nothing;
  #keptBytes = 0;
  #sawEmptyLine = false;

  constructor(grammar: Grammar<Head>) {
    this.#grammar = grammar;
  }

  /** Whether a head has begun and is not complete. */
  get isInside(): boolean {
    return this.#keptBytes > 0;
  }

  /** Takes `bytes` from `from` on, up to the end of a head. */
  feed(bytes: Buffer, from: number): HeadProgress<Head> {
    if (this.#keptBytes > 0) return this.#goOn(bytes, from);
    let start = from;
    while (bytes[start] === carriageReturn && bytes[start + 1] === lineFeed) {
      if (!this.#mayOverlookEmptyLine()) return httpFault('HTTP_LINE_INVALID');
      start += 2;
    }
    if (start === bytes.length) return more;
    const end = bytes.indexOf(emptyLine, start);
    if (end >= 0) return this.#take(bytes, start, end + 2, end + 4);
    this.#keep(bytes, start, bytes.length);
    return this.#unfinished(0);
  }

  /** More of a head whose beginning is kept. */
  #goOn(bytes: Buffer, from: number): HeadProgress<Head> {
    const before = this.#keptBytes;
    if (before === 1 && this.#kept[0] === carriageReturn && bytes[from] === lineFeed) {
      this.#keptBytes = 0;
      if (!this.#mayOverlookEmptyLine()) return httpFault('HTTP_LINE_INVALID');
      return this.feed(bytes, from + 1);
    }
    // No more than a head: the rest may be a large body.
    const most = from + httpLimits.headBytesMax + emptyLine.length - before;
    this.#keep(bytes, from, Math.min(bytes.length, most));
    const kept = this.#kept;
    const end = kept.subarray(0, this.#keptBytes).indexOf(emptyLine, Math.max(0, before - 3));
    if (end < 0) return this.#unfinished(Math.max(0, before - 1));
    // Its connection may rest for long, or never send another head in pieces.
    this.#kept = nothing;
    this.#keptBytes = 0;
    return this.#take(kept, 0, end + 2, from + end + 4 - before);
  }

  /** @param end behind the CRLF of the last line */
  #take(bytes: Buffer, start: number, end: number, next: number): HeadProgress<Head> {
    this.#sawEmptyLine = false;
    const isTooLarge = end + 2 - start > httpLimits.headBytesMax;
    const head = isTooLarge ? tooLarge : this.#grammar.head(bytes.toString('latin1', start, end));
    if (!isFault(head)) return { kind: 'head', head, next };
    return earlyFault(bytes, start, start, end) ?? head;
  }

  /** @param from what was looked at before ends here */
  #unfinished(from: number): HeadProgress<Head> {
    const bytes = this.#keptBytes;
    const fault = earlyFault(this.#kept, 0, from, bytes);
    return fault ?? (bytes > httpLimits.headBytesMax ? tooLarge : more);
  }

  #mayOverlookEmptyLine(): boolean {
    const isFirst = !this.#sawEmptyLine;
    this.#sawEmptyLine = true;
    return isFirst && this.#grammar.mayBeginEmpty;
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const wanted = this.#keptBytes + end - start;
    if (wanted > this.#kept.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(512, 2 * this.#kept.length, wanted));
      this.#kept.copy(larger, 0, 0, this.#keptBytes);
      this.#kept = larger;
    }
    bytes.copy(this.#kept, this.#keptBytes, start, end);
    this.#keptBytes = wanted;
  }
}

const tooLarge: HttpFault = httpFault('HTTP_HEAD_TOO_LARGE');
const bareLineEnd: HttpFault = httpFault('HTTP_LINE_INVALID');

/**
 * Faults that show before a head is complete. Which one counts, of several, must not depend on how
 * the bytes were split: it is the one that shows first when they come one by one.
 *
 * @param start of the head
 * @param from what was looked at before ends here
 */
function earlyFault(
  bytes: Buffer,
  start: number,
  from: number,
  end: number,
): HttpFault | undefined {
  const lineEndMax = start + startLineBytesMax;
  if (hasBareLineEnd(bytes, start, from, Math.min(end, lineEndMax + 1))) return bareLineEnd;
  if (end > lineEndMax) {
    const feed = bytes.indexOf(lineFeed, start);
    if (feed < 0 || feed >= lineEndMax) return httpFault('HTTP_TARGET_TOO_LONG');
  }
  const last = Math.min(end, start + httpLimits.headBytesMax);
  const isBare = hasBareLineEnd(bytes, start, Math.max(from, lineEndMax), last);
  return isBare ? bareLineEnd : undefined;
}

/** Whether a CR or LF stands alone; a CR as the last byte may still get its LF. */
function hasBareLineEnd(bytes: Buffer, start: number, from: number, end: number): boolean {
  for (let at = from; at < end; at++) {
    const byte = bytes[at];
    if (byte === lineFeed && (at === start || bytes[at - 1] !== carriageReturn)) return true;
    if (byte === carriageReturn && at + 1 < end && bytes[at + 1] !== lineFeed) return true;
  }
  return false;
}

export type RequestHeadParser = HeadParser<ReceivedRequest>;
export type ResponseHeadParser = HeadParser<ReceivedResponse>;

export function createRequestHeadParser(): RequestHeadParser {
  return new HeadParser(requestGrammar);
}

export function createResponseHeadParser(): ResponseHeadParser {
  return new HeadParser(responseGrammar);
}

const requestGrammar: Grammar<ReceivedRequest> = {
  head: (text) => {
    const end = text.indexOf('\r\n');
    const line = parseRequestLine(text, end);
    return isFault(line) ? line : receivedRequest(line, text, end + 2);
  },
  mayBeginEmpty: true,
};

const responseGrammar: Grammar<ReceivedResponse> = {
  head: (text) => {
    const end = text.indexOf('\r\n');
    const line = parseStatusLine(text, end);
    return isFault(line) ? line : receivedResponse(line, text, end + 2);
  },
  mayBeginEmpty: false,
};

/** Reads one request head from the beginning of `bytes`. */
export function parseRequestHead(bytes: Buffer): HeadProgress<ReceivedRequest> {
  return createRequestHeadParser().feed(bytes, 0);
}
