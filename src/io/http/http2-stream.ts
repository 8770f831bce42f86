import { constants, type ServerHttp2Stream } from 'node:http2';
import { http2Limits, httpLimits } from '../../config/defaults.ts';
import {
  HeaderBlock,
  type HeaderList,
  type HttpFault,
  httpFault,
  isFault,
} from '../../http/index.ts';
import type { HttpRemote } from '../../pipeline/http-forward.ts';
import { ClientExchange } from './client-exchange.ts';
import { type Activity, ConnectionClock } from './connection-clock.ts';
import { errorResponse } from './error-response.ts';
import type { ExchangeHost } from './exchange-host.ts';
import { receivedHttp2Request, receivedHttp2Trailers } from './http2-request.ts';
import { Http2ResponseWriter, type Http2WriterHost } from './http2-response-writer.ts';
import type { ListenerContext } from './listener-context.ts';

/** The connection that a stream belongs to. */
export interface Http2StreamOwner {
  readonly context: ListenerContext;
  readonly remote: HttpRemote;
  /** A piece of a response was handed to its stream. */
  sent(bytes: number): void;
  /** The stream is closed. @param isFault the client reset it, or made the peer reset it */
  left(stream: Http2Stream, isFault: boolean): void;
}

/** Why a stream was reset by the peer. */
type ResetReason = 'malformed' | 'broken' | 'timeout' | 'pieces' | 'unread';

const codeOf: Readonly<Record<ResetReason, number>> = {
  malformed: constants.NGHTTP2_PROTOCOL_ERROR,
  broken: constants.NGHTTP2_INTERNAL_ERROR,
  timeout: constants.NGHTTP2_CANCEL,
  pieces: constants.NGHTTP2_ENHANCE_YOUR_CALM,
  // The response is whole, the rest of the request is not wanted (RFC 9113 section 8.1).
  unread: constants.NGHTTP2_NO_ERROR,
};

/**
 * One request of an HTTP/2 connection and its response. The body is not read before the request has
 * an instance, nor while that holds it back; the window of the stream bounds what waits then. Behind
 * an early answer the rest of the body is read and dropped, up to a limit.
 */
export class Http2Stream implements ExchangeHost, Http2WriterHost {
  readonly context: ListenerContext;
  readonly remote: HttpRemote;
  readonly #owner: Http2StreamOwner;
  readonly #stream: ServerHttp2Stream;
  readonly #clock: ConnectionClock;
  #writer: Http2ResponseWriter | undefined;
  #exchange: ClientExchange | undefined;
  #trailers: HeaderList = [];
  #bodyBytes = 0;
  #droppedBytes = 0;
  #isRequestWhole = false;
  #isRouted = false;
  #isHeld = false;
  #isReading = false;
  #isTooMuch = false;
  /** A call of gRPC: its body is a stream of messages, which may be silent for long. */
  #isCall = false;
  #resetFor: ResetReason | undefined;

  constructor(stream: ServerHttp2Stream, owner: Http2StreamOwner) {
    this.#stream = stream;
    this.#owner = owner;
    this.context = owner.context;
    this.remote = owner.remote;
    this.#clock = new ConnectionClock(owner.context);
    // What went wrong is told by `close` as well.
    stream.on('error', () => undefined);
    stream.on('aborted', () => {
      this.#guarded(() => this.#exchange?.abort());
    });
    stream.on('close', () => {
      this.#closed();
    });
    stream.on('drain', () => {
      this.#guarded(() => this.#drained());
    });
    stream.on('wantTrailers', () => {
      this.#guarded(() => this.#writer?.sendTrailers());
    });
  }

  /** Bytes held for the client: of the response, and of a request that is held back. */
  get bufferedBytes(): number {
    return this.#stream.writableLength + this.#stream.readableLength;
  }

  /**
   * Begins with the head.
   *
   * @param raw names and values by turns, latin1
   * @param endsHere the head is the whole request
   */
  begin(raw: readonly string[], endsHere: boolean): void {
    this.#guarded(() => {
      this.#isRequestWhole = endsHere;
      const request = receivedHttp2Request(raw, endsHere);
      const method = isFault(request) ? methodOf(raw) : request.method;
      const takesTrailers = !isFault(request) && request.acceptsTrailers;
      this.#writer = new Http2ResponseWriter(this.#stream, method, takesTrailers, this);
      if (isFault(request)) {
        this.#refuse(request);
        return;
      }
      this.context.counters.count('http_requests', 'received');
      this.#isCall = request.headers.get('content-type')?.startsWith('application/grpc') ?? false;
      const exchange = new ClientExchange(request, this, this.#writer);
      this.#exchange = exchange;
      if (endsHere) {
        exchange.requestEnd([]);
        this.#stream.resume();
      } else {
        this.#stream.on('trailers', (_fields, _flags, lines: string[]) => {
          this.#guarded(() => this.#takeTrailers(lines));
        });
      }
      exchange.start();
      this.progressed();
    });
  }

  sent(bytes: number): void {
    this.#owner.sent(bytes);
  }

  filled(): void {
    this.#exchange?.clientFull(true);
  }

  /** Called with each sweep: acts when a time or a limit is over. */
  sweep(): void {
    this.#guarded(() => {
      if (this.#isTooMuch) this.#stopReading();
      if (this.#isHeld && piecesOf(this.#stream) > http2Limits.heldPiecesMax) {
        this.#exchange?.abort();
        this.#reset('pieces');
      }
      this.#exchange?.sweep();
      this.progressed();
      const expired = this.#clock.expired(this.#stream.writableLength);
      if (expired !== undefined) this.#expire(expired);
    });
  }

  /** A defect of ours was met while the connection was served. */
  defect(): void {
    this.#exchange?.fail(500, 'broken');
    if (this.#writer?.isComplete !== true) this.#reset('broken');
  }

  routed(): void {
    this.#isRouted = true;
    this.#flow();
    if (this.#writer?.isFull === true) this.#exchange?.clientFull(true);
    this.progressed();
  }

  holdBody(isHeld: boolean): void {
    this.#isHeld = isHeld;
    this.#flow();
    this.progressed();
  }

  /** @param newBytes of the request's body */
  progressed(newBytes = 0): void {
    this.#clock.set(this.#activity(), newBytes > 0, newBytes);
  }

  /** Never asked for: no request of HTTP/2 is one for a tunnel. */
  tunnelled(): void {
    throw new TypeError('HTTP/2 does not change its protocol');
  }

  /** See {@link tunnelled}. */
  responseEnded(): void {
    this.tunnelled();
  }

  answered(): void {
    this.#exchange = undefined;
    this.#isHeld = false;
    this.#isRouted = true;
    this.#flow();
    this.progressed();
  }

  broken(): void {
    this.#exchange = undefined;
    this.#reset('broken');
  }

  #expire(activity: Activity): void {
    this.context.counters.count('http_timeouts', activity);
    switch (activity) {
      case 'body':
        // The rest of a body whose request is answered: nobody is told any more.
        if (this.#exchange === undefined) this.#stopReading();
        else this.#exchange.fail(408, 'timeout');
        return;
      case 'response':
        this.#exchange?.fail(504, 'timeout');
        return;
      default:
        this.#exchange?.abort();
        this.#reset('timeout');
    }
  }

  #activity(): Activity | undefined {
    const stream = this.#stream;
    if (stream.destroyed) return undefined;
    if (stream.writableNeedDrain) return 'write';
    if (this.#exchange === undefined) {
      if (stream.writableLength > 0) return 'write';
      return this.#isRequestWhole ? undefined : 'body';
    }
    if (this.#exchange.hasResponse) return undefined;
    if (this.#isRequestWhole || !this.#isRouted || this.#isHeld) return 'response';
    return this.#isCall ? 'tunnel' : 'body';
  }

  /** Answers a head that cannot be served; what is malformed is no request and gets no answer. */
  #refuse(fault: HttpFault): void {
    const { counters, journey, date } = this.context;
    counters.count('http_faults', fault.code);
    if (fault.status === 400) {
      this.#reset('malformed');
      return;
    }
    counters.count('http_errors', String(fault.status));
    const { head, body } = errorResponse(fault.status, journey.retryAfterSeconds);
    this.#writer!.head(head, HeaderBlock.empty, date);
    this.#writer!.data(body);
    this.#writer!.end([]);
    this.answered();
  }

  /** A body that cannot be served: its request fails, or breaks if the response has begun. */
  #failBody(fault: HttpFault): void {
    this.context.counters.count('http_faults', fault.code);
    if (fault.status === 400) {
      this.#exchange?.abort();
      this.#reset('malformed');
    } else {
      this.#exchange?.fail(fault.status);
    }
  }

  #flow(): void {
    if (this.#isRequestWhole || !this.#isRouted) return;
    if (this.#isHeld) {
      this.#stream.pause();
    } else if (this.#isReading) {
      this.#stream.resume();
    } else {
      this.#isReading = true;
      this.#stream.on('end', () => {
        this.#guarded(() => this.#takeEnd());
      });
      this.#stream.on('data', (chunk: Buffer) => {
        this.#guarded(() => this.#takeData(chunk));
      });
      // It may have been held before it was read.
      this.#stream.resume();
    }
  }

  #takeData(chunk: Buffer): void {
    if (this.#exchange === undefined) {
      this.#droppedBytes += chunk.length;
      if (this.#droppedBytes > httpLimits.drainedBytesMax) this.#stopReading();
      this.progressed(chunk.length);
      return;
    }
    this.#bodyBytes += chunk.length;
    if (this.#bodyBytes > httpLimits.requestBodyBytesMax) {
      this.#failBody(httpFault('HTTP_BODY_TOO_LARGE'));
      return;
    }
    this.#exchange.requestData(chunk);
    this.progressed(chunk.length);
  }

  #takeTrailers(raw: readonly string[]): void {
    const trailers = receivedHttp2Trailers(raw);
    if (trailers === undefined) this.#failBody(httpFault('HTTP_TRAILER_INVALID'));
    else this.#trailers = trailers;
  }

  #takeEnd(): void {
    // A stream that is closed ends as well; the request did not.
    if (this.#stream.closed || this.#stream.destroyed) return;
    this.#isRequestWhole = true;
    this.#exchange?.requestEnd(this.#trailers);
    this.progressed();
  }

  /**
   * Behind an early answer comes too much, or too slowly: the client is told once it was sent all of
   * the answer. Before that the reset would overtake its end.
   */
  #stopReading(): void {
    this.#isTooMuch = true;
    if (this.#stream.state.localClose === 1) this.#reset('unread');
    else this.#stream.pause();
  }

  #drained(): void {
    if (this.#writer !== undefined) this.#writer.isFull = false;
    this.#exchange?.clientFull(false);
    this.progressed();
  }

  #reset(reason: ResetReason): void {
    if (this.#resetFor !== undefined || this.#stream.destroyed) return;
    this.#resetFor = reason;
    this.context.counters.count('http2_resets', reason);
    const isHalf = this.#writer?.isStarted === true && !this.#stream.writableFinished;
    // Closing would end the response before it resets the stream; destroying has INTERNAL_ERROR alone.
    if (isHalf) this.#stream.destroy(new Error(reason));
    else this.#stream.close(codeOf[reason]);
  }

  #closed(): void {
    this.#guarded(() => this.#exchange?.abort());
    this.#exchange = undefined;
    this.#owner.left(this, this.#isFault());
  }

  #isFault(): boolean {
    const reason = this.#resetFor;
    if (reason !== undefined) return reason === 'malformed' || reason === 'pieces';
    if (this.#writer?.isComplete !== true) return true;
    // Behind the whole answer clients cancel what they have not sent yet.
    return this.#stream.rstCode !== constants.NGHTTP2_NO_ERROR && !this.#stream.writableFinished;
  }

  /** The one boundary for defects of ours: the stream is lost, its connection is not. */
  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.context.counters.count('http_defects', 'stream');
      this.context.log.error({ error }, 'HTTP request failed');
      this.#lose();
    }
  }

  #lose(): void {
    try {
      this.defect();
    } catch {
      this.#reset('broken');
    }
  }
}

/** The method of a request that cannot be served: an answer to HEAD has no body. */
function methodOf(raw: readonly string[]): string {
  return raw[1 + raw.indexOf(':method')] ?? '';
}

/** In how many pieces the waiting bytes came. Node counts them without documenting that it does. */
function piecesOf(stream: ServerHttp2Stream): number {
  const { readableBuffer } = stream as { readonly readableBuffer?: { readonly length: number } };
  return readableBuffer?.length ?? 0;
}
