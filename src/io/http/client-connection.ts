import type { Socket } from 'node:net';
import { httpLimits } from '../../config/defaults.ts';
import {
  type BodyReader,
  type BodySink,
  createBodyReader,
  createRequestHeadParser,
  GatheredOutput,
  HeaderBlock,
  type HeaderList,
  type HttpFault,
  noBody,
  type ReceivedRequest,
  tunnelBody,
} from '../../http/index.ts';
import type { HttpRemote } from '../../pipeline/http-forward.ts';
import { atTurnEnd } from '../turn.ts';
import { type HttpClient, lose } from './client.ts';
import { ClientExchange } from './client-exchange.ts';
import { type Activity, ConnectionClock } from './connection-clock.ts';
import { errorResponse } from './error-response.ts';
import type { ExchangeHost } from './exchange-host.ts';
import type { ListenerContext } from './listener-context.ts';
import { ResponseWriter } from './response-writer.ts';
import { WaitingBytes } from './waiting-bytes.ts';

/**
 * One client's connection: cuts its bytes into requests and serves them one after another, so that
 * answers keep the order of pipelined requests.
 *
 * - between requests: no exchange; bytes go to the head parser
 * - in an exchange: bytes go to the body; those behind it wait, bounded
 * - in a tunnel: all bytes are the request's, to the end of the connection
 * - draining: the answer is written, the rest of its request's body is read and dropped
 * - lingering: our direction is closed, what still arrives is dropped
 */
export class ClientConnection implements ExchangeHost, BodySink, HttpClient {
  readonly context: ListenerContext;
  readonly remote: HttpRemote;
  readonly output: GatheredOutput;
  readonly #socket: Socket;
  readonly #parser = createRequestHeadParser();
  readonly #clock: ConnectionClock;
  #exchange: ClientExchange | undefined;
  #body: BodyReader | undefined;
  readonly #waiting = new WaitingBytes();
  #drained = 0;
  #isDraining = false;
  #isLingering = false;
  #isRouted = false;
  #isBodyHeld = false;
  #isAdvancing = false;
  #isTunnel = false;
  #hasClientEnded = false;

  constructor(socket: Socket, remote: HttpRemote, context: ListenerContext) {
    this.#socket = socket;
    this.remote = remote;
    this.context = context;
    this.#clock = new ConnectionClock(context);
    this.output = new GatheredOutput((output) => {
      this.#write(output);
    }, atTurnEnd);
    this.#clock.set('idle');
  }

  /** Bytes held for this client: of responses it has not taken, of requests that wait their turn. */
  get bufferedBytes(): number {
    return this.#socket.writableLength + this.output.pendingBytes + this.#waiting.bytes;
  }

  /** Bytes that the client sent. */
  receive(bytes: Buffer): void {
    if (this.#isLingering) return;
    if (this.#waiting.bytes > 0) this.#waiting.add(bytes);
    else this.#advance(bytes);
    this.#adjustFlow();
    this.progressed(true, bytes.length);
  }

  /** The client ended its direction: it is taken as gone unless that is one direction of a tunnel. */
  ended(): void {
    if (this.#isTunnel && this.#exchange !== undefined) {
      this.#hasClientEnded = true;
      this.#endTunnel();
      return;
    }
    if (this.#exchange === undefined) this.#close();
    else this.closed();
    if (!this.#isLingering) this.#socket.destroy();
    else this.#socket.destroySoon();
  }

  /** The socket is closed, from either side. */
  closed(): void {
    this.#exchange?.abort();
    this.#exchange = undefined;
    this.output.clear();
  }

  /** The socket can take more. */
  writable(): void {
    this.#exchange?.clientFull(false);
    this.#continue();
  }

  /** Called with each sweep: acts when a time is over. */
  sweep(): void {
    this.#exchange?.sweep();
    if (this.#isLingering || this.#isTunnel) this.#clock.set(this.#activity());
    const expired = this.#clock.expired(this.#socket.writableLength);
    if (expired === undefined) return;
    this.context.counters.count('http_timeouts', expired);
    this.#expire(expired);
  }

  #expire(expired: Activity): void {
    switch (expired) {
      case 'head':
        this.#refuse(408);
        return;
      case 'body':
        // The rest of a body whose request is answered: nobody is told any more.
        if (this.#exchange === undefined) this.#close();
        else this.#exchange.fail(408, 'timeout');
        return;
      case 'response':
        this.#exchange?.fail(504, 'timeout');
        return;
      case 'idle':
        this.#close();
        return;
      case 'tunnel':
        this.#exchange?.idle();
        this.broken();
        return;
      case 'write':
      case 'linger':
        this.#socket.destroy();
        return;
    }
  }

  drain(): void {
    // Responses read from the context that the listener drains.
  }

  /** The listener stops: a connection between requests is closed at once. */
  stop(): void {
    if (this.#exchange === undefined && !this.#parser.isInside) this.#close();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  data(chunk: Buffer): void {
    if (!this.#isDraining) {
      this.#exchange?.requestData(chunk);
      return;
    }
    this.#drained += chunk.length;
    if (this.#drained > httpLimits.drainedBytesMax) this.#close();
  }

  end(trailers: HeaderList): void {
    if (!this.#isDraining) this.#exchange?.requestEnd(trailers);
  }

  routed(): void {
    this.#isRouted = true;
    this.#continue();
  }

  holdBody(isHeld: boolean): void {
    this.#isBodyHeld = isHeld;
    if (isHeld) this.#adjustFlow();
    else this.#continue();
  }

  progressed(isNew = false, newBytes = 0): void {
    this.#clock.set(this.#activity(), isNew || this.#isTunnel, newBytes);
  }

  tunnelled(): void {
    this.#isTunnel = true;
    this.#isRouted = true;
    this.#body = createBodyReader(tunnelBody);
    this.#continue();
  }

  responseEnded(): void {
    this.output.flush();
    this.#socket.end();
  }

  answered(isPersistent: boolean): void {
    this.#exchange = undefined;
    this.#isBodyHeld = false;
    if (!isPersistent || this.context.isStopping) {
      this.#close();
    } else if (this.#body !== undefined) {
      this.#isDraining = true;
      this.#drained = 0;
    }
    this.#continue();
  }

  broken(): void {
    this.#exchange = undefined;
    // What gathered before the break is the client's, perhaps the whole answer to the request before.
    this.output.flush();
    // TLS has no reset: without its closing alert the response is cut off as well (RFC 8446 section 6.1).
    if (this.remote.isTls) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  /** A defect of ours was met while this connection was served. */
  defect(): void {
    this.#isAdvancing = false;
    this.#exchange?.fail(500, 'broken');
    this.#close();
  }

  /** Behind the end of our direction the socket no longer says that it wants to be drained. */
  #tunnelActivity(): Activity {
    return this.#socket.writableEnded && this.#socket.writableLength > 0 ? 'write' : 'tunnel';
  }

  #activity(): Activity | undefined {
    // A client that still reads its last response gets the time of any other.
    if (this.#isLingering) return this.#socket.writableLength > 0 ? 'write' : 'linger';
    if (this.#socket.writableNeedDrain) return 'write';
    if (this.#exchange === undefined) {
      if (this.#isDraining) return 'body';
      return this.#parser.isInside ? 'head' : 'idle';
    }
    if (this.#isTunnel) return this.#tunnelActivity();
    if (this.#exchange.hasResponse) return undefined;
    return this.#body !== undefined && this.#isRouted && !this.#isBodyHeld ? 'body' : 'response';
  }

  /** Goes on, perhaps called by an instance: defects in the next request are not for it to meet. */
  #continue(): void {
    if (this.#isAdvancing || this.#isLingering) return;
    try {
      this.#takeUp();
    } catch (error) {
      lose(this, this.context, error);
    }
  }

  /** Takes up bytes that had to wait, then lets the socket bring new ones. */
  #takeUp(): void {
    const waiting = this.#waiting.take();
    if (waiting !== undefined) this.#advance(waiting);
    if (this.#hasClientEnded) this.#endTunnel();
    this.#adjustFlow();
    this.progressed();
  }

  /** Ends the request's direction behind the last bytes of the client. */
  #endTunnel(): void {
    if (this.#waiting.bytes > 0) return;
    const body = this.#body;
    this.#body = undefined;
    body?.close(this);
  }

  /** Goes through bytes as far as it may now; the rest waits. */
  #advance(bytes: Buffer): void {
    this.#isAdvancing = true;
    let at = 0;
    while (at < bytes.length && !this.#isLingering && !this.#socket.destroyed) {
      if (this.#mustWait()) {
        this.#waiting.add(at === 0 ? bytes : bytes.subarray(at));
        break;
      }
      at = this.#body === undefined ? this.#takeHead(bytes, at) : this.#takeBody(bytes, at);
    }
    this.#isAdvancing = false;
  }

  /** The socket is read unless the instance holds the body back or enough already waits. */
  #adjustFlow(): void {
    const isHeld = this.#isBodyHeld && this.#body !== undefined;
    if (!this.#isLingering && (isHeld || this.#waiting.isFull)) this.#socket.pause();
    else if (this.#socket.isPaused()) this.#socket.resume();
  }

  /** The next bytes belong to something that cannot go on yet. */
  #mustWait(): boolean {
    if (this.#body !== undefined && this.#exchange === undefined) return false;
    if (this.#body !== undefined) return !this.#isRouted || this.#isBodyHeld;
    return this.#exchange !== undefined || this.#socket.writableNeedDrain;
  }

  #takeBody(bytes: Buffer, at: number): number {
    const body = this.#body!;
    const next = body.feed(bytes, at, this);
    if (body.isDone) {
      this.#body = undefined;
      this.#isDraining = false;
    } else if (body.fault !== undefined) {
      this.#body = undefined;
      this.#countFault(body.fault);
      if (this.#exchange === undefined) this.#close();
      else this.#exchange.fail(body.fault.status);
    }
    return next;
  }

  #takeHead(bytes: Buffer, at: number): number {
    const progress = this.#parser.feed(bytes, at);
    switch (progress.kind) {
      case 'more':
        return bytes.length;
      case 'fault':
        this.#countFault(progress);
        this.#refuse(progress.status);
        return bytes.length;
      case 'head':
        this.#begin(progress.head);
        return progress.next;
    }
  }

  #begin(request: ReceivedRequest): void {
    this.context.counters.count('http_requests', 'received');
    const isTunnel = request.framing.kind === 'tunnel';
    // What follows is read when the answer says whether it is the tunnel's or another request.
    const framing = isTunnel ? noBody : request.framing;
    this.#body = createBodyReader(framing, httpLimits.requestBodyBytesMax);
    this.#isRouted = false;
    const exchange = new ClientExchange(request, this, new ResponseWriter(this.output, request));
    this.#exchange = exchange;
    if (this.#body === undefined && !isTunnel) exchange.requestEnd([]);
    exchange.start();
  }

  #countFault(fault: HttpFault): void {
    this.context.counters.count('http_faults', fault.code);
  }

  /** Answers what is no request, and closes: where the next one begins is not known. */
  #refuse(status: number): void {
    this.context.counters.count('http_errors', String(status));
    const { head, body } = errorResponse(status, this.context.journey.retryAfterSeconds);
    const writer = new ResponseWriter(this.output, refusedRequest);
    writer.head(head, HeaderBlock.empty, this.context.date);
    writer.data(body);
    this.#close();
  }

  /** Closes our direction and waits a little for the client's, so that it can read our last words. */
  #close(): void {
    if (this.#isLingering) return;
    this.#isLingering = true;
    this.#waiting.take();
    this.#body = undefined;
    this.output.flush();
    this.#socket.end();
    this.#socket.resume();
    this.progressed();
  }

  #write(output: Uint8Array | string): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    if (!this.#socket.write(output, 'latin1')) this.#exchange?.clientFull(true);
    this.progressed();
  }
}

/** Stands for a request that could not be read. */
const refusedRequest: ReceivedRequest = {
  kind: 'request',
  method: 'GET',
  target: '/',
  version: '1.1',
  headers: HeaderBlock.empty,
  framing: { kind: 'none' },
  host: '',
  isPersistent: false,
  expectsContinue: false,
  connectionOptions: [],
  acceptsTrailers: false,
};
