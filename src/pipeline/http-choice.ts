import type { ReceivedRequest } from '../http/index.ts';
import type { Counters } from './counters.ts';
import type { RoutingReason } from './envelope.ts';
import { affinityKeyOf } from './http-affinity.ts';
import { Candidates, type RoundRobin, servesItsSessions } from './http-candidates.ts';
import { ContextRoots } from './http-context-root.ts';
import type { HttpRemote } from './http-forward.ts';
import type { HttpRouting } from './http-routing.ts';
import { type SessionId, SessionIds } from './http-session-id.ts';
import type { HeldStamps } from './http-stamp-cookies.ts';
import { digestOf, type KeyDeriver } from './key.ts';
import { httpSubject } from './subjects.ts';
import type { ClusterView } from './view.ts';

/** What chose the instance, in the order in which it is asked; counted as `http_routed`. */
export type HttpBasis =
  /** `BEROUTE` of a living instance. */
  | 'stamp'
  /** The jvmRoute of a living instance, in a session id. */
  | 'jvm-route'
  /** `BEKEY`: its instance is gone. */
  | 'stamp-key'
  /** A URL parameter. */
  | 'affinity-key'
  | 'rule'
  | 'plugin'
  /** A session id whose route names nobody. */
  | 'session-id'
  /** Remote host and port. */
  | 'fallback'
  | 'round-robin';

/** The same in the words that travel over the link, which SIP has too. */
export function routingReasonOf(basis: HttpBasis): RoutingReason {
  switch (basis) {
    case 'jvm-route':
      return 'addressed';
    case 'affinity-key':
      return 'rule';
    case 'session-id':
      return 'fallback';
    default:
      return basis;
  }
}

export interface HttpChoice {
  readonly basis: HttpBasis;
  /** Empty where no key was needed. */
  readonly keyDigest: string;
  /** Instances to ask, the chosen one first; may be empty. */
  readonly candidates: readonly string[];
  /** The client's session goes on, but its stamps are missing, not whole, or name who is gone. */
  readonly isRestamped: boolean;
}

/** What a client's cookies hold of a session. */
export interface BroughtCookies {
  /** Values of Cookie headers. */
  readonly cookies: readonly string[];
  readonly held: HeldStamps;
}

/** The key waits for an ENUM answer. */
export interface PendingChoice {
  readonly kind: 'pending';
  readonly number: string;
}

/**
 * Chooses the instances for a request. Decides alike at every peer with the same view, the rotation and the
 * own instance behind all others apart.
 *
 * A jvmRoute goes before `BEKEY`: it says who has the session, `BEKEY` only who should have it when nobody
 * has. Rules go before a session id without living route: they are what SIP goes by, and the id may be
 * that of another application of the same host, for cookies do not know ports.
 */
export class HttpChooser {
  readonly #routing: HttpRouting;
  readonly #keys: () => KeyDeriver;
  readonly #roundRobin: RoundRobin;
  readonly #roots: ContextRoots;
  readonly #candidates: Candidates;
  readonly #sessionIds: SessionIds;

  constructor(
    routing: HttpRouting,
    keys: () => KeyDeriver,
    roundRobin: RoundRobin,
    counters: Counters,
  ) {
    this.#routing = routing;
    this.#keys = keys;
    this.#roundRobin = roundRobin;
    this.#roots = new ContextRoots(routing.contextRoots);
    this.#candidates = new Candidates(routing.attemptsMax);
    this.#sessionIds = new SessionIds(counters);
  }

  choose(
    request: ReceivedRequest,
    remote: HttpRemote,
    { cookies, held }: BroughtCookies,
    view: ClusterView,
  ): HttpChoice | PendingChoice {
    const { beroute, bekey } = held;
    // Stickiness beats the ring; only when the stamped instance is gone anything else is looked at.
    if (beroute !== undefined && servesItsSessions(view, beroute)) {
      return this.#sticky('stamp', view, beroute, bekey ?? '', false);
    }
    const ids = this.#sessionIds.of(request.target, cookies);
    const addressed = ids.length === 0 ? undefined : firstUsable(ids, view);
    const affinityKey = affinityKeyOf(request.target, this.#routing.affinityKeys);
    if (addressed !== undefined) {
      const digest = bekey ?? digestOf(affinityKey ?? addressed.id);
      const isStale = beroute !== undefined || bekey !== undefined;
      const instance = view.jvmRoutes.get(addressed.route);
      return this.#sticky('jvm-route', view, instance, digest, isStale);
    }
    if (bekey !== undefined) return this.#sticky('stamp-key', view, undefined, bekey, true);
    const isStale = beroute !== undefined;
    if (affinityKey !== undefined) {
      return this.#begun('affinity-key', view, digestOf(affinityKey), isStale);
    }
    return this.#asInitial(request, remote, view, ids[0], isStale);
  }

  #asInitial(
    request: ReceivedRequest,
    remote: HttpRemote,
    view: ClusterView,
    sessionId: SessionId | undefined,
    isStale: boolean,
  ): HttpChoice | PendingChoice {
    const keys = this.#keys();
    const hasRules = keys.hasRules && this.#roots.kindOf(request.target) === 'converged';
    const key = hasRules ? keys.http(httpSubject(request), remote.address, remote.port) : undefined;
    if (key?.kind === 'pending') return key;
    if (key !== undefined && key.reason !== 'fallback') {
      return this.#begun(key.reason, view, key.digest, isStale);
    }
    if (sessionId !== undefined) {
      return this.#sticky('session-id', view, undefined, digestOf(sessionId.id), true);
    }
    if (key !== undefined) return this.#begun('fallback', view, key.digest, isStale);
    const candidates = this.#candidates.next(view, this.#roundRobin);
    return { basis: 'round-robin', keyDigest: '', candidates, isRestamped: isStale };
  }

  #begun(basis: HttpBasis, view: ClusterView, keyDigest: string, isRestamped: boolean): HttpChoice {
    const candidates = this.#candidates.byKey(view, keyDigest);
    return { basis, keyDigest, candidates, isRestamped };
  }

  /** @param first undefined: the owner of the digest */
  #sticky(
    basis: HttpBasis,
    view: ClusterView,
    first: string | undefined,
    keyDigest: string,
    isRestamped: boolean,
  ): HttpChoice {
    const { turn } = this.#roundRobin;
    const candidates = this.#candidates.sticky(view, first, keyDigest, turn);
    return { basis, keyDigest, candidates, isRestamped };
  }
}

/** The first whose route names an instance that serves its sessions. */
function firstUsable(ids: readonly SessionId[], view: ClusterView): SessionId | undefined {
  for (const id of ids) if (view.jvmRoutes.has(id.route)) return id;
  return undefined;
}
