import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { applicationLimits } from '../../config/defaults.ts';
import type { RequestHead, RequestReceiver, ResponseReceiver } from '../../http/index.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { Envelope } from '../../pipeline/envelope.ts';
import type { Application, ApplicationOutlet } from './application.ts';
import { EmbeddedExchange, type HttpHandler } from './embedded-http.ts';
import { EmbeddedSip } from './embedded-sip.ts';
import type {
  ApplicationContext,
  CreateApplication,
  EmbeddedApplication,
  EmbeddedHttpResponse,
} from './module.ts';

export interface EmbeddedApplicationHostOptions {
  /** Name of the instance that the module serves. */
  readonly instance: string;
  /** Path of a module that exports `createApplication`, or that function itself. */
  readonly module: string | CreateApplication;
  readonly outlet: ApplicationOutlet;
  /** Gets `application_sip` and `application_http`. */
  readonly counters: Counters;
  readonly log: ApplicationContext['log'];
  /** Milliseconds that never run backwards. */
  readonly clock: { now(): number };
  /** Calls back once at `atMs` of the clock; returns how to cancel that. */
  readonly schedule: (atMs: number, callback: () => void) => () => void;
  /** Makes a To tag. Default: 64 random bits. */
  readonly newTag?: () => string;
}

/** An application that lives in the peer's process: a module behind transactions and HTTP framing. */
export class EmbeddedApplicationHost implements Application {
  readonly #options: EmbeddedApplicationHostOptions;
  readonly #exchanges = new Set<EmbeddedExchange>();
  #application: EmbeddedApplication | undefined;
  #sip: EmbeddedSip | undefined;

  constructor(options: EmbeddedApplicationHostOptions) {
    this.#options = options;
  }

  get exchanges(): number {
    return this.#exchanges.size;
  }

  /** Rejects when the module cannot be loaded or makes no application. */
  async start(): Promise<void> {
    const { instance, module, log, outlet, counters, clock, schedule, newTag } = this.#options;
    const create = typeof module === 'string' ? await loadModule(module) : module;
    const application = await create({ instance, log });
    this.#application = application;
    this.#sip = new EmbeddedSip({
      application,
      outlet,
      counters,
      log,
      schedule,
      now: () => clock.now(),
      newTag: newTag ?? (() => randomBytes(8).toString('hex')),
    });
  }

  deliverSip(message: Buffer): boolean {
    if (this.#sip === undefined) {
      return false;
    }
    this.#sip.deliver(message);
    return true;
  }

  /** An embedded application sends no requests, so that no response can be for it. */
  deliverResponse(): boolean {
    return false;
  }

  answer(): void {
    this.#options.counters.count('sip_drops', 'unknown-flow');
  }

  serveHttp(
    request: RequestHead,
    _envelope: Envelope,
    response: ResponseReceiver,
  ): RequestReceiver {
    const exchange: EmbeddedExchange = new EmbeddedExchange(request, response, this.#handler(), {
      failed: (error) => {
        this.#failed(request, error);
      },
      overrun: () => {
        this.#count('body-limit');
      },
      ended: () => {
        this.#exchanges.delete(exchange);
      },
    });
    this.#exchanges.add(exchange);
    return exchange;
  }

  /** Breaks what is still running; a peer that drains has waited before. */
  async stop(): Promise<void> {
    const application = this.#application;
    this.#application = undefined;
    this.#sip?.stop();
    this.#sip = undefined;
    for (const exchange of [...this.#exchanges]) {
      exchange.break();
    }
    await application?.stop?.();
  }

  /** Undefined while the application does not run. */
  #handler(): HttpHandler | undefined {
    const application = this.#application;
    if (application === undefined) {
      return undefined;
    }
    if (this.#exchanges.size >= applicationLimits.httpExchangesMax) {
      this.#count('exchange-limit');
      return () => plainResponse(503, 'Too many requests at once', [['Retry-After', '1']]);
    }
    if (application.http === undefined) {
      return () => plainResponse(404, 'Not Found');
    }
    return (request) => application.http!(request);
  }

  #failed(request: RequestHead, error: unknown): void {
    this.#count('handler-error');
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#options.log('error', `the application failed on HTTP ${request.method}: ${text}`);
  }

  #count(reason: string): void {
    this.#options.counters.count('application_http', reason);
  }
}

function plainResponse(
  status: number,
  text: string,
  headers: EmbeddedHttpResponse['headers'] = [],
): EmbeddedHttpResponse {
  return {
    status,
    headers: [['Content-Type', 'text/plain; charset=utf-8'], ...headers],
    body: `${text}\n`,
  };
}

async function loadModule(path: string): Promise<CreateApplication> {
  const url = pathToFileURL(resolve(path)).href;
  let loaded: unknown;
  try {
    loaded = await import(url);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`The application module ${path} cannot be loaded: ${reason}`, { cause });
  }
  const create: unknown =
    typeof loaded === 'object' && loaded !== null && 'createApplication' in loaded
      ? loaded.createApplication
      : undefined;
  if (typeof create !== 'function') {
    throw new Error(`The application module ${path} exports no function createApplication`);
  }
  return create as CreateApplication;
}
