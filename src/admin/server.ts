import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { formatHostPort } from '../config/address.ts';
import type { AdminConfig } from '../config/config.ts';
import { adminLimits } from '../config/defaults.ts';
import { Access } from './access.ts';
import type { Metrics } from './metrics.ts';
import type { AdminSource } from './status.ts';
import { unreadyReasons } from './status.ts';

/** Writes a line to the peer's log; `peer.ts` gives one. */
export type AuditLog = (message: string) => void;

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Route {
  readonly method: 'GET' | 'POST';
  /** Probes of an orchestrator bring no token and name the host as they please. */
  readonly isOpen: boolean;
  serve(request: IncomingMessage): Answer | Promise<Answer>;
}

/**
 * The operator's HTTP server: `GET /livez`, `/readyz`, `/metrics`, `/status` and `POST /drain`. It
 * reads no request body. Everything but the two probes needs the token where one is configured.
 */
export class AdminServer {
  readonly #config: AdminConfig;
  readonly #source: AdminSource;
  readonly #audit: AuditLog;
  readonly #access: Access;
  readonly #routes: ReadonlyMap<string, Route>;
  #metrics: Promise<Metrics> | undefined;
  #server: Server | undefined;

  constructor(config: AdminConfig, source: AdminSource, audit: AuditLog) {
    this.#config = config;
    this.#source = source;
    this.#audit = audit;
    this.#access = new Access(config.listen.address, config.token);
    this.#routes = new Map<string, Route>([
      ['/livez', { method: 'GET', isOpen: true, serve: () => json(200, { live: true }) }],
      ['/readyz', { method: 'GET', isOpen: true, serve: () => this.#readiness() }],
      ['/status', { method: 'GET', isOpen: false, serve: () => this.#status() }],
      ['/metrics', { method: 'GET', isOpen: false, serve: () => this.#metricsPage() }],
      ['/drain', { method: 'POST', isOpen: false, serve: (request) => this.#drain(request) }],
    ]);
  }

  /** Binds and gives `host:port`; rejects with the system's error when it cannot. */
  async start(): Promise<string> {
    const server = createServer(
      {
        maxHeaderSize: adminLimits.headerBytesMax,
        headersTimeout: adminLimits.requestTimeoutMs,
        requestTimeout: adminLimits.requestTimeoutMs,
        keepAliveTimeout: adminLimits.idleTimeoutMs,
        connectionsCheckingInterval: adminLimits.requestTimeoutMs,
      },
      (request, response) => {
        void this.#answer(request, response);
      },
    );
    server.maxConnections = adminLimits.connectionsMax;
    const { address, port } = this.#config.listen;
    server.listen({ host: address, port });
    await once(server, 'listening');
    server.on('error', (error) => {
      this.#source.counters.count('admin_requests', 'accept_failed');
      this.#audit(`admin: a connection could not be accepted: ${error.message}`);
    });
    this.#server = server;
    return formatHostPort(address, (server.address() as AddressInfo).port);
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    let answer: Answer;
    try {
      answer = await this.#route(request);
    } catch (error) {
      this.#source.counters.count('admin_requests', 'defect');
      this.#audit(`admin: ${String(request.url)} failed: ${String(error)}`);
      answer = json(500, { error: 'the request failed; the log has the reason' });
    }
    response.writeHead(answer.status, {
      'content-type': answer.type,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...answer.headers,
    });
    response.end(request.method === 'HEAD' ? undefined : answer.body);
  }

  #route(request: IncomingMessage): Answer | Promise<Answer> {
    const path = (request.url ?? '').split('?', 1)[0]!;
    const route = this.#routes.get(path);
    if (route?.isOpen !== true) {
      const refusal = this.#access.refuse(request);
      if (refusal !== undefined) {
        this.#source.counters.count('admin_requests', `refused_${refusal.status}`);
        const headers = refusal.status === 401 ? { 'www-authenticate': 'Bearer' } : {};
        return { ...json(refusal.status, { error: refusal.message }), headers };
      }
    }
    if (route === undefined)
      return json(404, { error: 'no such page', pages: [...this.#routes.keys()] });
    const allowed = route.method === 'GET' ? ['GET', 'HEAD'] : [route.method];
    if (!allowed.includes(request.method ?? '')) {
      const headers = { allow: allowed.join(', ') };
      return { ...json(405, { error: `only ${headers.allow}` }), headers };
    }
    return route.serve(request);
  }

  #readiness(): Answer {
    const reasons = unreadyReasons(this.#source.status());
    return json(reasons.length === 0 ? 200 : 503, { ready: reasons.length === 0, reasons });
  }

  #status(): Answer {
    const status = this.#source.status();
    const instances = status.members
      .filter((member) => member.state === 'alive' || member.state === 'suspect')
      .map(({ name, status: instanceStatus, weight }) => ({
        name,
        status: instanceStatus,
        weight,
      }));
    const counters: Record<string, Record<string, number>> = {};
    for (const [name, reasons] of this.#source.counters.entries())
      counters[name] = Object.fromEntries(reasons);
    return json(200, { ...status, instances, counters });
  }

  async #metricsPage(): Promise<Answer> {
    // Loaded when first asked for: it is not small, and peers start without it.
    this.#metrics ??= import('./metrics.ts').then(({ createMetrics }) =>
      createMetrics(this.#source),
    );
    const metrics = await this.#metrics;
    return { status: 200, type: metrics.contentType, body: await metrics.page() };
  }

  #drain(request: IncomingMessage): Answer {
    this.#audit(`admin: drain asked for by ${String(request.socket.remoteAddress)}`);
    this.#source.counters.count('admin_requests', 'drain');
    this.#source.drain();
    return json(202, { state: 'draining' });
  }
}

function json(status: number, body: unknown): Answer {
  return { status, type: 'application/json', body: `${JSON.stringify(body)}\n` };
}
