import { httpLimits } from '../config/defaults.ts';
import { type HttpFault, httpFault, isFault } from './fault.ts';
import type { Field } from './field.ts';
import {
  readHeader,
  receivedRequest,
  type ReceivedRequest,
  receivedResponse,
  type ReceivedResponse,
} from './head.ts';
import { LineReader } from './line-reader.ts';
import {
  parseRequestLine,
  parseStatusLine,
  type RequestLine,
  startLineBytesMax,
  type StatusLine,
} from './start-line.ts';

/** `more`: everything was taken and the head is not complete. `next`: the offset behind the head. */
export type HeadProgress<Head> =
  | { readonly kind: 'more' }
  | { readonly kind: 'head'; readonly head: Head; readonly next: number }
  | HttpFault;

const more: { readonly kind: 'more' } = { kind: 'more' };

interface Kind {
  readonly kind: string;
}

/** What differs between the heads of requests and responses. */
interface Grammar<Line extends Kind, Head extends Kind> {
  startLine(bytes: Buffer, start: number, end: number): Line | HttpFault;
  head(line: Line, headers: readonly Field[]): Head | HttpFault;
  /** RFC 9112 section 2.2: a server overlooks one empty line before a request. */
  readonly mayBeginEmpty: boolean;
}

/**
 * Reads the heads of one connection, one after another, from any split of its bytes; each split
 * gives the same heads and the same fault. After a fault the parser must not be fed again.
 */
export class HeadParser<Line extends Kind, Head extends Kind> {
  readonly #grammar: Grammar<Line, Head>;
  readonly #lines = new LineReader();
  #line: Line | undefined;
  #headers: Field[] = [];
  #bytes = 0;
  #sawEmptyLine = false;

  constructor(grammar: Grammar<Line, Head>) {
    this.#grammar = grammar;
  }

  /** Whether a head has begun and is not complete. */
  get isInside(): boolean {
    return this.#bytes > 0;
  }

  /** Takes `bytes` from `from` on, up to the end of a head. */
  feed(bytes: Buffer, from: number): HeadProgress<Head> {
    let at = from;
    while (at < bytes.length) {
      const next = this.#lines.next(bytes, at);
      this.#bytes += (next < 0 ? bytes.length : next) - at;
      if (this.#line === undefined && this.#bytes > startLineBytesMax) {
        return httpFault('HTTP_TARGET_TOO_LONG');
      }
      if (this.#bytes > httpLimits.headBytesMax) return httpFault('HTTP_HEAD_TOO_LARGE');
      if (next < 0) return more;
      at = next;
      const result = this.#takeLine();
      if (result === undefined) continue;
      return isFault(result) ? result : { kind: 'head', head: result, next };
    }
    return more;
  }

  /** Undefined: the head goes on. */
  #takeLine(): Head | HttpFault | undefined {
    const lines = this.#lines;
    if (!lines.isClean) return httpFault('HTTP_LINE_INVALID');
    const { source, start } = lines;
    const end = lines.end - 2;
    if (this.#line === undefined) return this.#takeStartLine(source, start, end);
    if (end > start) return readHeader(source, start, end, this.#headers);
    const head = this.#grammar.head(this.#line, this.#headers);
    this.#line = undefined;
    this.#headers = [];
    this.#bytes = 0;
    this.#sawEmptyLine = false;
    return head;
  }

  #takeStartLine(source: Buffer, start: number, end: number): HttpFault | undefined {
    if (end === start) {
      if (this.#sawEmptyLine || !this.#grammar.mayBeginEmpty) return httpFault('HTTP_LINE_INVALID');
      this.#sawEmptyLine = true;
      this.#bytes = 0;
      return undefined;
    }
    const line = this.#grammar.startLine(source, start, end);
    if (isFault(line)) return line;
    this.#line = line;
    return undefined;
  }
}

export type RequestHeadParser = HeadParser<RequestLine, ReceivedRequest>;
export type ResponseHeadParser = HeadParser<StatusLine, ReceivedResponse>;

export function createRequestHeadParser(): RequestHeadParser {
  return new HeadParser({
    startLine: parseRequestLine,
    head: receivedRequest,
    mayBeginEmpty: true,
  });
}

export function createResponseHeadParser(): ResponseHeadParser {
  return new HeadParser({
    startLine: parseStatusLine,
    head: receivedResponse,
    mayBeginEmpty: false,
  });
}

/** Reads one request head from the beginning of `bytes`. */
export function parseRequestHead(bytes: Buffer): HeadProgress<ReceivedRequest> {
  return createRequestHeadParser().feed(bytes, 0);
}
