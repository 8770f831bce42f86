import { httpSessionCookies, httpStickiness } from '../config/defaults.ts';
import {
  HeaderBlock,
  type ReceivedRequest,
  type RequestHead,
  type ResponseHead,
} from '../http/index.ts';
import type { Counters } from './counters.ts';
import type { Envelope, RoutingReason } from './envelope.ts';
import { Candidates, type RoundRobin, servesItsSessions } from './http-candidates.ts';
import { type ContextRoot, ContextRoots } from './http-context-root.ts';
import { endsHere, forwardHead, type HttpRemote } from './http-forward.ts';
import {
  type HeldStamps,
  sessionCookieOf,
  type StampCookieNames,
  StampCookies,
} from './http-stamp-cookies.ts';
import { digestOf, type KeyDeriver } from './key.ts';
import type { Stamper } from './stamp.ts';
import { httpSubject } from './subjects.ts';
import type { ClusterView } from './view.ts';

/** How HTTP is routed and stamped. */
export interface HttpRouting extends StampCookieNames {
  readonly contextRoots: readonly ContextRoot[];
  /** `session`: stamps are set when the response makes a session; `always`: with any response. */
  readonly stampMode: 'session' | 'always';
  /** Cookies that make a session, by name. */
  readonly sessionCookies: readonly string[];
  /** `reject`: a forged stamp answers 403. */
  readonly onInvalidStamp: 'ignore' | 'reject';
  /** Pseudonym in Via; empty writes none. */
  readonly viaName: string;
  readonly retryAfterSeconds: number;
}

/** The defaults of config/defaults.ts, everything pure web. */
export const defaultHttpRouting: HttpRouting = {
  ...httpStickiness,
  contextRoots: [],
  stampMode: 'session',
  sessionCookies: httpSessionCookies,
  onInvalidStamp: 'ignore',
};

/** What the journey reads; `view` and `keys` are asked anew for every request. */
export interface HttpJourneyParts {
  readonly view: () => ClusterView;
  readonly keys: () => KeyDeriver;
  readonly stamper: Stamper;
  readonly counters: Counters;
  readonly routing: HttpRouting;
  readonly roundRobin: RoundRobin;
}

/** A request that has an instance. */
export interface HttpRoute {
  readonly kind: 'route';
  /** Instances to ask, the chosen one first; never empty. */
  readonly candidates: readonly string[];
  readonly reason: RoutingReason;
  /** Empty where no key was needed. */
  readonly keyDigest: string;
  /** Final; the same for every candidate. */
  readonly head: RequestHead;
  readonly held: HeldStamps;
  readonly remote: HttpRemote;
  readonly view: ClusterView;
}

export type HttpDecision =
  | HttpRoute
  /** The key waits for an ENUM answer: decide again when `number` is known. */
  | { readonly kind: 'pending'; readonly number: string }
  /** No instance is left. */
  | { readonly kind: 'unavailable'; readonly retryAfterSeconds: number }
  /** The client brought a forged stamp, and that is refused. */
  | { readonly kind: 'forbidden' }
  /** OPTIONS for this hop alone. */
  | { readonly kind: 'options' };

interface Choice {
  readonly reason: RoutingReason;
  readonly keyDigest: string;
  readonly candidates: readonly string[];
}

/**
 * The journey of an HTTP request: stamp, then rules or rotation, then the head for the application;
 * and on the way back the stamps for the client. Decides alike at every peer with the same view.
 */
export class HttpJourney {
  readonly #parts: HttpJourneyParts;
  readonly #roots: ContextRoots;
  readonly #cookies: StampCookies;
  readonly #sessionCookies: ReadonlySet<string>;
  readonly #candidates = new Candidates();

  constructor(parts: HttpJourneyParts) {
    this.#parts = parts;
    this.#roots = new ContextRoots(parts.routing.contextRoots);
    this.#cookies = new StampCookies(parts.routing, parts.stamper, parts.counters);
    this.#sessionCookies = new Set(parts.routing.sessionCookies);
  }

  /** Told with every 503. */
  get retryAfterSeconds(): number {
    return this.#parts.routing.retryAfterSeconds;
  }

  decide(request: ReceivedRequest, remote: HttpRemote): HttpDecision {
    const { routing, counters } = this.#parts;
    if (endsHere(request)) return { kind: 'options' };
    const view = this.#parts.view();
    const held = this.#cookies.read(request.headers);
    if (held.isForged && routing.onInvalidStamp === 'reject') return { kind: 'forbidden' };
    const choice = this.#bySession(view, held) ?? this.#asInitial(request, remote, view);
    if ('kind' in choice) return choice;
    if (choice.candidates.length === 0) {
      return { kind: 'unavailable', retryAfterSeconds: routing.retryAfterSeconds };
    }
    counters.count('http_routed', choice.reason);
    const head = forwardHead(request, remote, routing.viaName);
    return { kind: 'route', ...choice, head, held, remote, view };
  }

  /** What travels beside the request to this candidate. */
  envelope(route: HttpRoute, instance: string): Envelope {
    return {
      keyDigest: route.keyDigest,
      instance,
      reason: route.reason,
      ringVersion: route.view.ring.version,
      ingressPeer: route.view.self,
      hop: 0,
      transaction: '',
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
    const { held } = route;
    if (held.beroute === instance && held.bekey !== undefined) return HeaderBlock.empty;
    const session = sessionCookieOf(response.headers, this.#sessionCookies);
    const isDue = this.#parts.routing.stampMode === 'always' || session !== undefined;
    // A living instance that was only out of reach keeps its sessions: see docs/http.md.
    const isMoved = route.reason === 'stamp-key' || held.beroute === instance;
    if (!isDue && !isMoved) return HeaderBlock.empty;
    const { address, port, isTls } = route.remote;
    const digest =
      route.keyDigest === '' ? digestOf(session ?? `${address}\n${port}`) : route.keyDigest;
    return this.#cookies.write(digest, instance, isTls);
  }

  /** Stickiness beats the ring; only when the stamped instance is gone does its key choose. */
  #bySession(view: ClusterView, held: HeldStamps): Choice | undefined {
    const { turn } = this.#parts.roundRobin;
    const keyDigest = held.bekey ?? '';
    if (held.beroute !== undefined && servesItsSessions(view, held.beroute)) {
      const candidates = this.#candidates.sticky(view, held.beroute, keyDigest, turn);
      return { reason: 'stamp', keyDigest, candidates };
    }
    if (held.bekey === undefined) return undefined;
    const candidates = this.#candidates.sticky(view, undefined, keyDigest, turn);
    return { reason: 'stamp-key', keyDigest, candidates };
  }

  #asInitial(
    request: ReceivedRequest,
    remote: HttpRemote,
    view: ClusterView,
  ): Choice | { readonly kind: 'pending'; readonly number: string } {
    const keys = this.#parts.keys();
    if (!keys.hasRules || this.#roots.kindOf(request.target) === 'web') {
      const candidates = this.#candidates.next(view, this.#parts.roundRobin);
      return { reason: 'round-robin', keyDigest: '', candidates };
    }
    const key = keys.http(httpSubject(request), remote.address, remote.port);
    if (key.kind === 'pending') return key;
    const candidates = this.#candidates.sticky(view, undefined, key.digest, 0);
    return { reason: key.reason, keyDigest: key.digest, candidates };
  }
}
