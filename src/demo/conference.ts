import type {
  ApplicationContext,
  CreateApplication,
  EmbeddedApplication,
  EmbeddedHttpRequest,
  EmbeddedHttpResponse,
  EmbeddedSipRequest,
} from '../io/application/module.ts';
import { Calls } from './calls.ts';
import { demoLimits } from './limits.ts';
import { conferencePage, indexPage, type ConferenceView } from './page.ts';
import { Registrar } from './registrar.ts';
import type { Reply } from './reply.ts';
import { eventPackage, Subscriptions } from './subscriptions.ts';
import { Visitors } from './visitors.ts';
import { realWorld, type DemoWorld } from './world.ts';

/** The session cookie of the demo's pages. */
export const sessionCookie = 'CONFSESSION';

const allow =
  'INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, PRACK, INFO, MESSAGE, REGISTER, SUBSCRIBE';

/** Option tags of RFC 3262 and RFC 3327. */
const supported: ReadonlySet<string> = new Set(['100rel', 'path']);

const sessionPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The demo application: a conference that SIP callers and HTTP visitors meet in. */
export const createApplication: CreateApplication = (context) =>
  createConference(context, realWorld);

/** The same with a clock, timers and identifiers from outside. */
export function createConference(
  context: ApplicationContext,
  world: DemoWorld,
): EmbeddedApplication {
  return new Conference(context, world);
}

class Conference implements EmbeddedApplication {
  readonly sipHeaders: readonly (readonly [name: string, value: string])[];
  readonly #instance: string;
  readonly #world: DemoWorld;
  readonly #calls: Calls;
  readonly #registrar = new Registrar();
  readonly #subscriptions: Subscriptions;
  readonly #visitors = new Visitors();
  #cancelSweep: (() => void) | undefined;

  constructor(context: ApplicationContext, world: DemoWorld) {
    this.#instance = context.instance;
    this.#world = world;
    this.sipHeaders = [['X-Served-By', context.instance]];
    this.#calls = new Calls(world, this.#reply);
    this.#subscriptions = new Subscriptions(world);
  }

  sip(request: EmbeddedSipRequest): void {
    const unsupported = request
      .headers('Require')
      .filter((tag) => !supported.has(tag.toLowerCase()));
    if (request.method === 'ACK') {
      this.#calls.acknowledge(request);
    } else if (unsupported.length > 0) {
      this.#reply(request, { status: 420, headers: [['Unsupported', unsupported.join(', ')]] });
    } else {
      this.#serve(request);
    }
    this.#sweepLater();
  }

  http(request: EmbeddedHttpRequest): EmbeddedHttpResponse {
    const url = URL.parse(`http://conference.invalid${request.target}`);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return this.#text(405, 'Only GET is served here', [['Allow', 'GET, HEAD']]);
    }
    if (url === null) {
      return this.#text(400, 'That is no address of a page');
    }
    switch (url.pathname) {
      case '/':
        return this.#page(200, indexPage(this.#instance));
      case '/conference':
        return this.#conference(request, url.searchParams.get('ConferenceName') ?? '');
      default:
        return this.#text(404, 'There is no such page');
    }
  }

  stop(): void {
    this.#cancelSweep?.();
    this.#calls.stop();
  }

  readonly #reply: Reply = (request, response) => {
    request.respond({ ...response, headers: [...this.sipHeaders, ...(response.headers ?? [])] });
  };

  #serve(request: EmbeddedSipRequest): void {
    switch (request.method) {
      case 'INVITE':
        this.#invite(request);
        break;
      case 'BYE':
        this.#calls.end(request);
        break;
      case 'PRACK':
        this.#calls.acknowledgeProvisional(request);
        break;
      case 'UPDATE':
        this.#calls.update(request);
        break;
      case 'REGISTER':
        this.#reply(request, this.#registrar.register(request, this.#world.now()));
        break;
      case 'SUBSCRIBE':
        this.#reply(request, this.#subscriptions.subscribe(request));
        break;
      case 'INFO':
        this.#reply(request, { status: this.#calls.has(request) ? 200 : 481 });
        break;
      case 'MESSAGE':
        this.#reply(request, { status: this.#isOfUnknownDialog(request) ? 481 : 200 });
        break;
      case 'OPTIONS':
        this.#options(request);
        break;
      default:
        this.#reply(request, { status: 405, headers: [['Allow', allow]] });
    }
  }

  #invite(request: EmbeddedSipRequest): void {
    const contentType = (request.header('Content-Type') ?? '').split(';')[0]!.trim();
    if (request.body.length > 0 && contentType.toLowerCase() !== 'application/sdp') {
      this.#reply(request, { status: 415, headers: [['Accept', 'application/sdp']] });
    } else if (request.toTag !== undefined) {
      this.#calls.refresh(request);
    } else if (request.user === 'busy') {
      this.#reply(request, { status: 486 });
    } else {
      this.#calls.begin(request, conferenceOf(request));
    }
  }

  #options(request: EmbeddedSipRequest): void {
    if (this.#isOfUnknownDialog(request)) {
      this.#reply(request, { status: 481 });
      return;
    }
    this.#reply(request, {
      status: 200,
      headers: [
        ['Allow', allow],
        ['Accept', 'application/sdp'],
        ['Supported', [...supported].join(', ')],
        ['Allow-Events', eventPackage],
      ],
    });
  }

  #isOfUnknownDialog(request: EmbeddedSipRequest): boolean {
    return request.toTag !== undefined && !this.#calls.has(request);
  }

  #conference(request: EmbeddedHttpRequest, name: string): EmbeddedHttpResponse {
    const conference = tidyName(name);
    if (conference === '') {
      return this.#text(400, 'Which conference? Add ?ConferenceName=42');
    }
    const known = request.cookie(sessionCookie) ?? '';
    const isKnown = sessionPattern.test(known);
    const you = isKnown ? known : this.#world.newId();
    this.#visitors.visit(conference, you, this.#world.now());
    this.#sweepLater();
    const view: ConferenceView = {
      conference,
      instance: this.#instance,
      participants: this.#calls.participants(conference),
      visitors: this.#visitors.count(conference),
      you,
    };
    const cookie = `${sessionCookie}=${you}; Path=/; HttpOnly; SameSite=Lax`;
    const headers: [string, string][] = isKnown ? [] : [['Set-Cookie', cookie]];
    return (request.header('Accept') ?? '').includes('application/json')
      ? this.#answer(200, 'application/json', `${JSON.stringify(view)}\n`, headers)
      : this.#page(200, conferencePage(view), headers);
  }

  #page(status: number, html: string, headers: [string, string][] = []): EmbeddedHttpResponse {
    return this.#answer(status, 'text/html; charset=utf-8', html, [
      ...headers,
      // The page runs no script and loads nothing, whatever a caller wrote into a header.
      ['Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'"],
    ]);
  }

  #text(status: number, text: string, headers: [string, string][] = []): EmbeddedHttpResponse {
    return this.#answer(status, 'text/plain; charset=utf-8', `${text}\n`, headers);
  }

  #answer(
    status: number,
    contentType: string,
    body: string,
    headers: [string, string][],
  ): EmbeddedHttpResponse {
    return {
      status,
      headers: [
        ['X-Served-By', this.#instance],
        ['Content-Type', contentType],
        ['Cache-Control', 'no-store'],
        ['Vary', 'Accept, Cookie'],
        ...headers,
      ],
      body,
    };
  }

  /** One timer looks for what is over, as long as there is anything. */
  #sweepLater(): void {
    const kept =
      this.#calls.size + this.#registrar.size + this.#subscriptions.size + this.#visitors.size;
    if (kept === 0 || this.#cancelSweep !== undefined) {
      return;
    }
    this.#cancelSweep = this.#world.schedule(demoLimits.sweepMs, () => {
      this.#cancelSweep = undefined;
      const now = this.#world.now();
      this.#calls.sweep(now);
      this.#registrar.sweep(now);
      this.#subscriptions.sweep(now);
      this.#visitors.sweep(now);
      this.#sweepLater();
    });
  }
}

/** Header ConferenceName first, else the user part of the Request-URI. */
function conferenceOf(request: EmbeddedSipRequest): string {
  return tidyName(request.header('ConferenceName') ?? request.user) || 'lobby';
}

function tidyName(name: string): string {
  return name.trim().slice(0, demoLimits.nameCharactersMax);
}
