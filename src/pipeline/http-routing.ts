import { httpDefaults, httpSessionCookies, httpStickiness } from '../config/defaults.ts';
import type { ContextRoot } from './http-context-root.ts';
import {
  type CookieAttributes,
  cookieAttributes,
  type StampCookieNames,
} from './http-stamp-cookies.ts';

/** Where requests go when no instance is left. */
export interface UnavailableHost {
  /** `host:port` of an HTTP server. */
  readonly host: string;
  readonly mode: 'redirect' | 'proxy';
}

/** How HTTP is routed and stamped. */
export interface HttpRouting extends StampCookieNames {
  readonly contextRoots: readonly ContextRoot[];
  /** URL parameters whose value is the key, the first that is there. */
  readonly affinityKeys: readonly string[];
  /** Instances that one request is offered to, the first included. */
  readonly attemptsMax: number;
  /** `session`: stamps are set when the response makes a session; `always`: with any response. */
  readonly stampMode: 'session' | 'always';
  /** Cookies that make a session, by name. */
  readonly sessionCookies: readonly string[];
  /** `reject`: a forged stamp answers 403. */
  readonly onInvalidStamp: 'ignore' | 'reject';
  /** Pseudonym in Via; empty writes none. */
  readonly viaName: string;
  readonly retryAfterSeconds: number;
  readonly unavailableHost?: UnavailableHost;
}

/** The defaults of config/defaults.ts, everything pure web. */
export const defaultHttpRouting: HttpRouting = {
  ...httpStickiness,
  contextRoots: [],
  affinityKeys: [],
  attemptsMax: httpDefaults.attemptsMax,
  stampMode: 'session',
  sessionCookies: httpSessionCookies,
  onInvalidStamp: 'ignore',
};

/** What of the configuration's `http` routing is made of. */
export interface HttpRoutingSettings {
  readonly contextRoots: readonly ContextRoot[];
  readonly affinityKeys: readonly string[];
  readonly cookies: CookieAttributes & {
    readonly bekey: string;
    readonly beroute: string;
    readonly issue: HttpRouting['stampMode'];
    readonly sessionCookies: readonly string[];
  };
  readonly retries: { readonly attemptsMax: number };
  readonly unavailableHost?: UnavailableHost;
}

/** As the configuration says. @param onInvalidStamp of `stamps` */
export function httpRoutingOf(
  http: HttpRoutingSettings,
  onInvalidStamp: HttpRouting['onInvalidStamp'],
): HttpRouting {
  const { cookies, contextRoots, affinityKeys, retries, unavailableHost } = http;
  return {
    ...defaultHttpRouting,
    bekeyCookie: cookies.bekey,
    berouteCookie: cookies.beroute,
    cookieAttributes: cookieAttributes(cookies),
    contextRoots,
    affinityKeys,
    attemptsMax: retries.attemptsMax,
    stampMode: cookies.issue,
    sessionCookies: cookies.sessionCookies,
    onInvalidStamp,
    ...(unavailableHost === undefined ? {} : { unavailableHost }),
  };
}
