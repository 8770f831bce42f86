import {
  constants,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import { http2Limits } from '../../config/defaults.ts';
import type { HttpRemote } from '../../pipeline/http-forward.ts';
import type { HttpClient, OpenClient } from './client.ts';
import { ConnectionClock } from './connection-clock.ts';
import { EventBudget } from './http2-budget.ts';
import { Http2Stream, type Http2StreamOwner } from './http2-stream.ts';
import type { ListenerContext } from './listener-context.ts';

/** Serves HTTP/2 on a connection: by ALPN, or because it begins with the preface (RFC 9113 section 3). */
export const openHttp2: OpenClient = (socket, remote, context) =>
  new Http2Connection(socket, remote, context);

/** Of DATA, where the client does not ask for more (RFC 9113 section 6.5.2). */
const frameBytesMax = 16_384;

/** What a client did too often. */
type Excess = 'resets' | 'pings' | 'settings';

/**
 * One client's connection that speaks HTTP/2. Node's `http2` has the frames; here are the streams,
 * the times and what a client may not do too often.
 *
 * - serving: streams come and go
 * - draining: the same, until for once none runs
 * - closing: the client knows (GOAWAY), no more streams begin, the last one ends the connection
 */
export class Http2Connection implements HttpClient, Http2StreamOwner {
  readonly context: ListenerContext;
  readonly remote: HttpRemote;
  readonly #socket: Socket;
  readonly #session: ServerHttp2Session;
  readonly #clock: ConnectionClock;
  readonly #streams = new Set<Http2Stream>();
  readonly #budgets: Readonly<Record<Excess, EventBudget>>;
  /** When a draining connection ends at the latest. */
  #drainedMs: number | undefined;
  #isClosing = false;

  constructor(socket: Socket, remote: HttpRemote, context: ListenerContext) {
    this.#socket = socket;
    this.remote = remote;
    this.context = context;
    this.#clock = new ConnectionClock(context);
    this.#budgets = budgets(context.nowMs);
    this.#session = performServerHandshake(socket, sessionOptions(context.streamsMax));
    this.#session.setLocalWindowSize(http2Limits.connectionWindowBytes);
    this.#listen();
    // A client that ends its direction is taken as gone.
    socket.on('end', () => {
      this.destroy();
    });
    // Behind the session's own tick, in which it takes the bytes that wait in the socket.
    process.nextTick(() => socket.resume());
    this.#clock.set('idle');
  }

  get bufferedBytes(): number {
    let bytes = 0;
    for (const stream of this.#streams) bytes += stream.bufferedBytes;
    return bytes;
  }

  sweep(): void {
    for (const stream of this.#streams) stream.sweep();
    const isBusy = this.#streams.size > 0;
    if (isBusy && this.context.nowMs >= (this.#drainedMs ?? Infinity)) this.#close();
    const expired = this.#clock.expired(0);
    if (expired === undefined) return;
    this.context.counters.count('http_timeouts', expired);
    if (expired === 'idle') this.#close();
    else this.destroy();
  }

  /**
   * Streams that a client opens before it has read GOAWAY are lost to it, if only to be asked for anew
   * (RFC 9113 section 6.8). So that comes behind a response when nothing else runs, not at once.
   */
  drain(): void {
    this.#drainedMs ??= this.context.nowMs + http2Limits.drainMs;
  }

  stop(): void {
    this.#close();
  }

  destroy(): void {
    // With a code, so that nobody takes half a response for a whole one.
    this.#session.destroy(new Error('closed'), constants.NGHTTP2_CANCEL);
    this.#socket.destroy();
  }

  closed(): void {
    this.#isClosing = true;
    this.#session.destroy();
  }

  defect(): void {
    for (const stream of this.#streams) stream.defect();
    this.#close();
  }

  sent(bytes: number): void {
    // Clients measure the way with a PING for each frame of data that reaches them: gRPC's do.
    this.#budgets.pings.earn(Math.ceil(bytes / frameBytesMax));
  }

  left(stream: Http2Stream, isFault: boolean): void {
    this.#streams.delete(stream);
    if (isFault) this.#spend('resets');
    if (this.#streams.size > 0) return;
    if (this.#drainedMs !== undefined) this.#close();
    this.#clock.set(this.#isClosing ? 'linger' : 'idle');
  }

  #listen(): void {
    const session = this.#session;
    session.on('stream', (stream: ServerHttp2Stream, _headers, flags: number, raw: string[]) => {
      this.#begin(stream, raw, (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0);
    });
    session.on('ping', () => {
      this.#spend('pings');
    });
    session.on('remoteSettings', () => {
      this.#spend('settings');
    });
    session.on('error', (error: NodeJS.ErrnoException) => {
      // Those of the socket are counted by the listener, our own have no code.
      if (error.code?.startsWith('ERR_HTTP2') !== true) return;
      const isFlood = error.code === 'ERR_HTTP2_TOO_MANY_INVALID_FRAMES';
      this.context.counters.count('http2_goaways', isFlood ? 'invalid-frames' : 'protocol');
    });
  }

  #begin(inner: ServerHttp2Stream, raw: readonly string[], endsHere: boolean): void {
    // Reset by the client before we came to look at it.
    if (inner.closed || inner.destroyed) {
      inner.on('error', () => undefined);
      this.#spend('resets');
      return;
    }
    const stream = new Http2Stream(inner, this);
    this.#streams.add(stream);
    this.#clock.set(undefined);
    stream.begin(raw, endsHere);
  }

  /** Takes no more streams; the connection ends with the last one. */
  #close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#session.close();
    if (this.#streams.size === 0) this.#clock.set('linger');
  }

  #spend(excess: Excess): void {
    if (this.#isClosing && excess !== 'resets') return;
    if (this.#session.destroyed || this.#budgets[excess].take(this.context.nowMs)) return;
    this.#isClosing = true;
    const { counters, log } = this.context;
    counters.count('http2_goaways', excess);
    log.warn({ client: this.remote.address, excess }, 'HTTP/2 client was cut off');
    this.#clock.set('linger');
    this.#session.destroy(new Error(`too many ${excess}`), constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }
}

function budgets(nowMs: number): Readonly<Record<Excess, EventBudget>> {
  const limits = http2Limits;
  return {
    resets: new EventBudget(limits.resetsBurst, limits.resetsPerSecond, nowMs),
    pings: new EventBudget(limits.pingsBurst, limits.pingsPerSecond, nowMs),
    settings: new EventBudget(limits.settingsBurst, limits.settingsPerSecond, nowMs),
  };
}

function sessionOptions(
  streamsMax: number,
): NonNullable<Parameters<typeof performServerHandshake>[1]> {
  const limits = http2Limits;
  return {
    maxSessionMemory: Math.ceil(limits.sessionMegabytesMax + streamsMax * limits.streamMegabytes),
    maxSettings: limits.settingsPerFrameMax,
    maxHeaderListPairs: limits.fieldLinesMax,
    maxSendHeaderBlockLength: limits.responseHeadBytesMax,
    maxSessionInvalidFrames: limits.invalidFramesMax,
    maxSessionRejectedStreams: limits.rejectedStreamsMax,
    streamResetBurst: limits.nativeResetsBurst,
    streamResetRate: limits.resetsPerSecond,
    // Which headers of an application may come twice is not for its peer to say.
    strictSingleValueFields: false,
    settings: {
      enablePush: false,
      enableConnectProtocol: false,
      maxConcurrentStreams: streamsMax,
      initialWindowSize: limits.streamWindowBytes,
      maxHeaderListSize: limits.headerListBytesMax,
    },
  };
}
