import type { ServerHttp2Stream } from 'node:http2';
import {
  type BodyFraming,
  endToEndTrailers,
  type HeaderBlock,
  type HeaderList,
  mayHaveBody,
  noBody,
  type ResponseHead,
} from '../../http/index.ts';
import type { ClientWriter } from './client-writer.ts';

/** The stream that a response is written to. */
export interface Http2WriterHost {
  /** A piece was handed over. */
  sent(bytes: number): void;
  /** The client takes no more, until the stream's `drain`. */
  filled(): void;
}

/** Writes the response of one HTTP/2 stream (RFC 9113 section 8.1). */
export class Http2ResponseWriter implements ClientWriter {
  isStarted = false;
  isPersistent = true;
  /** The client takes no more for now. */
  isFull = false;
  /** Nothing is left to be handed to the stream. */
  isComplete = false;
  readonly #stream: ServerHttp2Stream;
  readonly #method: string;
  readonly #takesTrailers: boolean;
  readonly #host: Http2WriterHost;
  #body: BodyFraming = noBody;
  #left = 0;
  #trailers: HeaderList = [];

  /** @param takesTrailers the client does (RFC 9110 section 6.5.1) */
  constructor(
    stream: ServerHttp2Stream,
    method: string,
    takesTrailers: boolean,
    host: Http2WriterHost,
  ) {
    this.#stream = stream;
    this.#method = method;
    this.#takesTrailers = takesTrailers;
    this.#host = host;
  }

  interim(head: ResponseHead): void {
    if (this.#isGone()) return;
    this.#stream.additionalHeaders({ ':status': head.status, ...fieldsOf(head.headers.list()) });
  }

  /** What has no body is one HEADERS frame with END_STREAM: gRPC needs that of a head that is its trailers. */
  head(head: ResponseHead, cookies: HeaderBlock, date: string): void {
    const { status, framing } = head;
    if (framing.kind === 'tunnel') throw new TypeError('HTTP/2 does not change its protocol');
    const raw: string[] = [':status', String(status)];
    addLines(raw, head.headers);
    addLines(raw, cookies);
    if (head.headers.get('date') === undefined) raw.push('date', date);
    // 205 has no body either (RFC 9110 section 15.3.6).
    const isBare = status === 204 || status === 205;
    const body = !isBare && mayHaveBody(status, this.#method) ? framing : noBody;
    const bytes = framing.kind === 'length' ? framing.bytes : 0;
    if (framing.kind === 'length' && !isBare) raw.push('content-length', String(bytes));
    const waitForTrailers = this.#mayHaveTrailers(body);
    const endStream = !waitForTrailers && (body.kind === 'none' || bytes === 0);
    if (!this.#isGone()) this.#stream.respond(raw, { endStream, waitForTrailers });
    this.isStarted = true;
    this.isComplete = endStream;
    this.#body = body;
    this.#left = bytes;
  }

  data(chunk: Uint8Array): boolean {
    if (this.#body.kind === 'none' || chunk.length === 0) return true;
    if (this.#body.kind === 'length') {
      if (chunk.length > this.#left) return false;
      this.#left -= chunk.length;
      if (this.#left === 0 && !this.#takesTrailers) {
        // The last frame of data says that it is the last.
        this.isComplete = true;
        if (this.#isGone()) return true;
        this.#stream.end(chunk);
        this.#host.sent(chunk.length);
        return true;
      }
    }
    if (this.#isGone()) return true;
    const isTaken = this.#stream.write(chunk);
    this.#host.sent(chunk.length);
    if (isTaken) return true;
    this.isFull = true;
    this.#host.filled();
    return true;
  }

  end(trailers: HeaderList): boolean {
    if (this.#body.kind === 'none' || this.isComplete) return true;
    if (this.#body.kind === 'length' && this.#left > 0) return false;
    this.#trailers = endToEndTrailers(trailers);
    this.isComplete = true;
    if (!this.#isGone()) this.#stream.end();
    return true;
  }

  /** The stream has sent all data; without trailers this becomes an empty DATA frame with END_STREAM. */
  sendTrailers(): void {
    if (!this.#isGone()) this.#stream.sendTrailers(fieldsOf(this.#trailers));
  }

  /** In HTTP/2 they may follow a body of known length, too; for gRPC they are the answer. */
  #mayHaveTrailers({ kind }: BodyFraming): boolean {
    return kind === 'chunked' || (kind === 'length' && this.#takesTrailers);
  }

  #isGone(): boolean {
    return this.#stream.closed || this.#stream.destroyed;
  }
}

function addLines(raw: string[], headers: HeaderBlock): void {
  for (const [name, value] of headers.list()) raw.push(name.toLowerCase(), value);
}

function fieldsOf(list: HeaderList): Record<string, string[]> {
  const fields: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
  for (const [name, value] of list) {
    const lower = name.toLowerCase();
    (fields[lower] ??= []).push(value);
  }
  return fields;
}
