import { type ClientHttp2Stream, constants } from 'node:http2';
import type { UpstreamHttpTimeoutsConfig } from '../../config/config.ts';
import type { HeaderList, ResetCode } from '../../http/index.ts';
import type { ExchangeCarrier } from './upstream-http-exchange.ts';
import type { UpstreamHttp2Exchange } from './upstream-http2-exchange.ts';
import { responseHead, responseTrailers, trailerFields } from './upstream-http2-head.ts';

/** The session that a stream belongs to. */
export interface StreamSession {
  readonly timeouts: UpstreamHttpTimeoutsConfig;
  /** Time for what is left of a request behind its response. */
  readonly restMs: number;
  /** How often something has come for any of its streams. */
  readonly heardCount: number;
  /** The connection broke; not that the server hung. */
  readonly isBroken: boolean;
  nowMs(): number;
  count(reason: string): void;
  /** Something came. */
  heard(): void;
  /** Whether the server may have looked at it; undefined: it was not sent. */
  mayHaveProcessed(streamId: number | undefined): boolean;
  /** The request may go over another session. */
  again(exchange: UpstreamHttp2Exchange): void;
  closed(stream: UpstreamHttp2Stream): void;
}

/** `rest`: the response is whole, and the server may still take what is left of the request. */
type Activity = 'response' | 'body' | 'rest';

/** One request and its response on a stream of its own (RFC 9113 section 8.1). */
export class UpstreamHttp2Stream implements ExchangeCarrier {
  readonly #stream: ClientHttp2Stream;
  readonly #session: StreamSession;
  readonly #heardBefore: number;
  /** Of the request: its head said that nothing follows. */
  readonly #isHeadAlone: boolean;
  #exchange: UpstreamHttp2Exchange | undefined;
  #hasBegun = false;
  #hasHead = false;
  #hasEnd = false;
  #trailersToSend: HeaderList = [];
  #trailers: HeaderList = [];
  #isPaused = false;
  #isAskerPaused = false;
  #activity: Activity = 'response';
  #deadlineMs = 0;

  constructor(
    stream: ClientHttp2Stream,
    session: StreamSession,
    exchange: UpstreamHttp2Exchange,
    isHeadAlone: boolean,
  ) {
    this.#stream = stream;
    this.#session = session;
    this.#exchange = exchange;
    this.#isHeadAlone = isHeadAlone;
    this.#heardBefore = session.heardCount;
    this.#wait('response');
    this.#listen(stream);
    this.#watchEnd(stream);
  }

  /** Bytes written and not yet taken by the server. */
  get bufferedBytes(): number {
    return this.#stream.writableLength;
  }

  /** The server has something to do, and nobody keeps it from that. */
  get isAwaitingServer(): boolean {
    return this.#exchange !== undefined && !this.#isWaitingForAsker();
  }

  sweep(): void {
    if (this.#session.nowMs() < this.#deadlineMs) return;
    if (this.#exchange === undefined) {
      this.#cancel();
    } else if (!this.#isWaitingForAsker()) {
      this.#session.count(`timeout-${this.#activity}`);
      this.#fail('timeout');
    }
  }

  /** The session is gone: whatever `node:http2` says, so is this. */
  lost(): void {
    this.#closed();
  }

  bodyData(chunk: Uint8Array): void {
    if (this.#isHeadAlone || this.#stream.closed) return;
    this.#wait(this.#activity);
    this.#exchange?.keep(chunk);
    if (this.#stream.write(chunk)) return;
    // Each time: whatever held the body before may have let it go meanwhile.
    this.#isAskerPaused = true;
    this.#exchange?.response.pause();
  }

  bodyEnd(trailers: HeaderList): void {
    this.#wait(this.#activity);
    this.#trailersToSend = trailers;
    if (!this.#isHeadAlone && !this.#stream.closed) this.#stream.end();
  }

  abandon(): void {
    this.#exchange = undefined;
    this.#cancel();
  }

  pauseResponse(): void {
    this.#isPaused = true;
    if (this.#hasHead) this.#stream.pause();
  }

  resumeResponse(): void {
    this.#isPaused = false;
    this.#wait(this.#activity);
    if (this.#hasHead) this.#stream.resume();
  }

  #listen(stream: ClientHttp2Stream): void {
    stream.on('headers', (_headers, _flags, fields) => {
      this.#interim(fields);
    });
    stream.on('response', (_headers, flags, fields) => {
      this.#respond(fields, (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0);
    });
    stream.on('trailers', (_headers: unknown, _flags: unknown, fields: string[]) => {
      this.#takeTrailers(fields);
    });
    stream.on('end', () => {
      this.#ended();
    });
    stream.on('drain', () => {
      this.#resumeAsker();
    });
    stream.on('wantTrailers', () => {
      this.#sendTrailers();
    });
    // Its close tells the same.
    stream.on('error', () => undefined);
    stream.on('close', () => {
      this.#closed();
    });
  }

  /**
   * To a reader the end of a body and a reset without error look alike, so what ends the stream is looked
   * at where it comes in: half a body must never be taken for a whole one.
   */
  #watchEnd(stream: ClientHttp2Stream): void {
    const push = stream.push.bind(stream);
    stream.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
      if (chunk === null && !stream.closed) this.#hasEnd = true;
      return push(chunk, encoding);
    };
  }

  #interim(fields: readonly string[]): void {
    const exchange = this.#begin();
    if (exchange === undefined) return;
    const head = responseHead(fields, exchange.request.method, false);
    if (typeof head === 'string') this.#refuse(head);
    // RFC 9113 section 8.6: there are no upgrades.
    else if (head.status === 101) this.#refuse('HTTP_UPGRADE_UNASKED');
    else exchange.response.head(head);
  }

  #respond(fields: readonly string[], isWhole: boolean): void {
    const exchange = this.#begin();
    if (exchange === undefined) return;
    const head = responseHead(fields, exchange.request.method, isWhole);
    if (typeof head === 'string') {
      this.#refuse(head);
      return;
    }
    this.#hasHead = true;
    this.#wait('body');
    exchange.response.head(head);
    this.#stream.on('data', (chunk: Buffer) => {
      this.#data(chunk);
    });
    if (isWhole && this.#exchange === exchange) this.#finish(exchange);
    else if (!this.#isPaused) this.#stream.resume();
  }

  #data(chunk: Buffer): void {
    this.#session.heard();
    this.#wait('body');
    this.#exchange?.response.data(chunk);
  }

  #takeTrailers(fields: readonly string[]): void {
    if (this.#begin() === undefined) return;
    const trailers = responseTrailers(fields);
    if (trailers === undefined) this.#refuse('HTTP_TRAILER_INVALID');
    else this.#trailers = trailers;
  }

  #ended(): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    if (this.#hasEnd && this.#hasHead) this.#finish(exchange);
    else if (this.#hasHead) this.#refuse('truncated');
  }

  /** @returns the exchange that something has come for */
  #begin(): UpstreamHttp2Exchange | undefined {
    this.#session.heard();
    this.#wait(this.#activity);
    const exchange = this.#exchange;
    if (exchange !== undefined && !this.#hasBegun) {
      this.#hasBegun = true;
      exchange.answered();
    }
    return exchange;
  }

  /** RFC 9113 section 8.1: a whole response may come before the request is; nobody needs the rest then. */
  #finish(exchange: UpstreamHttp2Exchange): void {
    this.#exchange = undefined;
    this.#wait('rest');
    // What a listener has not been given by now is nothing.
    this.#stream.resume();
    if (!exchange.isRequestComplete) this.#cancel();
    exchange.complete(this.#trailers);
  }

  #refuse(reason: string): void {
    this.#session.count(reason);
    this.#fail('broken');
  }

  /** The exchange ends here and now, not when the stream has closed. */
  #fail(code: ResetCode): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#cancel();
    exchange?.fail(code);
  }

  #cancel(): void {
    // A stream that both sides have ended waits for its reader, who will not come.
    if (this.#stream.closed) {
      this.#stream.destroy();
      return;
    }
    // `close` would end the request before it resets it, and half a body would look like a whole one.
    this.#stream.end = () => this.#stream;
    this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  #closed(): void {
    this.#session.closed(this);
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.#exchange = undefined;
    const isRefused = !this.#hasBegun && this.#isUnprocessed();
    const isStale = this.#isStale() && exchange.isRepeatable;
    this.#session.count(isRefused ? 'refused-stream' : isStale ? 'stale' : 'reset-stream');
    if ((isRefused || isStale) && exchange.canMove) {
      exchange.dropped();
      this.#session.again(exchange);
    } else {
      exchange.fail(isRefused ? 'refused' : this.#failure());
    }
  }

  #isUnprocessed(): boolean {
    const { id, rstCode } = this.#stream;
    const isRefused = rstCode === constants.NGHTTP2_REFUSED_STREAM;
    return isRefused || !this.#session.mayHaveProcessed(id);
  }

  /** The connection was kept, and had died before the request went out on it, as far as anyone can tell. */
  #isStale(): boolean {
    const { heardCount, isBroken } = this.#session;
    return isBroken && heardCount > 0 && heardCount === this.#heardBefore;
  }

  #failure(): ResetCode {
    return this.#stream.rstCode === constants.NGHTTP2_ENHANCE_YOUR_CALM ? 'limit' : 'broken';
  }

  #sendTrailers(): void {
    if (this.#stream.closed || this.#stream.destroyed) return;
    try {
      this.#stream.sendTrailers(trailerFields(this.#trailersToSend));
    } catch {
      this.#refuse('unwritable');
    }
  }

  #resumeAsker(): void {
    if (!this.#isAskerPaused) return;
    this.#isAskerPaused = false;
    this.#wait(this.#activity);
    this.#exchange?.response.resume();
  }

  #wait(activity: Activity): void {
    this.#activity = activity;
    this.#deadlineMs = this.#session.nowMs() + this.#timeoutMs(activity);
  }

  #timeoutMs(activity: Activity): number {
    switch (activity) {
      case 'response':
        return this.#session.timeouts.responseMs;
      case 'body':
        return this.#session.timeouts.bodyMs;
      case 'rest':
        return this.#session.restMs;
    }
  }

  /** It is not the server's fault when the asker takes no more, or still sends its body. */
  #isWaitingForAsker(): boolean {
    if (this.#exchange === undefined) return false;
    if (this.#activity === 'body') return this.#isPaused;
    return !this.#exchange.isRequestComplete && !this.#isAskerPaused;
  }
}
