import type { RequestHead, RequestReceiver, ResponseReceiver } from '../../http/index.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { Envelope } from '../../pipeline/envelope.ts';
import type { ResponseTarget } from '../../pipeline/return-response.ts';
import type { Application } from './application.ts';
import { nobody } from './upstream-http-exchange.ts';
import type { UpstreamHttpServer } from './upstream-http-server.ts';
import { UpstreamHttp, type UpstreamHttpOptions } from './upstream-http.ts';
import { UpstreamHttp2 } from './upstream-http2.ts';
import { UpstreamSipSockets } from './upstream-sip-sockets.ts';
import type { UpstreamSip, UpstreamSipOptions } from './upstream-sip.ts';

export interface UpstreamParts {
  readonly sip: UpstreamSip | undefined;
  readonly http: UpstreamHttpServer | undefined;
  readonly counters: Counters;
}

/** An application beside the peer: a SIP server, an HTTP server, or both. */
export class UpstreamApplication implements Application {
  readonly #sip: UpstreamSip | undefined;
  readonly #http: UpstreamHttpServer | undefined;
  readonly #counters: Counters;

  constructor(parts: UpstreamParts) {
    this.#sip = parts.sip;
    this.#http = parts.http;
    this.#counters = parts.counters;
  }

  get exchanges(): number {
    return this.#http?.exchanges ?? 0;
  }

  async start(): Promise<void> {
    await this.#sip?.start();
  }

  deliverSip(message: Buffer): boolean {
    return this.#sip?.deliver(message) ?? false;
  }

  deliverResponse(message: Buffer): boolean {
    return this.#sip?.deliverResponse(message) ?? false;
  }

  answer(flow: string, target: ResponseTarget): void {
    if (this.#sip === undefined) this.#counters.count('sip_drops', 'unknown-flow');
    else this.#sip.answer(flow, target);
  }

  serveHttp(request: RequestHead, envelope: Envelope, response: ResponseReceiver): RequestReceiver {
    if (this.#http !== undefined) return this.#http.serve(request, envelope, response);
    response.reset('refused');
    return nobody;
  }

  async stop(): Promise<void> {
    await Promise.all([this.#sip?.stop(), this.#http?.stop()]);
  }
}

export function createUpstreamSip(options: UpstreamSipOptions): UpstreamSip {
  return new UpstreamSipSockets(options);
}

/** The HTTP server of an application, in the version of HTTP that it is configured to speak. */
export function createUpstreamHttp(options: UpstreamHttpOptions): UpstreamHttpServer {
  const isHttp2 = options.config.protocol === 'http2';
  return isHttp2 ? new UpstreamHttp2(options) : new UpstreamHttp(options);
}
