import type { RequestHead, RequestReceiver, ResponseReceiver } from '../../http/index.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { Envelope } from '../../pipeline/envelope.ts';
import type { ResponseTarget } from '../../pipeline/return-response.ts';
import type { Application } from './application.ts';
import { nobody } from './upstream-http-exchange.ts';
import type { UpstreamHttp } from './upstream-http.ts';
import { UpstreamSipSockets } from './upstream-sip-sockets.ts';
import type { UpstreamSip, UpstreamSipOptions } from './upstream-sip.ts';

export interface UpstreamParts {
  readonly sip: UpstreamSip | undefined;
  readonly http: UpstreamHttp | undefined;
  readonly counters: Counters;
}

/** An application beside the peer: a SIP server, an HTTP server, or both. */
export class UpstreamApplication implements Application {
  readonly #sip: UpstreamSip | undefined;
  readonly #http: UpstreamHttp | undefined;
  readonly #counters: Counters;

  constructor(parts: UpstreamParts) {
    this.#sip = parts.sip;
    this.#http = parts.http;
    this.#counters = parts.counters;
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
