import { connect } from 'node:net';
import { performance } from 'node:perf_hooks';
import { httpLimits, httpTimeouts } from '../../config/defaults.ts';
import type { RequestHead, RequestReceiver, ResponseReceiver } from '../../http/index.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { Envelope } from '../../pipeline/envelope.ts';
import { UpstreamHttpConnection } from './upstream-http-connection.ts';
import { UpstreamHttpExchange } from './upstream-http-exchange.ts';

/** Times of the upstream side in milliseconds; see `httpTimeouts` in config/defaults.ts. */
export interface UpstreamHttpTimeouts {
  readonly sweepIntervalMs: number;
  readonly upstreamConnectMs: number;
  readonly upstreamQueueMs: number;
  readonly upstreamResponseMs: number;
  readonly upstreamBodyMs: number;
  readonly upstreamIdleMs: number;
}

export interface UpstreamHttpOptions {
  readonly host: string;
  readonly port: number;
  readonly counters: Counters;
  readonly log: { warn(details: object, message: string): void };
  /** Default `httpLimits`. */
  readonly limits?: { readonly connectionsMax?: number; readonly queueMax?: number };
  /** Default `httpTimeouts`. */
  readonly timeouts?: Partial<UpstreamHttpTimeouts>;
}

/**
 * An HTTP/1.1 server beside the peer, behind a pool of kept connections. One request at a time on a
 * connection; what finds none free waits in a bounded queue.
 */
export class UpstreamHttp {
  readonly #options: UpstreamHttpOptions;
  readonly #timeouts: UpstreamHttpTimeouts;
  readonly #connectionsMax: number;
  readonly #queueMax: number;
  readonly #all = new Set<UpstreamHttpConnection>();
  /** Last in, first out: connections that are not needed grow old together. */
  readonly #idle: UpstreamHttpConnection[] = [];
  readonly #queue: UpstreamHttpExchange[] = [];
  readonly #sweeper: NodeJS.Timeout;
  #nowMs = performance.now();
  #isStopped = false;
  #isReachable = true;

  constructor(options: UpstreamHttpOptions) {
    this.#options = options;
    this.#timeouts = { ...httpTimeouts, ...options.timeouts };
    this.#connectionsMax = options.limits?.connectionsMax ?? httpLimits.upstreamConnectionsMax;
    this.#queueMax = options.limits?.queueMax ?? httpLimits.upstreamQueueMax;
    this.#sweeper = setInterval(() => {
      this.#sweep();
    }, this.#timeouts.sweepIntervalMs);
    this.#sweeper.unref();
  }

  /** Open connections, busy and idle. */
  get connections(): number {
    return this.#all.size;
  }

  /** Bytes of request bodies that wait for the server. */
  get bufferedBytes(): number {
    let bytes = 0;
    for (const connection of this.#all) bytes += connection.bufferedBytes;
    return bytes;
  }

  /**
   * Sends a final request. Refused connections reset with `refused`, a full queue with `limit`, a
   * server that does not answer in time with `timeout`, anything else with `broken`.
   */
  serve(request: RequestHead, envelope: Envelope, response: ResponseReceiver): RequestReceiver {
    const exchange = new UpstreamHttpExchange(request, envelope, response);
    if (this.#isStopped) exchange.fail('refused');
    else this.#place(exchange);
    return exchange;
  }

  /** Closes all connections; running exchanges end with `broken`. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#sweeper);
    for (const exchange of this.#queue.splice(0)) exchange.fail('refused');
    await Promise.all([...this.#all].map((connection) => connection.close()));
  }

  #place(exchange: UpstreamHttpExchange): void {
    let idle = this.#idle.pop();
    while (idle?.isUsable === false) idle = this.#idle.pop();
    if (idle !== undefined) {
      idle.begin(exchange);
    } else if (this.#all.size < this.#connectionsMax) {
      this.#open().begin(exchange);
    } else if (this.#hasQueueRoom()) {
      exchange.queuedAtMs = this.#nowMs;
      this.#queue.push(exchange);
    } else {
      this.#count('queue-full');
      exchange.fail('limit');
    }
  }

  /** Those that were given up keep no place. */
  #hasQueueRoom(): boolean {
    if (this.#queue.length < this.#queueMax) return true;
    const waiting = this.#queue.filter(({ isOver }) => !isOver);
    if (waiting.length < this.#queue.length) this.#queue.splice(0, this.#queue.length, ...waiting);
    return this.#queue.length < this.#queueMax;
  }

  #open(): UpstreamHttpConnection {
    this.#count('connect');
    const { host, port } = this.#options;
    const socket = connect({ host, port, noDelay: true });
    const connection = new UpstreamHttpConnection(socket, this.#timeouts, {
      nowMs: () => this.#nowMs,
      count: (reason) => {
        this.#count(reason);
      },
      free: () => {
        this.#free(connection);
      },
      again: (exchange) => {
        this.#again(exchange);
      },
      reached: () => {
        this.#isReachable = true;
      },
      unreachable: (error) => {
        this.#unreachable(error);
      },
      gone: () => {
        this.#gone(connection);
      },
    });
    this.#all.add(connection);
    return connection;
  }

  /** Told once, until a connection succeeds. */
  #unreachable(error: Error): void {
    this.#count('unreachable');
    if (!this.#isReachable) return;
    this.#isReachable = false;
    const { host, port, log } = this.#options;
    log.warn({ error: error.message, host, port }, 'Upstream HTTP server is out of reach');
  }

  /** A kept connection was stale: the request goes out once more, on a new one that cannot be. */
  #again(exchange: UpstreamHttpExchange): void {
    this.#count('stale');
    if (this.#isStopped) exchange.fail('refused');
    else this.#open().begin(exchange);
  }

  #free(connection: UpstreamHttpConnection): void {
    const next = this.#nextQueued();
    if (next !== undefined) connection.begin(next);
    else this.#idle.push(connection);
  }

  #gone(connection: UpstreamHttpConnection): void {
    this.#all.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    if (this.#isStopped || this.#all.size >= this.#connectionsMax) return;
    const next = this.#nextQueued();
    if (next !== undefined) this.#open().begin(next);
  }

  #nextQueued(): UpstreamHttpExchange | undefined {
    for (;;) {
      const next = this.#queue.shift();
      if (next?.isOver !== true) return next;
    }
  }

  #sweep(): void {
    this.#nowMs = performance.now();
    while (this.#isHeadOfQueueLate()) {
      const late = this.#queue.shift();
      if (late?.isOver !== false) continue;
      this.#count('queue-timeout');
      late.fail('timeout');
    }
    for (const connection of this.#all) connection.sweep();
  }

  #isHeadOfQueueLate(): boolean {
    const [first] = this.#queue;
    if (first === undefined) return false;
    return first.isOver || this.#nowMs - first.queuedAtMs >= this.#timeouts.upstreamQueueMs;
  }

  #count(reason: string): void {
    this.#options.counters.count('http_upstream', reason);
  }
}
