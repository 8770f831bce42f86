import type { Socket } from 'node:net';
import type { UpstreamHttpTimeoutsConfig } from '../../config/config.ts';
import {
  type BodyReader,
  type BodySink,
  chunkedBody,
  chunkLine,
  createBodyReader,
  createResponseHeadParser,
  endToEndResponseHeaders,
  endToEndTrailers,
  announcedFraming,
  type BodyFraming,
  GatheredOutput,
  type HeaderList,
  isFault,
  lastChunk,
  mayHaveBody,
  noBody,
  type ReceivedResponse,
  type ResetCode,
  responseFraming,
  serializeRequestHead,
  tunnelBody,
  tunnelProtocol,
} from '../../http/index.ts';
import { atTurnEnd } from '../turn.ts';
import { UpstreamHttpClock } from './upstream-http-clock.ts';
import type { ExchangeCarrier, UpstreamHttpExchange } from './upstream-http-exchange.ts';
import { marksOf } from './upstream-http-marks.ts';

/** The pool that a connection belongs to. */
export interface ConnectionPool {
  nowMs(): number;
  count(reason: string): void;
  /** The connection can take another request. */
  free(): void;
  /** The request went out on a stale connection and may be sent again. */
  again(exchange: UpstreamHttpExchange): void;
  /** The connection serves a tunnel from here on and will never be free again. */
  tunnelled(): void;
  reached(): void;
  unreachable(error: Error): void;
  /** A defect of ours was met; the connection closes. */
  defect(error: unknown): void;
  gone(): void;
}

/**
 * One connection to the upstream server. It carries one exchange at a time, writes the final bytes
 * of its request and cuts the bytes that come back into responses. A tunnel has it to its end.
 */
export class UpstreamHttpConnection implements ExchangeCarrier, BodySink {
  readonly #socket: Socket;
  readonly #pool: ConnectionPool;
  readonly #clock: UpstreamHttpClock;
  readonly #output: GatheredOutput;
  readonly #parser = createResponseHeadParser();
  #exchange: UpstreamHttpExchange | undefined;
  #body: BodyReader | undefined;
  #head: ReceivedResponse | undefined;
  #isConnected = false;
  #wasUsed = false;
  #hasReceived = false;
  #isAskerPaused = false;
  #failure: ResetCode = 'broken';

  constructor(socket: Socket, timeouts: UpstreamHttpTimeoutsConfig, pool: ConnectionPool) {
    this.#socket = socket;
    this.#pool = pool;
    this.#clock = new UpstreamHttpClock(timeouts, pool);
    this.#output = new GatheredOutput((output) => {
      this.#write(output);
    }, atTurnEnd);
    this.#on('connect', () => this.#connected());
    this.#on('data', (bytes) => this.#receive(bytes));
    this.#on('drain', () => this.#resumeAsker());
    this.#on('end', () => this.#ended());
    this.#on('close', () => this.#closed());
    socket.on('error', (error) => {
      if (!this.#isConnected) this.#pool.unreachable(error);
    });
  }

  /** The boundary for defects of ours: the connection is lost with its exchange, the peer is not. */
  #on(event: string, step: (bytes: Buffer) => void): void {
    this.#socket.on(event, (bytes: Buffer) => {
      try {
        step(bytes);
      } catch (error) {
        this.#pool.defect(error);
        this.#socket.destroy();
      }
    });
  }

  /** Bytes written and not yet taken by the server. */
  get bufferedBytes(): number {
    return this.#socket.writableLength + this.#output.pendingBytes;
  }

  /** False once it is closing; the pool then looks for another. */
  get isUsable(): boolean {
    return !this.#socket.destroyed;
  }

  /** Carries an exchange; while the socket still connects, its bytes wait in it. */
  begin(exchange: UpstreamHttpExchange): void {
    this.#exchange = exchange;
    this.#hasReceived = false;
    if (!this.#isConnected) return;
    this.#send(exchange);
  }

  /** Ends the connection. Resolves when it is closed. */
  async close(): Promise<void> {
    if (this.#socket.closed) return;
    await new Promise<void>((resolve) => {
      this.#socket.once('close', () => {
        resolve();
      });
      this.#socket.destroy();
    });
  }

  sweep(): void {
    if (!this.#clock.isOver || this.#isWaitingForAsker()) return;
    this.#pool.count(`timeout-${this.#clock.activity}`);
    this.#failure = this.#clock.activity === 'connect' ? 'refused' : 'timeout';
    this.#socket.destroy();
  }

  bodyData(chunk: Uint8Array): void {
    this.#clock.restart();
    if (this.#exchange?.request.framing.kind !== 'chunked') {
      this.#output.bytes(chunk);
    } else if (chunk.length > 0) {
      this.#output.text(chunkLine(chunk.length));
      this.#output.bytes(chunk);
      this.#output.text('\r\n');
    }
  }

  bodyEnd(trailers: HeaderList): void {
    if (this.#clock.activity === 'tunnel') {
      this.#output.flush();
      this.#socket.end();
      this.#tunnelEnded();
      return;
    }
    this.#clock.restart();
    if (this.#exchange?.request.framing.kind === 'chunked') this.#output.text(lastChunk(trailers));
  }

  abandon(): void {
    this.#exchange = undefined;
    if (this.#clock.activity !== 'tunnel') {
      this.#socket.destroy();
      return;
    }
    this.#output.flush();
    // The end of a stream would look as if the asker had said all.
    this.#socket.resetAndDestroy();
  }

  pauseResponse(): void {
    this.#socket.pause();
  }

  resumeResponse(): void {
    this.#clock.restart();
    this.#socket.resume();
  }

  data(chunk: Buffer): void {
    this.#exchange?.response.data(chunk);
  }

  end(trailers: HeaderList): void {
    this.#finish(trailers);
  }

  #connected(): void {
    this.#isConnected = true;
    this.#pool.reached();
    // Given up meanwhile: nothing of it was sent, so the connection is as good as new.
    if (this.#exchange?.isOver === true) this.#exchange = undefined;
    if (this.#exchange === undefined) this.#rest();
    else this.#send(this.#exchange);
  }

  #send(exchange: UpstreamHttpExchange): void {
    this.#clock.wait('response');
    this.#output.text(serializeRequestHead(exchange.request, marksOf(exchange.envelope)));
    exchange.carriedBy(this);
  }

  #receive(bytes: Buffer): void {
    this.#hasReceived = true;
    let at = 0;
    while (at < bytes.length && this.#exchange !== undefined) {
      at = this.#body === undefined ? this.#takeHead(bytes, at) : this.#takeBody(bytes, at);
    }
    if (this.#socket.destroyed) return;
    if (at < bytes.length) {
      // Nobody asked: what follows could be taken for the answer to the next request.
      this.#pool.count('unasked');
      this.#socket.destroy();
    } else if (this.#exchange === undefined) {
      this.#rest();
    } else {
      this.#clock.restart();
    }
  }

  #takeHead(bytes: Buffer, at: number): number {
    const progress = this.#parser.feed(bytes, at);
    if (progress.kind === 'more') return bytes.length;
    if (progress.kind === 'fault') {
      this.#refuse(progress.code);
      return bytes.length;
    }
    this.#respond(progress.head);
    return progress.next;
  }

  #takeBody(bytes: Buffer, at: number): number {
    const body = this.#body!;
    const next = body.feed(bytes, at, this);
    if (body.fault !== undefined) this.#refuse(body.fault.code);
    return next;
  }

  #respond(received: ReceivedResponse): void {
    const exchange = this.#exchange!;
    exchange.answered();
    const { status, reason, framingHeaders, connectionOptions } = received;
    const headers = endToEndResponseHeaders(received.headers, connectionOptions);
    if (status < 200) {
      if (status === 101) this.#switch(exchange, received);
      else exchange.response.head({ status, reason, headers, framing: noBody });
      return;
    }
    const framing = responseFraming(framingHeaders, status, exchange.request.method);
    if (isFault(framing)) {
      this.#refuse(framing.code);
      return;
    }
    this.#head = received;
    this.#body = createBodyReader(framing);
    this.#clock.wait('body');
    const told = toldFraming(received, exchange.request.method);
    exchange.response.head({ status, reason, headers, framing: told });
    if (this.#body === undefined && this.#exchange === exchange) this.#finish([]);
  }

  /** RFC 9110 section 15.2.2: only to the protocol that was asked for, else to nothing that we know. */
  #switch(exchange: UpstreamHttpExchange, received: ReceivedResponse): void {
    const asked = exchange.request.headers.get('upgrade')?.toLowerCase();
    const answered = tunnelProtocol(received.headers.all('upgrade'))?.toLowerCase();
    if (!exchange.asksForTunnel || answered === undefined || answered !== asked) {
      this.#refuse('HTTP_UPGRADE_UNASKED');
      return;
    }
    const { status, reason, connectionOptions } = received;
    const headers = endToEndResponseHeaders(received.headers, connectionOptions, true);
    this.#body = createBodyReader(tunnelBody);
    this.#clock.wait('tunnel');
    this.#pool.tunnelled();
    exchange.switched({ status, reason, headers, framing: tunnelBody });
  }

  /** Of one direction. What is left to write when both have ended has the time of a body. */
  #tunnelEnded(): void {
    if (this.#exchange?.isOver !== true) return;
    this.#exchange = undefined;
    this.#clock.wait('body');
  }

  /** The response is whole: {@link #receive} brings the connection back to the pool. */
  #finish(trailers: HeaderList): void {
    const exchange = this.#exchange;
    const isReusable = this.#head !== undefined && mayCarryAnother(this.#head);
    const isKept = isReusable && exchange?.isRequestComplete === true;
    this.#exchange = undefined;
    this.#body = undefined;
    this.#head = undefined;
    this.#isAskerPaused = false;
    if (!isKept) this.#socket.destroy();
    exchange?.complete(endToEndTrailers(trailers));
  }

  /** Back to the pool. */
  #rest(): void {
    this.#wasUsed = true;
    if (this.#socket.isPaused()) this.#socket.resume();
    this.#clock.wait('idle');
    this.#pool.free();
  }

  #refuse(reason: string): void {
    this.#pool.count(reason);
    this.#fail();
  }

  /** The exchange ends here and now, not when the socket has closed. */
  #fail(): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#body = undefined;
    this.#socket.destroy();
    exchange?.fail('broken');
  }

  /** The server ended its direction: the end of a body without length, else of the connection. */
  #ended(): void {
    if (this.#clock.activity === 'tunnel') {
      this.#exchange?.complete([]);
      this.#tunnelEnded();
      return;
    }
    this.#body?.close(this);
    this.#socket.destroy();
  }

  #closed(): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#output.clear();
    const isStale = this.#wasUsed && !this.#hasReceived && this.#failure === 'broken';
    if (isStale && exchange?.isRepeatable === true) {
      // Before the pool gives this one's place to a request that waits.
      exchange.dropped();
      this.#pool.again(exchange);
      this.#pool.gone();
    } else {
      this.#pool.gone();
      exchange?.fail(this.#isConnected ? this.#failure : 'refused');
    }
  }

  /** It is not the server's fault when the asker takes no more, or still sends its body. */
  #isWaitingForAsker(): boolean {
    if (this.#exchange === undefined) return false;
    if (this.#socket.isPaused()) return true;
    const isUploading = this.#clock.activity === 'response' && !this.#exchange.isRequestComplete;
    return isUploading && !this.#isAskerPaused;
  }

  #resumeAsker(): void {
    if (!this.#isAskerPaused) return;
    this.#isAskerPaused = false;
    this.#clock.restart();
    this.#exchange?.response.resume();
  }

  #write(output: Uint8Array | string): void {
    if (this.#socket.destroyed) return;
    if (!this.#socket.write(output, 'latin1') && this.#exchange?.isRequestComplete === false) {
      this.#isAskerPaused = true;
      this.#exchange.response.pause();
    }
  }
}

/**
 * Whether the next response can only begin behind this one. RFC 9112 section 6.1: a server that
 * announces a body with 204 may send one, and that would be taken for the next answer.
 */
function mayCarryAnother({ status, framingHeaders, isPersistent }: ReceivedResponse): boolean {
  const { lengths, codings } = framingHeaders;
  const isBodyAnnounced = codings.length > 0 || lengths.some((length) => !/^0+$/.test(length));
  return isPersistent && !(status === 204 && isBodyAnnounced);
}

/**
 * Framing for the next hop: also what HEAD and 304 announce. A body that ends with the connection has
 * no length.
 */
function toldFraming(received: ReceivedResponse, method: string): BodyFraming {
  const announced = announcedFraming(received.framingHeaders);
  if (announced.kind === 'length' || announced.kind === 'chunked') return announced;
  return mayHaveBody(received.status, method) ? chunkedBody : noBody;
}
