import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { formatHostPort } from '../config/address.ts';
import type { AdminConfig } from '../config/config.ts';
import { adminLimits } from '../config/defaults.ts';
import { Access } from './access.ts';
import type { Metrics } from './metrics.ts';
import { adminRequest, BodyTooLarge, json, type Answer, type Route } from './route.ts';
import type { AdminSource } from './status.ts';
import { unreadyReasons } from './status.ts';

/** Writes a line to the peer's log; `peer.ts` gives one. */
export type AuditLog = (message: string) => void;

/**
 * The operator's HTTP server: `GET /livez`, `/readyz`, `/metrics`, `/status`, `POST /drain` and `/undrain`, and the
 * pages of the source. Everything but the two probes needs the token where one is configured.
 */
export class AdminServer {
  readonly #config: AdminConfig;
  readonly #source: AdminSource;
  readonly #audit: AuditLog;
  readonly #access: Access;
  readonly #routes: readonly Route[];
  #metrics: Promise<Metrics> | undefined;
  #server: Server | undefined;

  constructor(config: AdminConfig, source: AdminSource, audit: AuditLog) {
    this.#config = config;
    this.#source = source;
    this.#audit = audit;
    this.#access = new Access(config.listen.address, config.token);
    this.#routes = [
      { method: 'GET', path: '/livez', isOpen: true, serve: () => json(200, { live: true }) },
      { method: 'GET', path: '/readyz', isOpen: true, serve: () => this.#readiness() },
      { method: 'GET', path: '/status', serve: () => this.#status() },
      { method: 'GET', path: '/metrics', serve: () => this.#metricsPage() },
      { method: 'POST', path: '/drain', serve: ({ by }) => this.#move('drain', by) },
      { method: 'POST', path: '/undrain', serve: ({ by }) => this.#move('undrain', by) },
      ...source.routes,
    ];
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
    let answer: Answer;
    try {
      answer = await this.#route(request);
    } catch (error) {
      answer = this.#failed(request, error);
    }
    // What a page did not read is not wanted; the connection may serve another request behind it.
    request.resume();
    response.writeHead(answer.status, {
      'content-type': answer.type,
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      ...answer.headers,
    });
    response.end(request.method === 'HEAD' ? undefined : answer.body);
  }

  #failed(request: IncomingMessage, error: unknown): Answer {
    if (error instanceof BodyTooLarge) {
      this.#source.counters.count('admin_requests', 'refused_413');
      const message = `the body is larger than ${adminLimits.bodyBytesMax} bytes`;
      return { ...json(413, { error: message }), headers: { connection: 'close' } };
    }
    this.#source.counters.count('admin_requests', 'defect');
    this.#audit(`admin: ${String(request.url)} failed: ${String(error)}`);
    return json(500, { error: 'the request failed; the log has the reason' });
  }

  #route(request: IncomingMessage): Answer | Promise<Answer> {
    const path = (request.url ?? '').split('?', 1)[0]!;
    const pages = this.#routes.filter((route) => isAt(route, path));
    if (!pages.some(({ isOpen }) => isOpen === true)) {
      const refusal = this.#access.refuse(request);
      if (refusal !== undefined) {
        this.#source.counters.count('admin_requests', `refused_${refusal.status}`);
        const headers = refusal.status === 401 ? { 'www-authenticate': 'Bearer' } : {};
        return { ...json(refusal.status, { error: refusal.message }), headers };
      }
    }
    if (pages.length === 0) {
      const all = new Set(this.#routes.map((route) => route.path));
      return json(404, { error: 'no such page', pages: [...all] });
    }
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const page = pages.find((route) => route.method === method);
    if (page !== undefined) return page.serve(adminRequest(request, page.path));
    const allowed = pages.flatMap((route) =>
      route.method === 'GET' ? ['GET', 'HEAD'] : route.method,
    );
    const headers = { allow: allowed.join(', ') };
    return { ...json(405, { error: `only ${headers.allow}` }), headers };
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

  #move(step: 'drain' | 'undrain', by: string): Answer {
    this.#audit(`admin: ${step} asked for by ${by}`);
    this.#source.counters.count('admin_requests', step);
    this.#source[step]();
    return json(202, { state: this.#source.status().state });
  }
}

function isAt(route: Route, path: string): boolean {
  return route.path.endsWith('/') ? path.startsWith(route.path) : path === route.path;
}
