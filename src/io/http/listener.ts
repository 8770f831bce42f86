import { BlockList, createServer, isIPv4, isIPv6, type Server, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { httpLimits, httpTimeouts } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { HttpJourney } from '../../pipeline/http-journey.ts';
import { ClientConnection } from './client-connection.ts';
import type { HttpLog, HttpTimeouts, ListenerContext, ServeHttp } from './listener-context.ts';

export interface HttpListenerOptions {
  /** Port 0 takes a free one: see {@link HttpListener.port}. */
  readonly listen: { readonly address: string; readonly port: number };
  readonly journey: HttpJourney;
  readonly serve: ServeHttp;
  /** Resolves when the ENUM answer for the number is known, or known not to come. */
  readonly whenNumberKnown: (number: string) => Promise<void>;
  readonly counters: Counters;
  readonly log: HttpLog;
  /** Default `httpLimits.connectionsMax`. */
  readonly connectionsMax?: number;
  /** Default `httpTimeouts`. */
  readonly timeouts?: Partial<HttpTimeouts>;
  /** Addresses and CIDRs of proxies whose forwarding headers are believed; none by default. */
  readonly trustedProxies?: readonly string[];
}

/** Listens for HTTP/1.1 clients and serves each connection through the journey. */
export class HttpListener {
  readonly #options: HttpListenerOptions;
  readonly #context: ListenerContext;
  readonly #trusted: BlockList;
  readonly #connections = new Set<ClientConnection>();
  readonly #server: Server;
  #sweeper: NodeJS.Timeout | undefined;
  #whenEmpty: (() => void) | undefined;

  /** Throws when a trusted proxy is no address and no CIDR. */
  constructor(options: HttpListenerOptions) {
    this.#options = options;
    this.#trusted = blockListOf(options.trustedProxies ?? []);
    this.#context = {
      journey: options.journey,
      serve: options.serve,
      whenNumberKnown: options.whenNumberKnown,
      counters: options.counters,
      timeouts: { ...httpTimeouts, ...options.timeouts },
      log: options.log,
      nowMs: performance.now(),
      date: new Date().toUTCString(),
      isStopping: false,
    };
    // A client that ends its direction is told so by us: half-open only between the two.
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#accept(socket);
    });
  }

  /** The bound port; throws before {@link start} has resolved. */
  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('HTTP is not listening');
    return address.port;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Bytes held for all clients: of responses not taken, of pipelined requests not begun. */
  get bufferedBytes(): number {
    let bytes = 0;
    for (const connection of this.#connections) bytes += connection.bufferedBytes;
    return bytes;
  }

  /** Binds the address. Rejects with the system's error when it cannot. */
  async start(): Promise<void> {
    const { address, port } = this.#options.listen;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host: address, port, backlog: 1024 }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    this.#server.on('error', (error) => {
      this.#options.log.error({ error }, 'HTTP listener failed');
    });
    this.#sweeper = setInterval(() => {
      this.#sweep();
    }, this.#context.timeouts.sweepIntervalMs);
    this.#sweeper.unref();
  }

  /**
   * Takes no more connections, closes those between requests, lets running exchanges end.
   *
   * @param deadlineMs from now; what then still runs is cut. Default `httpTimeouts.lingerMs`
   */
  async stop(deadlineMs: number = httpTimeouts.lingerMs): Promise<void> {
    this.#context.isStopping = true;
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
    for (const connection of this.#connections) connection.stop();
    await this.#emptied(deadlineMs);
    for (const connection of this.#connections) connection.destroy();
    clearInterval(this.#sweeper);
    await closed;
  }

  async #emptied(deadlineMs: number): Promise<void> {
    if (this.#connections.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, deadlineMs);
      this.#whenEmpty = (): void => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #sweep(): void {
    this.#context.nowMs = performance.now();
    this.#context.date = new Date().toUTCString();
    for (const connection of this.#connections) connection.sweep();
  }

  #accept(socket: Socket): void {
    const { counters } = this.#options;
    const address = plainAddress(socket.remoteAddress);
    const isFull =
      this.#connections.size >= (this.#options.connectionsMax ?? httpLimits.connectionsMax);
    // A client that reset at once has no address any more.
    if (isFull || address === undefined) {
      counters.count('http_connections', isFull ? 'refused' : 'gone');
      socket.destroy();
      return;
    }
    counters.count('http_connections', 'accepted');
    const remote = {
      address,
      port: socket.remotePort ?? 0,
      isTls: false,
      isTrusted: this.#trusted.check(address, isIPv6(address) ? 'ipv6' : 'ipv4'),
    };
    this.#serve(socket, new ClientConnection(socket, remote, this.#context));
  }

  #serve(socket: Socket, connection: ClientConnection): void {
    this.#connections.add(connection);
    // The one boundary for defects of ours: the connection is lost, the peer is not.
    const guarded = (step: () => void): void => {
      try {
        step();
      } catch (error) {
        this.#options.counters.count('http_defects', 'connection');
        this.#options.log.error({ error }, 'HTTP connection failed');
        lose(socket, connection);
      }
    };
    socket.on('data', (bytes: Buffer) => {
      guarded(() => {
        connection.receive(bytes);
      });
    });
    socket.on('drain', () => {
      guarded(() => {
        connection.writable();
      });
    });
    socket.on('end', () => {
      guarded(() => {
        connection.ended();
      });
    });
    socket.on('error', () => {
      this.#options.counters.count('http_connections', 'broken');
    });
    socket.on('close', () => {
      this.#connections.delete(connection);
      connection.closed();
      if (this.#connections.size === 0) this.#whenEmpty?.();
    });
  }
}

/** Answers 500 where that can still be done. */
function lose(socket: Socket, connection: ClientConnection): void {
  try {
    connection.defect();
  } catch {
    socket.destroy();
  }
}

/** An IPv4 client of a dual-stack socket is an IPv4 client. */
function plainAddress(address: string | undefined): string | undefined {
  return address?.startsWith('::ffff:') === true && isIPv4(address.slice(7))
    ? address.slice(7)
    : address;
}

function blockListOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', prefix] = range.split('/');
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return list;
}
