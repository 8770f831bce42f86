import { connect } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { UpstreamHttpConfig } from '../../config/config.ts';
import { httpLimits, httpTimeouts } from '../../config/defaults.ts';
import type { RequestHead, RequestReceiver, ResponseReceiver } from '../../http/index.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { Envelope } from '../../pipeline/envelope.ts';
import { Ejection, tellEjection } from './ejection.ts';
import { UpstreamHttpConnection } from './upstream-http-connection.ts';
import { type Judge, nobody, UpstreamHttpExchange } from './upstream-http-exchange.ts';
import type { UpstreamHttpServer } from './upstream-http-server.ts';
import { UpstreamQueue } from './upstream-queue.ts';

export interface UpstreamHttpOptions {
  readonly config: UpstreamHttpConfig;
  readonly counters: Counters;
  readonly log: { warn(details: object, message: string): void };
  /** Grain of its times. Default `httpTimeouts.sweepIntervalMs`. */
  readonly sweepIntervalMs?: number;
  /** Tunnels open at one time. Default `httpLimits.upstreamTunnelsMax`. */
  readonly tunnelsMax?: number;
}

/**
 * An HTTP/1.1 server beside the peer, behind a pool of kept connections. One request at a time on a
 * connection; what finds none free waits in a bounded queue.
 */
export class UpstreamHttp implements UpstreamHttpServer {
  readonly #options: UpstreamHttpOptions;
  readonly #all = new Set<UpstreamHttpConnection>();
  readonly #tunnelsMax: number;
  /** Connections that left the pool for a tunnel: requests need not wait for their end. */
  readonly #tunnels = new Set<UpstreamHttpConnection>();
  /** Last in, first out: connections that are not needed grow old together. */
  readonly #idle: UpstreamHttpConnection[] = [];
  readonly #queue: UpstreamQueue<UpstreamHttpExchange>;
  readonly #ejection: Ejection;
  readonly #sweeper: NodeJS.Timeout;
  readonly #judge: Judge = (admission, verdict) => {
    this.#ejection[verdict](admission, this.#nowMs);
  };
  #nowMs = performance.now();
  #isStopped = false;
  #isReachable = true;

  constructor(options: UpstreamHttpOptions) {
    this.#options = options;
    this.#tunnelsMax = options.tunnelsMax ?? httpLimits.upstreamTunnelsMax;
    this.#queue = new UpstreamQueue(options.config.queueMax);
    this.#ejection = new Ejection(options.config.ejection, tellEjection(options));
    this.#sweeper = setInterval(() => {
      this.#sweep();
    }, options.sweepIntervalMs ?? httpTimeouts.sweepIntervalMs);
    this.#sweeper.unref();
  }

  /** Open connections, busy and idle. */
  get connections(): number {
    return this.#all.size;
  }

  get exchanges(): number {
    const idle = this.#idle.filter(({ isUsable }) => isUsable).length;
    return this.#all.size - idle + this.#tunnels.size + this.#queue.length;
  }

  /** Connections that carry a tunnel, beside {@link connections}. */
  get tunnels(): number {
    return this.#tunnels.size;
  }

  /** Bytes of request bodies that wait for the server. */
  get bufferedBytes(): number {
    let bytes = 0;
    for (const connection of this.#all) bytes += connection.bufferedBytes;
    for (const tunnel of this.#tunnels) bytes += tunnel.bufferedBytes;
    return bytes;
  }

  /** Requests that wait for a connection. */
  get waiting(): number {
    return this.#queue.length;
  }

  /**
   * Sends a final request. Refused connections, and all while the server is ejected, reset with
   * `refused`, a full queue with `limit`, a server that does not answer in time with `timeout`, anything
   * else with `broken`.
   */
  serve(request: RequestHead, envelope: Envelope, response: ResponseReceiver): RequestReceiver {
    const isLastOffer = envelope.isLastOffer === true;
    const admission = this.#isStopped ? undefined : this.#ejection.admit(this.#nowMs, isLastOffer);
    if (admission === undefined) {
      this.#count('turned-away');
      response.reset('refused');
      return nobody;
    }
    const exchange = new UpstreamHttpExchange(request, envelope, response, admission, this.#judge);
    this.#place(exchange);
    return exchange;
  }

  /** Closes all connections; running exchanges end with `broken`. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#sweeper);
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      next.giveUp('refused');
    }
    const open = [...this.#all, ...this.#tunnels];
    await Promise.all(open.map((connection) => connection.close()));
  }

  #place(exchange: UpstreamHttpExchange): void {
    const mayOpen = this.#all.size < this.#options.config.connectionsMax;
    const isTunnel = exchange.asksForTunnel;
    if (isTunnel && this.#tunnels.size >= this.#tunnelsMax) {
      this.#count('tunnels-full');
      exchange.giveUp('limit');
      return;
    }
    // It would cost the pool a kept connection, and that may be stale: a tunnel is asked for once.
    const idle = isTunnel && mayOpen ? undefined : this.#takeIdle();
    if (idle !== undefined) {
      idle.begin(exchange);
    } else if (mayOpen) {
      this.#open().begin(exchange);
    } else if (!this.#queue.push(exchange, this.#nowMs)) {
      this.#count('queue-full');
      exchange.giveUp('limit');
    }
  }

  #takeIdle(): UpstreamHttpConnection | undefined {
    let idle = this.#idle.pop();
    while (idle?.isUsable === false) idle = this.#idle.pop();
    return idle;
  }

  #open(): UpstreamHttpConnection {
    this.#count('connect');
    const { host, port, timeouts } = this.#options.config;
    const socket = connect({ host, port, noDelay: true, allowHalfOpen: true });
    const connection = new UpstreamHttpConnection(socket, timeouts, {
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
      defect: (error) => {
        this.#defect(error);
      },
      tunnelled: () => {
        this.#tunnels.add(connection);
        this.#gone(connection);
      },
      gone: () => {
        if (!this.#tunnels.delete(connection)) this.#gone(connection);
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
    const { config, log } = this.#options;
    const { host, port } = config;
    log.warn({ error: error.message, host, port }, 'Upstream HTTP server is out of reach');
  }

  #defect(error: unknown): void {
    this.#options.counters.count('http_defects', 'upstream');
    this.#options.log.warn({ error }, 'Upstream HTTP connection failed');
  }

  /** A kept connection was stale: the request goes out once more, on a new one that cannot be. */
  #again(exchange: UpstreamHttpExchange): void {
    this.#count('stale');
    if (this.#isStopped) exchange.giveUp('refused');
    else this.#open().begin(exchange);
  }

  #free(connection: UpstreamHttpConnection): void {
    const next = this.#queue.shift();
    if (next !== undefined) connection.begin(next);
    else this.#idle.push(connection);
  }

  #gone(connection: UpstreamHttpConnection): void {
    this.#all.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    if (this.#isStopped || this.#all.size >= this.#options.config.connectionsMax) return;
    const next = this.#queue.shift();
    if (next !== undefined) this.#open().begin(next);
  }

  #sweep(): void {
    this.#nowMs = performance.now();
    const tooOldMs = this.#nowMs - this.#options.config.timeouts.queueMs;
    for (;;) {
      const late = this.#queue.shiftOlder(tooOldMs);
      if (late === undefined) break;
      this.#count('queue-timeout');
      try {
        late.giveUp('timeout');
      } catch (error) {
        this.#defect(error);
      }
    }
    for (const connection of this.#all) connection.sweep();
    for (const tunnel of this.#tunnels) tunnel.sweep();
  }

  #count(reason: string): void {
    this.#options.counters.count('http_upstream', reason);
  }
}
