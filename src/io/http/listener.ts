import type { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { ListenAddress, ServerTlsConfig } from '../../config/config.ts';
import { acceptLimits, httpDefaults, httpLimits, httpTimeouts } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { HttpRemote } from '../../pipeline/http-forward.ts';
import type { HttpJourney } from '../../pipeline/http-journey.ts';
import { RetryBudget } from '../../pipeline/http-retry.ts';
import { NetworkSet, parseAddress } from '../../pipeline/network.ts';
import {
  Entrance,
  Places,
  SourcePlaces,
  type AcceptLimits,
  type Entered,
  type EntranceReport,
} from '../accept/index.ts';
import { type HttpClient, lose, type OpenClient } from './client.ts';
import { LimitedLog } from './limited-log.ts';
import type {
  HttpLog,
  HttpTimeouts,
  ListenerContext,
  ServeElsewhere,
  ServeHttp,
} from './listener-context.ts';
import { openHttp1 } from './open-http1.ts';
import { openByPreface } from './preface-client.ts';

export interface HttpListenerOptions {
  /** Port 0 takes a free one: see {@link HttpListener.port}. */
  readonly listen: ListenAddress;
  /** Makes it HTTPS. */
  readonly tls?: ServerTlsConfig;
  /** Sources that must begin a connection with a PROXY header; others are refused. Default: none. */
  readonly proxyProtocol?: readonly string[];
  /** Opens connections of HTTP/2. Without it there are none: HTTP/1.1 alone is spoken. */
  readonly openHttp2?: OpenClient;
  /** Every request is sent to HTTPS of the same host at this port. */
  readonly redirectToHttpsPort?: number;
  readonly journey: HttpJourney;
  readonly serve: ServeHttp;
  /** Takes what the journey sends elsewhere. Without it that is answered 503. */
  readonly serveElsewhere?: ServeElsewhere;
  /** Listeners of one peer share it. Default: of this listener alone, `httpDefaults.retryBudgetPercent`. */
  readonly retries?: RetryBudget;
  /** Resolves when the ENUM answer for the number is known, or known not to come. */
  readonly whenNumberKnown: (number: string) => Promise<void>;
  readonly counters: Counters;
  readonly log: HttpLog;
  /** Body bytes came from a client, or for one. */
  readonly onBodyBytes?: (bytes: number) => void;
  /** Default `httpLimits.connectionsMax`. */
  readonly connectionsMax?: number;
  /**
   * Room for connections of one source, which listeners may share. Default: of this listener alone,
   * `httpDefaults.connectionsPerSource`; trusted proxies have any number.
   */
  readonly sources?: SourcePlaces;
  /** Requests of one HTTP/2 connection at one time. Default `httpDefaults.streamsPerConnection`. */
  readonly streamsMax?: number;
  /** Default `httpTimeouts`. */
  readonly timeouts?: Partial<HttpTimeouts>;
  /** Default `acceptLimits`. */
  readonly acceptLimits?: Partial<AcceptLimits>;
  /** Addresses and networks of proxies whose forwarding headers are believed; none by default. */
  readonly trustedProxies?: readonly string[];
}

/** Names of ALPN for what serves both versions: who offers only what is not named is refused (RFC 7301 section 3.2). */
const http1Protocols: readonly string[] = ['http/1.1', 'http/1.0'];

/** Listens for HTTP clients and serves each connection through the journey. */
export class HttpListener {
  readonly #options: HttpListenerOptions;
  readonly #context: ListenerContext;
  readonly #trusted: NetworkSet;
  readonly #places: Places;
  readonly #entrance: Entrance;
  readonly #limits: AcceptLimits;
  readonly #openUnknown: OpenClient;
  readonly #clients = new Set<HttpClient>();
  #sweeper: NodeJS.Timeout | undefined;
  #certificateTimer: NodeJS.Timeout | undefined;

  /** Throws when a trusted proxy is no address and no network. */
  constructor(options: HttpListenerOptions) {
    const { tls, openHttp2 } = options;
    this.#options = options;
    this.#context = createContext(options);
    this.#trusted = new NetworkSet(options.trustedProxies ?? []);
    this.#places = new Places(options.connectionsMax ?? httpLimits.connectionsMax);
    this.#limits = { ...acceptLimits, ...options.acceptLimits };
    // Over TLS there is HTTP/2 by ALPN alone (RFC 9113 section 3.2).
    this.#openUnknown =
      tls === undefined && openHttp2 !== undefined
        ? openByPreface(openHttp1, openHttp2)
        : openHttp1;
    this.#entrance = new Entrance({
      listen: options.listen,
      proxyProtocol: options.proxyProtocol ?? [],
      ...(tls === undefined ? {} : { tls }),
      protocols: openHttp2 === undefined ? http1Protocols : ['h2', ...http1Protocols],
      // A client that ends its direction is told so by us: half-open only between the two.
      sockets: { allowHalfOpen: true, noDelay: true },
      backlog: 1024,
      places: this.#places,
      sources:
        options.sources ?? new SourcePlaces(httpDefaults.connectionsPerSource, this.#trusted),
      limits: this.#limits,
      report: this.#report(),
      entered: (connection) => {
        this.#entered(connection);
      },
    });
  }

  /** The bound port; throws before {@link start} has resolved. */
  get port(): number {
    return this.#entrance.port;
  }

  /** Client connections, those in their handshake included. */
  get connections(): number {
    return this.#places.size;
  }

  /** Bytes held for all clients: of responses not taken, of pipelined requests not begun. */
  get bufferedBytes(): number {
    let bytes = 0;
    for (const client of this.#clients) bytes += client.bufferedBytes;
    return bytes;
  }

  /** Binds the address. Rejects with the system's error when it cannot, or TLS files cannot be used. */
  async start(): Promise<void> {
    await this.#entrance.start();
    this.#sweeper = setInterval(() => {
      this.#sweep();
    }, this.#context.timeouts.sweepIntervalMs);
    this.#sweeper.unref();
    if (this.#options.tls === undefined) return;
    this.#certificateTimer = setInterval(
      () => void this.reloadCertificates(),
      this.#limits.certificateRefreshMs,
    );
    this.#certificateTimer.unref();
  }

  /** Reads the TLS files that changed; connections keep what they were made with. Never rejects. */
  async reloadCertificates(): Promise<void> {
    await this.#entrance.reloadCertificates();
  }

  /**
   * Sends clients elsewhere: responses ask them to connect anew. Whoever connects is still served,
   * and connections between requests stay, because a request may be on its way on each of them.
   */
  drain(): void {
    this.#context.isDraining = true;
    this.#each((client) => client.drain());
  }

  /** Clients may stay again; connections that were told to end do so. */
  undrain(): void {
    this.#context.isDraining = false;
  }

  /**
   * Takes no more connections, closes those between requests, lets running exchanges end.
   *
   * @param deadlineMs from now; what then still runs is cut. Default `httpTimeouts.lingerMs`
   */
  async stop(deadlineMs: number = httpTimeouts.lingerMs): Promise<void> {
    clearInterval(this.#certificateTimer);
    this.#context.isDraining = true;
    this.#context.isStopping = true;
    const closed = this.#entrance.stop();
    this.#each((client) => client.stop());
    await this.#places.empty(deadlineMs);
    clearInterval(this.#sweeper);
    await closed;
  }

  #sweep(): void {
    this.#context.nowMs = performance.now();
    this.#context.date = new Date().toUTCString();
    this.#each((client) => client.sweep());
  }

  #entered({ socket, address, port, protocol, handshake }: Entered): void {
    handshake?.done();
    const { redirectToHttpsPort, tls, openHttp2 } = this.#options;
    this.#context.counters.count('http_connections', 'accepted');
    const groups = parseAddress(address);
    const remote: HttpRemote = {
      address,
      port,
      isTls: tls !== undefined,
      isTrusted: groups !== undefined && this.#trusted.has(groups),
      ...(redirectToHttpsPort === undefined ? {} : { redirectToHttpsPort }),
    };
    const open = protocol === 'h2' && openHttp2 !== undefined ? openHttp2 : this.#openUnknown;
    try {
      this.#keep(socket, open(socket, remote, this.#context));
    } catch (error) {
      this.#context.counters.count('http_defects', 'connection');
      this.#context.log.error({ error }, 'HTTP connection failed');
      socket.destroy();
    }
  }

  #keep(socket: Socket, client: HttpClient): void {
    this.#clients.add(client);
    socket.on('error', () => {
      this.#context.counters.count('http_connections', 'broken');
    });
    socket.on('close', () => {
      this.#clients.delete(client);
      try {
        client.closed();
      } catch (error) {
        lose(client, this.#context, error);
      }
    });
    if (this.#context.isDraining) client.drain();
  }

  #each(step: (client: HttpClient) => void): void {
    for (const client of this.#clients) {
      try {
        step(client);
      } catch (error) {
        lose(client, this.#context, error);
      }
    }
  }

  #report(): EntranceReport {
    const { counters, log } = this.#context;
    return {
      turnedAway: (reason) => {
        counters.count('http_connections', reason === 'limit' ? 'refused' : reason);
      },
      failed: (reason) => {
        counters.count('http_handshake_failures', reason);
      },
      notAccepted: (error) => {
        counters.count('http_connections', 'not-accepted');
        log.error({ error }, 'HTTP listener failed');
      },
      reloaded: (fault) => {
        const { listen } = this.#options;
        counters.count('http_certificates', fault === undefined ? 'reloaded' : 'broken');
        if (fault === undefined) log.info({ listen }, 'TLS certificates were read again');
        else log.warn({ error: fault, listen }, 'TLS files cannot be used; the old ones stay');
      },
    };
  }
}

function createContext(options: HttpListenerOptions): ListenerContext {
  const { journey, serve, serveElsewhere, retries, whenNumberKnown, counters } = options;
  const { timeouts, streamsMax } = options;
  return {
    journey,
    serve,
    serveElsewhere,
    retries: retries ?? new RetryBudget(httpDefaults.retryBudgetPercent),
    whenNumberKnown,
    counters,
    passed: options.onBodyBytes ?? (() => undefined),
    timeouts: { ...httpTimeouts, ...timeouts },
    log: new LimitedLog(options.log, () => performance.now()),
    streamsMax: streamsMax ?? httpDefaults.streamsPerConnection,
    nowMs: performance.now(),
    date: new Date().toUTCString(),
    isDraining: false,
    isStopping: false,
  };
}
