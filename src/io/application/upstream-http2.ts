import { performance } from 'node:perf_hooks';
import { httpTimeouts, upstreamHttp2Limits } from '../../config/defaults.ts';
import type { RequestHead, RequestReceiver, ResponseReceiver } from '../../http/index.ts';
import type { Envelope } from '../../pipeline/envelope.ts';
import { Ejection, tellEjection } from './ejection.ts';
import { type Judge, nobody } from './upstream-http-exchange.ts';
import type { UpstreamHttpServer } from './upstream-http-server.ts';
import type { UpstreamHttpOptions } from './upstream-http.ts';
import { UpstreamHttp2Exchange } from './upstream-http2-exchange.ts';
import { type UpstreamHttp2Limits, UpstreamHttp2Session } from './upstream-http2-session.ts';
import { UpstreamQueue } from './upstream-queue.ts';

export interface UpstreamHttp2Options extends UpstreamHttpOptions {
  /** Default `upstreamHttp2Limits`. */
  readonly limits?: Partial<UpstreamHttp2Limits>;
}

/**
 * An HTTP/2 server beside the peer, in clear text by prior knowledge (RFC 9113 section 3.3). Requests
 * share few sessions: another is opened only when the others carry as much as the server allows; what
 * finds no room waits in a bounded queue.
 */
export class UpstreamHttp2 implements UpstreamHttpServer {
  readonly #options: UpstreamHttp2Options;
  readonly #limits: UpstreamHttp2Limits;
  /** Those that take requests, the oldest first: the others fall idle and close. */
  readonly #sessions: UpstreamHttp2Session[] = [];
  /** Those that only carry to its end what they have. */
  readonly #leaving = new Set<UpstreamHttp2Session>();
  readonly #queue: UpstreamQueue<UpstreamHttp2Exchange>;
  readonly #ejection: Ejection;
  readonly #sweeper: NodeJS.Timeout;
  readonly #judge: Judge = (admission, verdict) => {
    this.#ejection[verdict](admission, this.#nowMs);
  };
  #nowMs = performance.now();
  #isStopped = false;
  #isReachable = true;

  constructor(options: UpstreamHttp2Options) {
    this.#options = options;
    this.#limits = { ...upstreamHttp2Limits, ...options.limits };
    this.#queue = new UpstreamQueue(options.config.queueMax);
    this.#ejection = new Ejection(options.config.ejection, tellEjection(options));
    this.#sweeper = setInterval(() => {
      this.#sweep();
    }, options.sweepIntervalMs ?? httpTimeouts.sweepIntervalMs);
    this.#sweeper.unref();
  }

  get connections(): number {
    return this.#sessions.length + this.#leaving.size;
  }

  get waiting(): number {
    return this.#sessions.reduce((sum, session) => sum + session.waiting, this.#queue.length);
  }

  get exchanges(): number {
    const sessions = [...this.#sessions, ...this.#leaving];
    return sessions.reduce((sum, session) => sum + session.exchanges, this.#queue.length);
  }

  get bufferedBytes(): number {
    let bytes = 0;
    for (const session of this.#sessions) bytes += session.bufferedBytes;
    for (const session of this.#leaving) bytes += session.bufferedBytes;
    return bytes;
  }

  serve(request: RequestHead, envelope: Envelope, response: ResponseReceiver): RequestReceiver {
    const isLastOffer = envelope.isLastOffer === true;
    const admission = this.#isStopped ? undefined : this.#ejection.admit(this.#nowMs, isLastOffer);
    if (admission === undefined) {
      this.#count('turned-away');
      response.reset('refused');
      return nobody;
    }
    const exchange = new UpstreamHttp2Exchange(request, envelope, response, admission, this.#judge);
    this.#place(exchange);
    return exchange;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#sweeper);
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      next.giveUp('refused');
    }
    const open = [...this.#sessions, ...this.#leaving];
    await Promise.all(open.map((session) => session.close()));
  }

  #place(exchange: UpstreamHttp2Exchange): void {
    const session = this.#withRoom();
    if (session !== undefined) {
      session.begin(exchange);
    } else if (!this.#queue.push(exchange, this.#nowMs)) {
      this.#count('queue-full');
      exchange.giveUp('limit');
    }
  }

  /** The first that can send at once, else one that opens. */
  #withRoom(): UpstreamHttp2Session | undefined {
    let opening: UpstreamHttp2Session | undefined;
    for (const session of this.#sessions) {
      if (!session.hasRoom) continue;
      if (session.isReady) return session;
      opening ??= session;
    }
    if (opening !== undefined) return opening;
    return this.#sessions.length < this.#options.config.connectionsMax ? this.#open() : undefined;
  }

  #open(): UpstreamHttp2Session {
    this.#count('connect');
    const session = new UpstreamHttp2Session(this.#options.config, this.#limits, {
      nowMs: () => this.#nowMs,
      count: (reason) => {
        this.#count(reason);
      },
      free: () => {
        this.#placeQueued();
      },
      again: (exchange) => {
        this.#again(exchange);
      },
      reached: () => {
        this.#isReachable = true;
      },
      unreachable: (error, isAbsent) => {
        this.#unreachable(error, isAbsent);
      },
      leaving: () => {
        this.#remove(session);
        this.#leaving.add(session);
        this.#placeQueued();
      },
      gone: () => {
        this.#remove(session);
        this.#leaving.delete(session);
        this.#placeQueued();
      },
    });
    this.#sessions.push(session);
    return session;
  }

  #remove(session: UpstreamHttp2Session): void {
    const at = this.#sessions.indexOf(session);
    if (at >= 0) this.#sessions.splice(at, 1);
  }

  /** Told once, until a connection succeeds. */
  #unreachable(error: Error, isAbsent: boolean): void {
    this.#count(isAbsent ? 'unreachable' : 'not-http2');
    if (!this.#isReachable) return;
    this.#isReachable = false;
    const { config, log } = this.#options;
    const { host, port } = config;
    const message = isAbsent
      ? 'Upstream HTTP server is out of reach'
      : 'Upstream HTTP server does not speak HTTP/2: see application.http.protocol';
    log.warn({ error: error.message, host, port }, message);
  }

  #again(exchange: UpstreamHttp2Exchange): void {
    if (exchange.isOver) return;
    if (this.#isStopped) exchange.giveUp('refused');
    else this.#place(exchange);
  }

  #placeQueued(): void {
    while (!this.#isStopped && this.#queue.length > 0) {
      const session = this.#withRoom();
      const next = session && this.#queue.shift();
      if (next === undefined) return;
      session?.begin(next);
    }
  }

  #sweep(): void {
    this.#nowMs = performance.now();
    const tooOldMs = this.#nowMs - this.#options.config.timeouts.queueMs;
    for (;;) {
      const late = this.#queue.shiftOlder(tooOldMs);
      if (late === undefined) break;
      this.#count('queue-timeout');
      late.giveUp('timeout');
    }
    for (const session of [...this.#sessions, ...this.#leaving]) session.sweep();
  }

  #count(reason: string): void {
    this.#options.counters.count('http_upstream', reason);
  }
}
