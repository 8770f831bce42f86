import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionOptions,
  connect,
} from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { formatHostPort } from '../../config/address.ts';
import type { UpstreamHttpConfig, UpstreamHttpTimeoutsConfig } from '../../config/config.ts';
import { upstreamHttp2Limits } from '../../config/defaults.ts';
import type { UpstreamHttp2Exchange } from './upstream-http2-exchange.ts';
import { requestFields } from './upstream-http2-head.ts';
import { type StreamSession, UpstreamHttp2Stream } from './upstream-http2-stream.ts';
import { UpstreamQueue } from './upstream-queue.ts';

/** The limits of `upstreamHttp2Limits` that a session asks for. */
export interface UpstreamHttp2Limits {
  readonly streamsMax: number;
  readonly openingMax: number;
  readonly sessionRequestsMax: number;
  readonly restMs: number;
  readonly silenceMs: number;
  readonly pingMs: number;
  readonly pingAgainMs: number;
}

/** The pool that a session belongs to. */
export interface SessionPool {
  nowMs(): number;
  count(reason: string): void;
  /** There is room for requests. */
  free(): void;
  /** The request is to be placed anew. */
  again(exchange: UpstreamHttp2Exchange): void;
  reached(): void;
  /** @param isAbsent nobody took the connection; else somebody who does not speak HTTP/2 */
  unreachable(error: Error, isAbsent: boolean): void;
  /** It takes no more requests; those that it has go on. */
  leaving(): void;
  gone(): void;
}

/** `opening`: until the server's SETTINGS have come, so that it is known to speak HTTP/2, and how much. */
type State = 'opening' | 'ready' | 'leaving' | 'gone';

/** One connection to the upstream server, with the streams on it. */
export class UpstreamHttp2Session implements StreamSession {
  readonly timeouts: UpstreamHttpTimeoutsConfig;
  readonly #authority: string;
  readonly #limits: UpstreamHttp2Limits;
  readonly #pool: SessionPool;
  readonly #socket: Socket;
  readonly #session: ClientHttp2Session;
  readonly #streams = new Set<UpstreamHttp2Stream>();
  /** Those that wait until it is ready. */
  readonly #waiting: UpstreamQueue<UpstreamHttp2Exchange>;
  #state: State = 'opening';
  #error = new Error('closed before its SETTINGS');
  #isConnected = false;
  #requests = 0;
  #processedMax = Infinity;
  #heardCount = 0;
  #heardAtMs = 0;
  #pingedAtMs = 0;
  #isPinging = false;
  #hasHung = false;
  /** Of the opening, then of the idleness, then of the closing. */
  #deadlineMs: number;

  constructor(config: UpstreamHttpConfig, limits: UpstreamHttp2Limits, pool: SessionPool) {
    const { host, port, timeouts } = config;
    this.timeouts = timeouts;
    this.#authority = formatHostPort(host, port);
    this.#limits = limits;
    this.#pool = pool;
    this.#waiting = new UpstreamQueue(limits.openingMax);
    this.#deadlineMs = pool.nowMs() + timeouts.connectMs;
    this.#socket = connectTcp({ host, port, noDelay: true });
    this.#session = connect(`http://${this.#authority}`, sessionOptions(this.#socket));
    this.#listen(this.#session);
  }

  get restMs(): number {
    return this.#limits.restMs;
  }

  get heardCount(): number {
    return this.#heardCount;
  }

  get isBroken(): boolean {
    return this.#session.destroyed && !this.#hasHung;
  }

  get isReady(): boolean {
    return this.#state === 'ready';
  }

  /** Requests under way and waiting. */
  get exchanges(): number {
    return this.#streams.size + this.#waiting.length;
  }

  /** Requests that wait until it is ready. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Whether {@link begin} can take another request. */
  get hasRoom(): boolean {
    if (this.#state === 'opening') return this.#waiting.length < this.#limits.openingMax;
    return this.#state === 'ready' && this.#isUsable && this.#streams.size < this.#streamsMax;
  }

  /** Bytes of request bodies written and not yet taken by the server. */
  get bufferedBytes(): number {
    let bytes = 0;
    for (const stream of this.#streams) bytes += stream.bufferedBytes;
    return bytes;
  }

  /** Takes a request; only while there is room. */
  begin(exchange: UpstreamHttp2Exchange): void {
    if (this.#state === 'opening') this.#waiting.push(exchange, this.nowMs());
    else this.#send(exchange);
  }

  sweep(): void {
    const nowMs = this.nowMs();
    if (this.#state === 'opening') {
      if (nowMs < this.#deadlineMs) return;
      this.count('timeout-connect');
      this.#error = new Error('no SETTINGS in time');
      this.#destroy();
      return;
    }
    // `node:http2` had a reason of its own.
    if (!this.#isUsable) this.#leave();
    if (this.#streams.size > 0) {
      for (const stream of this.#streams) stream.sweep();
      this.#probe(nowMs);
    } else if (nowMs >= this.#deadlineMs) {
      this.#rest(nowMs);
    }
  }

  /** Ends the connection. Resolves when it is closed. */
  async close(): Promise<void> {
    if (this.#state === 'gone') return;
    await new Promise<void>((resolve) => {
      this.#session.once('close', resolve);
      this.#destroy();
    });
  }

  nowMs(): number {
    return this.#pool.nowMs();
  }

  count(reason: string): void {
    this.#pool.count(reason);
  }

  heard(): void {
    this.#heardCount++;
    this.#heardAtMs = this.nowMs();
  }

  mayHaveProcessed(streamId: number | undefined): boolean {
    return streamId !== undefined && streamId <= this.#processedMax;
  }

  again(exchange: UpstreamHttp2Exchange): void {
    this.#pool.again(exchange);
  }

  closed(stream: UpstreamHttp2Stream): void {
    if (!this.#streams.delete(stream)) return;
    if (this.#streams.size === 0) this.#deadlineMs = this.nowMs() + this.timeouts.idleMs;
    if (this.#state === 'ready') this.#pool.free();
    else if (this.#streams.size === 0) this.#session.close();
  }

  /** Before its events tell, too. */
  get #isUsable(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  get #streamsMax(): number {
    const { maxConcurrentStreams = Infinity } = this.#session.remoteSettings;
    return Math.min(this.#limits.streamsMax, maxConcurrentStreams);
  }

  #listen(session: ClientHttp2Session): void {
    session.on('connect', () => {
      this.#isConnected = true;
    });
    session.on('remoteSettings', () => {
      if (this.#state === 'opening') this.#ready();
      else if (this.#state === 'ready') this.#pool.free();
    });
    session.on('goaway', (_code: number, lastStreamId: number) => {
      this.#processedMax = lastStreamId;
      this.count('goaway');
      this.#leave();
    });
    session.on('error', (error: Error) => {
      if (this.#state === 'opening') this.#error = error;
      else this.count('session-error');
    });
    session.on('close', () => {
      this.#gone();
    });
  }

  #ready(): void {
    this.#state = 'ready';
    this.#session.setLocalWindowSize(upstreamHttp2Limits.sessionWindowBytes);
    this.#deadlineMs = this.nowMs() + this.timeouts.idleMs;
    this.#pool.reached();
    while (this.hasRoom) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#send(next);
    }
    // The server takes fewer at one time than have come.
    for (const exchange of this.#waitingNow()) this.#pool.again(exchange);
    this.#pool.free();
  }

  #send(exchange: UpstreamHttp2Exchange): void {
    const { framing } = exchange.request;
    const isHeadAlone =
      framing.kind === 'none' ||
      framing.kind === 'tunnel' ||
      (framing.kind === 'length' && framing.bytes === 0);
    const raw = this.#request(exchange, isHeadAlone);
    if (raw === undefined) return;
    if (this.#streams.size === 0) this.#heardAtMs = this.nowMs();
    const stream = new UpstreamHttp2Stream(raw, this, exchange, isHeadAlone);
    this.#streams.add(stream);
    if (++this.#requests >= this.#limits.sessionRequestsMax) this.#leave();
    exchange.carriedBy(stream);
  }

  /** A head that cannot be written is nobody's fault here but its own. */
  #request(exchange: UpstreamHttp2Exchange, isHeadAlone: boolean): ClientHttp2Stream | undefined {
    const { request, envelope } = exchange;
    try {
      return this.#session.request(requestFields(request, envelope, this.#authority), {
        endStream: isHeadAlone,
        waitForTrailers: request.framing.kind === 'chunked',
      });
    } catch {
      this.count('unwritable');
      exchange.giveUp('broken');
      return undefined;
    }
  }

  /** For good, for whatever reason: its server leaves, its numbers end, it is idle. */
  #leave(): void {
    if (this.#state !== 'ready') return;
    this.#state = 'leaving';
    this.#pool.leaving();
  }

  /** Closes an idle session; a server that does not close its end is not waited for long. */
  #rest(nowMs: number): void {
    if (this.#state === 'leaving') {
      this.#destroy();
      return;
    }
    this.#deadlineMs = nowMs + this.#limits.restMs;
    this.#leave();
    this.#session.close();
  }

  /** RFC 9113 section 6.7: a connection may have died without a word while requests wait for it. */
  #probe(nowMs: number): void {
    const { silenceMs, pingMs, pingAgainMs } = this.#limits;
    if (this.#isPinging) {
      if (nowMs - Math.max(this.#pingedAtMs, this.#heardAtMs) < pingMs) return;
      this.count('timeout-ping');
      this.#hasHung = true;
      this.#destroy();
      return;
    }
    const isAsked = this.#pingedAtMs > this.#heardAtMs;
    const isDue = isAsked
      ? nowMs - this.#pingedAtMs >= pingAgainMs
      : nowMs - this.#heardAtMs >= silenceMs;
    if (isDue && this.#isServerAwaited()) this.#ping(nowMs);
  }

  #isServerAwaited(): boolean {
    for (const stream of this.#streams) if (stream.isAwaitingServer) return true;
    return false;
  }

  #ping(nowMs: number): void {
    this.#isPinging = this.#session.ping(() => {
      this.#isPinging = false;
    });
    this.#pingedAtMs = nowMs;
  }

  #destroy(): void {
    this.#session.destroy();
    // It would wait for a server that is not there.
    this.#socket.destroy();
  }

  #gone(): void {
    const wasOpening = this.#state === 'opening';
    this.#state = 'gone';
    this.#pool.gone();
    if (wasOpening) this.#pool.unreachable(this.#error, !this.#isConnected);
    for (const exchange of this.#waitingNow()) exchange.fail('refused');
    for (const stream of this.#streams) stream.lost();
  }

  /** Empties the list of those that wait. */
  #waitingNow(): UpstreamHttp2Exchange[] {
    const all: UpstreamHttp2Exchange[] = [];
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      all.push(next);
    }
    return all;
  }
}

function sessionOptions(socket: Socket): ClientSessionOptions {
  const options = {
    createConnection: () => socket,
    maxSessionMemory: upstreamHttp2Limits.sessionMemoryMiB,
    maxSendHeaderBlockLength: upstreamHttp2Limits.headBytesMax,
    // Which fields may come twice is between client and application.
    strictSingleValueFields: false,
    settings: {
      enablePush: false,
      initialWindowSize: upstreamHttp2Limits.streamWindowBytes,
      maxHeaderListSize: upstreamHttp2Limits.headBytesMax,
    },
  };
  return options;
}
