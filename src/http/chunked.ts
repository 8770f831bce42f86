import { httpLimits } from '../config/defaults.ts';
import { isVisibleByte } from './characters.ts';
import type { HeaderList } from './exchange.ts';
import { type HttpFault, httpFault } from './fault.ts';
import { type Field, parseField } from './field.ts';
import { LineReader } from './line-reader.ts';

/** Receives a body as it is read. */
export interface BodySink {
  data(chunk: Buffer): void;
  end(trailers: HeaderList): void;
}

/** 2^48 - 1 in hexadecimal: a longer size is no size. */
const sizeDigitsMax = 12;

/**
 * Reads a chunked body (RFC 9112 section 7.1) from any split of its bytes. Strict: CRLF only, no
 * blank around the size, extensions without control characters, all bounded.
 */
export class ChunkedReader {
  isDone = false;
  /** Set once the body cannot be read further. */
  fault: HttpFault | undefined;
  readonly #bodyBytesMax: number;
  readonly #lines = new LineReader();
  #state: 'size' | 'data' | 'cr' | 'lf' | 'trailers' = 'size';
  #left = 0;
  #bodyBytes = 0;
  #trailerBytes = 0;
  #trailers: Field[] = [];

  constructor(bodyBytesMax: number) {
    this.#bodyBytesMax = bodyBytesMax;
  }

  /** Takes bytes from `from` on. @returns the offset behind what belongs to the body */
  feed(bytes: Buffer, from: number, sink: BodySink): number {
    let at = from;
    while (at < bytes.length && !this.isDone && this.fault === undefined) {
      at = this.#step(bytes, at, sink);
    }
    return at;
  }

  #step(bytes: Buffer, at: number, sink: BodySink): number {
    switch (this.#state) {
      case 'size':
        return this.#size(bytes, at);
      case 'data':
        return this.#data(bytes, at, sink);
      case 'cr':
        return this.#expect(bytes[at] === 0x0d, 'lf', at);
      case 'lf':
        return this.#expect(bytes[at] === 0x0a, 'size', at);
      case 'trailers':
        return this.#trailer(bytes, at, sink);
    }
  }

  #expect(isThere: boolean, next: 'lf' | 'size', at: number): number {
    if (!isThere) this.fault = httpFault('HTTP_CHUNK_INVALID');
    this.#state = next;
    return at + 1;
  }

  #data(bytes: Buffer, at: number, sink: BodySink): number {
    const end = Math.min(bytes.length, at + this.#left);
    this.#left -= end - at;
    if (this.#left === 0) this.#state = 'cr';
    sink.data(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end));
    return end;
  }

  #size(bytes: Buffer, at: number): number {
    const next = this.#lines.next(bytes, at);
    const length = next < 0 ? this.#lines.pendingBytes : this.#lines.end - this.#lines.start;
    if (length > httpLimits.chunkLineBytesMax) {
      this.fault = httpFault('HTTP_CHUNK_INVALID');
    } else if (next >= 0) {
      this.#takeSize();
    }
    return next < 0 ? bytes.length : next;
  }

  #takeSize(): void {
    const { source, start, end, isClean } = this.#lines;
    const size = isClean ? chunkSize(source, start, end - 2) : -1;
    if (size < 0) {
      this.fault = httpFault('HTTP_CHUNK_INVALID');
      return;
    }
    this.#bodyBytes += size;
    if (this.#bodyBytes > this.#bodyBytesMax) {
      this.fault = httpFault('HTTP_BODY_TOO_LARGE');
      return;
    }
    this.#left = size;
    this.#state = size === 0 ? 'trailers' : 'data';
  }

  #trailer(bytes: Buffer, at: number, sink: BodySink): number {
    const lines = this.#lines;
    const next = lines.next(bytes, at);
    const end = next < 0 ? bytes.length : next;
    this.#trailerBytes += end - at;
    if (this.#trailerBytes > httpLimits.trailerBytesMax) {
      this.fault = httpFault('HTTP_TRAILER_INVALID');
    } else if (next >= 0) {
      this.#takeTrailer(sink);
    }
    return end;
  }

  #takeTrailer(sink: BodySink): void {
    const { source, start, isClean } = this.#lines;
    const end = this.#lines.end - 2;
    if (isClean && end === start) {
      this.isDone = true;
      sink.end(this.#trailers);
      return;
    }
    const field = isClean ? parseField(source, start, end) : undefined;
    if (field === undefined || this.#trailers.length >= httpLimits.trailerCountMax) {
      this.fault = httpFault('HTTP_TRAILER_INVALID');
      return;
    }
    this.#trailers.push(field);
  }
}

/** Size of a chunk line without its CRLF, or -1. */
function chunkSize(bytes: Buffer, start: number, end: number): number {
  let size = 0;
  let at = start;
  for (; at < end; at++) {
    const digit = hexDigit(bytes[at]!);
    if (digit < 0) break;
    size = size * 16 + digit;
  }
  if (at === start || at - start > sizeDigitsMax) return -1;
  if (at < end && bytes[at] !== 0x3b) return -1;
  for (; at < end; at++) if (!isVisibleByte(bytes[at]!)) return -1;
  return size;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
