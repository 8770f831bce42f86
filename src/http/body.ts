import { type BodySink, ChunkedReader } from './chunked.ts';
import type { HttpFault } from './fault.ts';
import type { ReceivedFraming } from './framing.ts';

/** Reads one body from any split of a connection's bytes. */
export interface BodyReader {
  readonly isDone: boolean;
  /** Set once the body cannot be read further. */
  readonly fault: HttpFault | undefined;
  /** Takes bytes from `from` on. @returns the offset behind what belongs to the body */
  feed(bytes: Buffer, from: number, sink: BodySink): number;
  /** The connection ended. @returns whether that is how this body ends */
  close(sink: BodySink): boolean;
}

/** @returns undefined when there is no body to read: none, or of length 0 */
export function createBodyReader(
  framing: ReceivedFraming,
  bodyBytesMax: number = Number.MAX_SAFE_INTEGER,
): BodyReader | undefined {
  switch (framing.kind) {
    case 'none':
      return undefined;
    case 'length':
      return framing.bytes === 0 ? undefined : new LengthReader(framing.bytes);
    case 'chunked':
      return new ChunkedBody(bodyBytesMax);
    case 'close':
    case 'tunnel':
      return new UntilCloseReader();
  }
}

class ChunkedBody extends ChunkedReader implements BodyReader {
  close(): boolean {
    return false;
  }
}

class LengthReader implements BodyReader {
  readonly fault = undefined;
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  get isDone(): boolean {
    return this.#left === 0;
  }

  feed(bytes: Buffer, from: number, sink: BodySink): number {
    const end = Math.min(bytes.length, from + this.#left);
    if (end === from) return from;
    this.#left -= end - from;
    sink.data(from === 0 && end === bytes.length ? bytes : bytes.subarray(from, end));
    if (this.#left === 0) sink.end([]);
    return end;
  }

  close(): boolean {
    return false;
  }
}

class UntilCloseReader implements BodyReader {
  readonly fault = undefined;
  isDone = false;

  feed(bytes: Buffer, from: number, sink: BodySink): number {
    if (from < bytes.length) sink.data(from === 0 ? bytes : bytes.subarray(from));
    return bytes.length;
  }

  close(sink: BodySink): boolean {
    this.isDone = true;
    sink.end([]);
    return true;
  }
}
