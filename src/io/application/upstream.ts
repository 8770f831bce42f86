import type { RequestHead, RequestReceiver, ResponseReceiver } from '../../http/index.ts';
import type { Envelope } from '../../pipeline/envelope.ts';
import type { Application } from './application.ts';
import type { UpstreamHttp } from './upstream-http.ts';
import { UpstreamSipTcp } from './upstream-sip-tcp.ts';
import { UpstreamSipUdp } from './upstream-sip-udp.ts';
import type { UpstreamSip, UpstreamSipOptions } from './upstream-sip.ts';

/** Takes the body of a request that nobody serves. */
const nobody: RequestReceiver = {
  data: () => undefined,
  end: () => undefined,
  reset: () => undefined,
  pause: () => undefined,
  resume: () => undefined,
};

/** An application beside the peer: a SIP server, an HTTP server, or both. */
export class UpstreamApplication implements Application {
  readonly #sip: UpstreamSip | undefined;
  readonly #http: UpstreamHttp | undefined;

  constructor(parts: { sip: UpstreamSip | undefined; http: UpstreamHttp | undefined }) {
    this.#sip = parts.sip;
    this.#http = parts.http;
  }

  async start(): Promise<void> {
    await this.#sip?.start();
  }

  deliverSip(message: Buffer): boolean {
    return this.#sip?.deliver(message) ?? false;
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
  return options.transport === 'udp' ? new UpstreamSipUdp(options) : new UpstreamSipTcp(options);
}
