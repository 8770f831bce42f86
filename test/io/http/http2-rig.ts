import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type SecureClientSessionOptions,
} from 'node:http2';
import type { TestContext } from 'node:test';
import {
  type BodyFraming,
  HeaderBlock,
  type HeaderList,
  type RequestHead,
  type RequestReceiver,
  type ResetCode,
  type ResponseReceiver,
} from '../../../src/http/index.ts';
import { openHttp2 } from '../../../src/io/http/http2-connection.ts';
import type { HttpListenerOptions, ServeHttp } from '../../../src/io/http/index.ts';
import { type Instance, type Rig, startRig } from './http-rig.ts';

/** A listener that speaks HTTP/2, with one instance. */
export function startHttp2(
  t: TestContext,
  instance: Instance,
  listener: Partial<HttpListenerOptions> = {},
): Promise<Rig> {
  return startRig(t, { instances: { p1: instance }, listener: { openHttp2, ...listener } });
}

/** Times of a listener whose sweeps come so often that a test need not wait long. */
export const quick = { sweepIntervalMs: 10 } as const;

/** One request as an instance got it; the test answers. */
export class Served implements RequestReceiver {
  readonly head: RequestHead;
  readonly response: ResponseReceiver;
  body = '';
  bodyBytes = 0;
  trailers: HeaderList | undefined;
  wasReset: ResetCode | undefined;
  isPaused = false;
  pauses = 0;
  readonly #pieces: Buffer[] = [];

  constructor(head: RequestHead, response: ResponseReceiver) {
    this.head = head;
    this.response = response;
  }

  data(chunk: Uint8Array): void {
    this.bodyBytes += chunk.length;
    if (this.bodyBytes > 65_536) return;
    this.#pieces.push(Buffer.from(chunk));
    this.body = Buffer.concat(this.#pieces).toString('latin1');
  }

  end(trailers: HeaderList): void {
    this.trailers = trailers;
  }

  reset(code: ResetCode): void {
    this.wasReset = code;
  }

  pause(): void {
    this.isPaused = true;
    this.pauses++;
  }

  resume(): void {
    this.isPaused = false;
  }

  /** The head of a response; chunked unless something else is said. */
  begin(
    status = 200,
    headers: HeaderList = [],
    framing: BodyFraming = { kind: 'chunked' },
  ): ResponseReceiver {
    this.response.head({ status, reason: '', headers: HeaderBlock.of(headers), framing });
    return this.response;
  }

  /** A whole response. */
  answer(body = '', headers: HeaderList = []): void {
    const bytes = Buffer.from(body);
    const response = this.begin(200, headers, { kind: 'length', bytes: bytes.length });
    if (bytes.length > 0) response.data(bytes);
    response.end([]);
  }
}

/** An instance whose requests the test answers. */
export class Stub {
  readonly requests: Served[] = [];
  /** Called with each request before `serve` returns. */
  readonly #served: (request: Served) => void;

  constructor(served: (request: Served) => void = () => undefined) {
    this.#served = served;
  }

  readonly serve: ServeHttp = (_, head, __, response) => {
    const request = new Served(head, response);
    this.requests.push(request);
    this.#served(request);
    return request;
  };
}

/** An instance that answers each request at once with its target. */
export function answering(): Stub {
  return new Stub((request) => {
    request.answer(request.head.target);
  });
}

export interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly raw: readonly string[];
  readonly body: Buffer;
  readonly trailers: IncomingHttpHeaders | undefined;
}

/** A client of `node:http2`, closed with the test. */
export function dial(
  t: TestContext,
  port: number,
  options: SecureClientSessionOptions = {},
): ClientHttp2Session {
  const scheme = options.ca === undefined ? 'http' : 'https';
  const session = connect(`${scheme}://127.0.0.1:${port}`, options);
  session.on('error', () => undefined);
  t.after(() => {
    session.destroy();
  });
  return session;
}

/** Rejects when the stream breaks before its end. */
export async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  return new Promise<Answer>((resolve, reject) => {
    const pieces: Buffer[] = [];
    let headers: IncomingHttpHeaders = {};
    let raw: readonly string[] = [];
    let trailers: IncomingHttpHeaders | undefined;
    let isWhole = false;
    stream.on('response', (fields, _flags, lines: string[]) => {
      headers = fields;
      raw = lines;
    });
    stream.on('trailers', (fields: IncomingHttpHeaders) => (trailers = fields));
    stream.on('data', (piece: Buffer) => pieces.push(piece));
    stream.on('end', () => (isWhole = !stream.aborted));
    stream.on('error', reject);
    stream.on('close', () => {
      if (isWhole) resolve({ headers, raw, body: Buffer.concat(pieces), trailers });
      else reject(new Error(`Closed with ${stream.rstCode}`));
    });
  });
}

/** One request with its answer. */
export async function ask(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders = {},
  body?: string | Buffer,
): Promise<Answer> {
  const stream = session.request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return answerOf(stream);
}
