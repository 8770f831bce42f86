import { STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http';
import {
  type BodyFraming,
  HeaderBlock,
  type RequestHead,
  type RequestReceiver,
  type ResetCode,
  type ResponseReceiver,
} from '../../http/index.ts';
import { EmbeddedBody } from './embedded-body.ts';
import type { EmbeddedHttpRequest, EmbeddedHttpResponse } from './module.ts';

/** A module's HTTP handler. */
export type HttpHandler = (
  request: EmbeddedHttpRequest,
) => EmbeddedHttpResponse | Promise<EmbeddedHttpResponse>;

export interface EmbeddedExchangeEvents {
  /** The handler, or the body that it gave, failed; the client has been told. */
  failed(error: unknown): void;
  /** The request body ran past its limit. */
  overrun(): void;
  /** The exchange is over, well or not. Called once. */
  ended(): void;
}

/** Framing is the peer's, and connections are none of the module's business. */
const strippedHeaders: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

const plainText = HeaderBlock.of([['Content-Type', 'text/plain; charset=utf-8']]);

/** Largest piece of a body handed on at once, so that `pause` takes effect soon. */
const pieceBytes = 65_536;

/** One HTTP exchange served by a module's handler. */
export class EmbeddedExchange implements RequestReceiver {
  readonly #request: RequestHead;
  readonly #response: ResponseReceiver;
  readonly #events: EmbeddedExchangeEvents;
  readonly #body: EmbeddedBody;
  readonly #abort = new AbortController();
  #state: 'waiting' | 'answering' | 'done' = 'waiting';
  #isPaused = false;
  #continue: (() => void) | undefined;

  /** Without a handler the exchange is refused: nothing of it is processed. */
  constructor(
    request: RequestHead,
    response: ResponseReceiver,
    handler: HttpHandler | undefined,
    events: EmbeddedExchangeEvents,
  ) {
    this.#request = request;
    this.#response = response;
    this.#events = events;
    this.#body = new EmbeddedBody({
      pause: () => response.pause(),
      resume: () => response.resume(),
      wanted: () => this.#continueRequest(),
    });
    // Modules speak HTTP alone: what asks for another protocol is a request without body.
    if (request.framing.kind === 'tunnel') this.#body.end();
    // Later in this turn: the asker must have its handle before the first answer.
    void Promise.resolve().then(() => this.#serve(handler));
  }

  data(chunk: Uint8Array): void {
    if (!this.#body.push(chunk)) {
      this.#events.overrun();
      this.#giveUp('limit');
    }
  }

  end(): void {
    this.#body.end();
  }

  reset(code: ResetCode): void {
    this.#finish(new Error(`The client went away (${code})`));
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#goOn();
  }

  /** Ends the exchange from this side. */
  break(): void {
    this.#giveUp('broken');
  }

  /** RFC 9110 section 10.1.1: a client that asked first is told to go on when the body is read. */
  #continueRequest(): void {
    const isAsked = this.#request.headers
      .all('expect')
      .some((value) => value.toLowerCase() === '100-continue');
    if (!isAsked || this.#state !== 'waiting') return;
    this.#response.head({
      status: 100,
      reason: 'Continue',
      headers: HeaderBlock.empty,
      framing: { kind: 'none' },
    });
  }

  async #serve(handler: HttpHandler | undefined): Promise<void> {
    if (handler === undefined) {
      this.#giveUp('refused');
    }
    if (handler === undefined || this.#isDone()) {
      return;
    }
    try {
      await this.#answer(await handler(this.#moduleRequest()));
    } catch (error) {
      this.#fail(error);
    }
  }

  async #answer(response: EmbeddedHttpResponse): Promise<void> {
    const head = responseHead(response);
    const { body } = response;
    if (this.#isDone() || !this.#hasBody(response.status)) {
      await closeUnread(body);
      this.#headAndEnd(head, response);
      return;
    }
    this.#state = 'answering';
    this.#response.head({ ...head, framing: framingOf(body) });
    for await (const chunk of chunksOf(body)) {
      if (!(await this.#send(chunk))) {
        return;
      }
    }
    this.#end();
  }

  /** A response without body; a HEAD still announces the length. */
  #headAndEnd(head: ReturnType<typeof responseHead>, response: EmbeddedHttpResponse): void {
    if (this.#isDone()) {
      return;
    }
    const framing = framingOf(response.body);
    const isAnnounced = this.#request.method === 'HEAD' && framing.kind === 'length';
    this.#state = 'answering';
    this.#response.head({ ...head, framing: isAnnounced ? framing : { kind: 'none' } });
    this.#end();
  }

  /** False when the exchange ended meanwhile. */
  async #send(chunk: Uint8Array): Promise<boolean> {
    for (let start = 0; start < chunk.length; start += pieceBytes) {
      while (this.#isPaused && !this.#isDone()) {
        await new Promise<void>((resolve) => {
          this.#continue = resolve;
        });
      }
      if (this.#isDone()) {
        return false;
      }
      this.#response.data(chunk.subarray(start, start + pieceBytes));
    }
    return !this.#isDone();
  }

  #end(): void {
    if (!this.#isDone()) {
      this.#state = 'done';
      this.#response.end([]);
      this.#body.discard();
      this.#events.ended();
    }
  }

  #fail(error: unknown): void {
    if (this.#isDone()) {
      return;
    }
    this.#events.failed(error);
    if (this.#state === 'answering') {
      this.#giveUp('broken');
      return;
    }
    const text = Buffer.from('Internal Server Error\n');
    this.#state = 'answering';
    this.#response.head({
      status: 500,
      reason: 'Internal Server Error',
      headers: plainText,
      framing: { kind: 'length', bytes: text.length },
    });
    if (this.#request.method !== 'HEAD') {
      this.#response.data(text);
    }
    this.#end();
  }

  #giveUp(code: ResetCode): void {
    if (!this.#isDone()) {
      this.#finish(new Error(`The exchange was ended (${code})`));
      this.#response.reset(code);
    }
  }

  #finish(cause: Error): void {
    this.#body.fail(cause);
    if (this.#isDone()) {
      return;
    }
    this.#state = 'done';
    this.#goOn();
    this.#abort.abort(cause);
    this.#events.ended();
  }

  #goOn(): void {
    const goOn = this.#continue;
    this.#continue = undefined;
    goOn?.();
  }

  /** A call, since the state changes while the module is awaited. */
  #isDone(): boolean {
    return this.#state === 'done';
  }

  #hasBody(status: number): boolean {
    return this.#request.method !== 'HEAD' && status !== 204 && status !== 304;
  }

  #moduleRequest(): EmbeddedHttpRequest {
    const { method, target, framing } = this.#request;
    const isTunnel = framing.kind === 'tunnel';
    const headers = isTunnel
      ? this.#request.headers.filtered((lower) => lower !== 'upgrade')
      : this.#request.headers;
    return {
      method,
      target,
      header: (name) => headers.get(name.toLowerCase()),
      cookie: (name) => cookieOf(headers, name),
      body: this.#body,
      signal: this.#abort.signal,
    };
  }
}

function cookieOf(headers: HeaderBlock, wanted: string): string | undefined {
  for (const value of headers.all('cookie')) {
    for (const pair of value.split(';')) {
      const equals = pair.indexOf('=');
      if (equals > 0 && pair.slice(0, equals).trim() === wanted) {
        return pair.slice(equals + 1).trim();
      }
    }
  }
  return undefined;
}

/** @throws {RangeError} or {TypeError}: what a module may not say */
function responseHead(response: EmbeddedHttpResponse): {
  status: number;
  reason: string;
  headers: HeaderBlock;
} {
  const { status, headers = [] } = response;
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw new RangeError(`${status} is no final HTTP status`);
  }
  for (const [name, value] of headers) {
    validateHeaderName(name);
    validateHeaderValue(name, value);
  }
  return {
    status,
    reason: STATUS_CODES[status] ?? '',
    headers: HeaderBlock.of(headers.filter(([name]) => !strippedHeaders.has(name.toLowerCase()))),
  };
}

function framingOf(body: EmbeddedHttpResponse['body']): BodyFraming {
  if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) {
    return { kind: 'length', bytes: Buffer.byteLength(body ?? '') };
  }
  return { kind: 'chunked' };
}

function chunksOf(
  body: EmbeddedHttpResponse['body'],
): AsyncIterable<Uint8Array> | readonly Uint8Array[] {
  if (body === undefined || typeof body === 'string') {
    return [Buffer.from(body ?? '')];
  }
  return body instanceof Uint8Array ? [body] : body;
}

/** Lets a body that nobody will read free what it holds. */
async function closeUnread(body: EmbeddedHttpResponse['body']): Promise<void> {
  if (typeof body === 'object' && !(body instanceof Uint8Array)) {
    await body[Symbol.asyncIterator]().return?.();
  }
}
