import type { Logger } from 'pino';
import { formatHostPort, parseHostPort } from './config/address.ts';
import { httpTimeouts } from './config/defaults.ts';
import { upstreamHttp } from './config/http-schema.ts';
import type { Config } from './config/index.ts';
import type { Application } from './io/application/application.ts';
import type { UpstreamHttpServer } from './io/application/upstream-http-server.ts';
import { UpstreamHttp } from './io/application/upstream-http.ts';
import { createUpstreamHttp } from './io/application/upstream.ts';
import { SourcePlaces } from './io/accept/index.ts';
import {
  HttpListener,
  LimitedLog,
  openHttp2,
  randomTraceIds,
  type ServeElsewhere,
  type ServeHttp,
} from './io/http/index.ts';
import type { Links } from './io/link/index.ts';
import type { Counters } from './pipeline/counters.ts';
import type { Envelope } from './pipeline/envelope.ts';
import { HttpJourney } from './pipeline/http-journey.ts';
import { RetryBudget } from './pipeline/http-retry.ts';
import { httpRoutingOf } from './pipeline/http-routing.ts';
import type { KeyDeriver } from './pipeline/key.ts';
import { NetworkSet } from './pipeline/network.ts';
import type { Stamper } from './pipeline/stamp.ts';
import type { ClusterView } from './pipeline/view.ts';

/** What the HTTP side needs of the rest of the peer. */
export interface HttpSideParts {
  readonly config: Config;
  readonly log: Logger;
  readonly counters: Counters;
  readonly stamper: Stamper;
  readonly keys: () => KeyDeriver;
  readonly view: () => ClusterView;
  readonly links: () => Links;
  readonly application: () => Application;
  readonly numberKnown: (number: string) => Promise<void>;
  /** Body bytes came from a client, or for one. */
  readonly onBodyBytes: (bytes: number) => void;
}

/** Of requests for a server that is no instance: it is told nothing of the cluster. */
const nobodys: Envelope = {
  keyDigest: '',
  instance: '',
  reason: 'round-robin',
  ringVersion: '',
  ingressPeer: '',
  hop: 0,
  transaction: '',
};

/** The HTTP side of a peer, put together: listeners, journey, the application's connections. */
export class HttpSide {
  /** Connections to an upstream application. */
  readonly upstream: UpstreamHttpServer | undefined;
  /** Connections to the server that stands in when no instance is left. */
  readonly #elsewhere: UpstreamHttp | undefined;
  readonly #parts: HttpSideParts;
  readonly #listeners: readonly HttpListener[];
  #stopped: Promise<void> | undefined;

  constructor(parts: HttpSideParts) {
    this.#parts = parts;
    this.upstream = this.#createUpstream();
    this.#elsewhere = this.#createElsewhere();
    this.#listeners = this.#createListeners();
  }

  /** Binds the listeners. The application's connections are dialled when they are needed. */
  async start(): Promise<void> {
    for (const listener of this.#listeners) await listener.start();
  }

  /** `host:port` of the first listener; undefined: there is none. */
  get address(): string | undefined {
    const [listen] = this.#parts.config.http.listeners;
    const [listener] = this.#listeners;
    return listen && listener && formatHostPort(listen.address, listener.port);
  }

  /** Tells clients to connect anew, or no longer; all are served still. */
  turnAway(isLeaving: boolean): void {
    for (const listener of this.#listeners) {
      if (isLeaving) listener.drain();
      else listener.undrain();
    }
  }

  /**
   * Closes the listeners at once, and connections when their exchange has ended or had its time. Again
   * is harmless: the first call counts.
   *
   * @param patienceMs for exchanges under way; never less than `httpTimeouts.lingerMs`
   */
  stop(patienceMs = 0): Promise<void> {
    this.#stopped ??= this.#stop(Math.max(patienceMs, httpTimeouts.lingerMs));
    return this.#stopped;
  }

  async #stop(patienceMs: number): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.stop(patienceMs)));
    await this.#elsewhere?.stop();
  }

  readonly #serve: ServeHttp = (instance, request, envelope, response) => {
    const { config, application, links } = this.#parts;
    return instance === config.name
      ? application().serveHttp(request, envelope, response)
      : links().openHttp(instance, request, envelope, response);
  };

  #createListeners(): HttpListener[] {
    const { config, counters, log, numberKnown, onBodyBytes } = this.#parts;
    const { listeners, connections, timeouts, trustedProxies } = config.http;
    const journey = this.#createJourney();
    const retries = new RetryBudget(config.http.retries.budgetPercent);
    // A proxy carries the connections of many clients.
    const sources = new SourcePlaces(connections.perSourceMax, new NetworkSet(trustedProxies));
    return listeners.map(
      (listen) =>
        new HttpListener({
          listen,
          ...(listen.tls === undefined ? {} : { tls: listen.tls }),
          ...(listen.http2 ? { openHttp2 } : {}),
          proxyProtocol: listen.proxyProtocol,
          ...(listen.redirectToHttpsPort === undefined
            ? {}
            : { redirectToHttpsPort: listen.redirectToHttpsPort }),
          journey,
          serve: this.#serve,
          ...this.#serveElsewhere(),
          retries,
          whenNumberKnown: numberKnown,
          counters,
          log,
          onBodyBytes,
          connectionsMax: connections.max,
          sources,
          streamsMax: connections.streamsMax,
          timeouts,
          trustedProxies,
        }),
    );
  }

  #createJourney(): HttpJourney {
    const { config, view, keys, stamper, counters } = this.#parts;
    return new HttpJourney({
      view,
      keys,
      stamper,
      counters,
      routing: httpRoutingOf(config.http, config.stamps.onInvalid),
      roundRobin: { turn: 0 },
      ...(config.http.traceparent ? { newTraceIds: randomTraceIds() } : {}),
    });
  }

  #createUpstream(): UpstreamHttpServer | undefined {
    const { config, counters, log } = this.#parts;
    const { application } = config;
    if (application.kind !== 'upstream' || application.http === undefined) return undefined;
    return createUpstreamHttp({ config: application.http, counters, log: limitedLog(log) });
  }

  #createElsewhere(): UpstreamHttp | undefined {
    const { config, counters, log } = this.#parts;
    const { unavailableHost } = config.http;
    if (unavailableHost?.mode !== 'proxy') return undefined;
    const { host, port } = parseHostPort(unavailableHost.host)!;
    return new UpstreamHttp({
      config: upstreamHttp.parse({ host, port, ejection: { failures: 0 } }),
      counters,
      log: limitedLog(log),
    });
  }

  #serveElsewhere(): { serveElsewhere?: ServeElsewhere } {
    const server = this.#elsewhere;
    if (server === undefined) return {};
    return { serveElsewhere: (request, response) => server.serve(request, nobodys, response) };
  }
}

function limitedLog(log: Logger): LimitedLog {
  return new LimitedLog(log, () => performance.now());
}
