import {
  HeaderBlock,
  type ReceivedRequest,
  type RequestHead,
  type ResponseHead,
} from '../http/index.ts';
import type { Counters } from './counters.ts';
import type { Envelope, RoutingReason } from './envelope.ts';
import type { RoundRobin } from './http-candidates.ts';
import { HttpChooser, type PendingChoice, routingReasonOf } from './http-choice.ts';
import { endsHere, forwardHead, hasPassed, type HttpRemote } from './http-forward.ts';
import { type HttpRedirect, isHttps, toHttps, toOtherHost } from './http-redirect.ts';
import type { HttpRouting } from './http-routing.ts';
import { sessionIdSetBy } from './http-session-id.ts';
import { type HeldStamps, sessionCookieOf, StampCookies } from './http-stamp-cookies.ts';
import type { TraceIdSource } from './http-traceparent.ts';
import { digestOf, type KeyDeriver } from './key.ts';
import type { Stamper } from './stamp.ts';
import type { ClusterView } from './view.ts';

export { defaultHttpRouting, type HttpRouting } from './http-routing.ts';

/** What the journey reads; `view` and `keys` are asked anew for every request. */
export interface HttpJourneyParts {
  readonly view: () => ClusterView;
  readonly keys: () => KeyDeriver;
  readonly stamper: Stamper;
  readonly counters: Counters;
  readonly routing: HttpRouting;
  readonly roundRobin: RoundRobin;
  /** Undefined: `traceparent` is left as clients sent it, or did not. */
  readonly newTraceIds?: TraceIdSource;
}

/** A request that has an instance. */
export interface HttpRoute {
  readonly kind: 'route';
  /** Instances to ask, the chosen one first, perhaps the own one behind all that may get it; never empty. */
  readonly candidates: readonly string[];
  readonly reason: RoutingReason;
  /** Empty where no key was needed. */
  readonly keyDigest: string;
  /** The client's session goes on with new stamps: {@link HttpChoice.isRestamped}. */
  readonly isRestamped: boolean;
  /** Final; the same for every candidate. */
  readonly head: RequestHead;
  readonly held: HeldStamps;
  readonly remote: HttpRemote;
  readonly view: ClusterView;
}

/**
 * No instance is left, another server takes the request: dial `host`, send `head` and the body, pass the
 * answer on as that of an instance, but without {@link HttpJourney.responseCookies}. It gets no `proxy-*`
 * marks, and when it fails there is nobody else to ask.
 */
export interface HttpElsewhere {
  readonly kind: 'elsewhere';
  /** `host:port` (IPv6 in brackets), clear-text HTTP/1.1. */
  readonly host: string;
  /** Final. */
  readonly head: RequestHead;
}

export type HttpDecision =
  | HttpRoute
  /** The key waits for an ENUM answer: decide again when `number` is known. */
  | PendingChoice
  /** No instance is left. */
  | { readonly kind: 'unavailable'; readonly retryAfterSeconds: number }
  /** No instance is left, or the listener is there to send clients to HTTPS. */
  | HttpRedirect
  | HttpElsewhere
  /** The client brought a forged stamp, and that is refused. */
  | { readonly kind: 'forbidden' }
  /** 400: the client would have to be sent to HTTPS of a host that it does not name. */
  | { readonly kind: 'bad-request' }
  /** OPTIONS for this hop alone. */
  | { readonly kind: 'options' };

/**
 * The journey of an HTTP request: stamp, then rules or rotation, then the head for the application;
 * and on the way back the stamps for the client. Decides alike at every peer with the same view.
 */
export class HttpJourney {
  readonly #parts: HttpJourneyParts;
  readonly #chooser: HttpChooser;
  readonly #cookies: StampCookies;
  readonly #sessionCookies: ReadonlySet<string>;

  constructor(parts: HttpJourneyParts) {
    const { routing, keys, roundRobin, stamper, counters } = parts;
    this.#parts = parts;
    this.#chooser = new HttpChooser(routing, keys, roundRobin, counters);
    this.#cookies = new StampCookies(routing, stamper, counters);
    this.#sessionCookies = new Set(routing.sessionCookies);
  }

  /** Instances that one request is offered to, the first included. */
  get offersMax(): number {
    return this.#parts.routing.attemptsMax;
  }

  /** Told with every 503. */
  get retryAfterSeconds(): number {
    return this.#parts.routing.retryAfterSeconds;
  }

  decide(request: ReceivedRequest, remote: HttpRemote): HttpDecision {
    const { routing, counters, newTraceIds } = this.#parts;
    if (remote.redirectToHttpsPort !== undefined && !isHttps(request, remote)) {
      return this.#toHttps(request, remote, remote.redirectToHttpsPort);
    }
    if (endsHere(request)) return { kind: 'options' };
    const view = this.#parts.view();
    const cookies = request.headers.all('cookie');
    const held = this.#cookies.read(cookies);
    if (held.isForged && routing.onInvalidStamp === 'reject') return { kind: 'forbidden' };
    const choice = this.#chooser.choose(request, remote, { cookies, held }, view);
    if ('kind' in choice) return choice;
    const { basis, candidates, keyDigest, isRestamped } = choice;
    if (candidates.length === 0) return this.#withoutInstance(request, remote);
    counters.count('http_routed', basis);
    const reason = routingReasonOf(basis);
    const head = forwardHead(request, remote, routing.viaName, newTraceIds);
    return { kind: 'route', candidates, reason, keyDigest, isRestamped, head, held, remote, view };
  }

  /**
   * What is left for a request that all its candidates refused (nothing of it was processed): the decision as
   * if there were no instance. Undefined: nothing, the refusal is answered. `elsewhere` needs the whole body
   * that came so far.
   */
  whenAllRefused(
    request: ReceivedRequest,
    route: HttpRoute,
  ): HttpRedirect | HttpElsewhere | undefined {
    return this.#lastResort(request, route.remote, () => route.head);
  }

  /** What travels beside the request to this candidate. @param isLast nobody may be asked behind it */
  envelope(route: HttpRoute, instance: string, isLast: boolean): Envelope {
    return {
      keyDigest: route.keyDigest,
      instance,
      reason: route.reason,
      ringVersion: route.view.ring.version,
      ingressPeer: route.view.self,
      hop: instance === route.view.self ? 0 : 1,
      transaction: '',
      isLastOffer: isLast && this.#parts.routing.unavailableHost === undefined,
    };
  }

  /**
   * Set-Cookie headers that go with the final response: both stamps, or none. They are written when
   * a session begins (or always, if so configured) and when the session had to move, unless the
   * client holds the same ones already.
   *
   * @param instance who answered
   */
  responseCookies(route: HttpRoute, instance: string, response: ResponseHead): HeaderBlock {
    const { held, keyDigest } = route;
    if (held.beroute === instance && held.bekey !== undefined) return HeaderBlock.empty;
    const session = sessionCookieOf(response.headers, this.#sessionCookies);
    const isDue = this.#parts.routing.stampMode === 'always' || session !== undefined;
    if (!isDue && !isRestampedBy(route, instance)) return HeaderBlock.empty;
    const digest = keyDigest === '' ? sessionDigest(session, route.remote) : keyDigest;
    return this.#cookies.write(digest, instance, route.remote.isTls);
  }

  #toHttps(request: ReceivedRequest, remote: HttpRemote, port: number): HttpDecision {
    const redirect = toHttps(request, remote, port);
    if (redirect === undefined) return { kind: 'bad-request' };
    this.#parts.counters.count('http_redirects', 'https');
    return redirect;
  }

  #withoutInstance(request: ReceivedRequest, remote: HttpRemote): HttpDecision {
    const { routing, newTraceIds } = this.#parts;
    const resort = this.#lastResort(request, remote, () =>
      forwardHead(request, remote, routing.viaName, newTraceIds),
    );
    return resort ?? { kind: 'unavailable', retryAfterSeconds: routing.retryAfterSeconds };
  }

  #lastResort(
    request: ReceivedRequest,
    remote: HttpRemote,
    head: () => RequestHead,
  ): HttpRedirect | HttpElsewhere | undefined {
    const { routing, counters } = this.#parts;
    const { unavailableHost, viaName } = routing;
    if (unavailableHost === undefined) return undefined;
    const { host, mode } = unavailableHost;
    if (mode === 'redirect') {
      counters.count('http_redirects', 'unavailable');
      return toOtherHost(request, remote, host);
    }
    // It came back from there, or from a cluster before this one: it would go round for ever.
    if (hasPassed(request.headers, viaName)) {
      counters.count('http_elsewhere', 'loop');
      return undefined;
    }
    counters.count('http_elsewhere', 'sent');
    return { kind: 'elsewhere', host, head: head() };
  }
}

/** Whether new stamps are due though the response makes no session. @param instance who answered */
function isRestampedBy(route: HttpRoute, instance: string): boolean {
  if (route.held.beroute === instance) return true;
  // A living instance that was only out of reach keeps its sessions: see docs/http.md.
  const keepsIt = route.reason === 'addressed' && instance !== route.candidates[0];
  return route.isRestamped && !keepsIt;
}

/** Key of a session that needed none so far. @param session `name=value` of the cookie that makes it */
function sessionDigest(session: string | undefined, { address, port }: HttpRemote): string {
  if (session === undefined) return digestOf(`${address}\n${port}`);
  // As its id will be read when the stamps get lost.
  return digestOf(sessionIdSetBy(session)?.id ?? session);
}
