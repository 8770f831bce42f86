import { formatHostPort, isReachedBy, parseHostPort } from './address.ts';
import type { CookieConfig, HttpListenerConfig } from './config.ts';
import type { Fault, KeyPath } from './problem.ts';
import { valueFault } from './problem.ts';
import { repeats } from './repeats.ts';
import type { Settings } from './schema.ts';
import { serverTlsFaults } from './tls-relations.ts';

/** What contradicts below `http`, and between it and the application's HTTP server. */
export function httpFaults(settings: Settings): Fault[] {
  const { http } = settings;
  return [
    ...http.listeners.flatMap((listener, at) => listenerFaults(listener, at)),
    ...repeatFaults(settings),
    ...cookieFaults(http.cookies),
    ...unavailableHostFaults(settings),
    ...serverFaults(settings),
  ];
}

function listenerFaults(listener: HttpListenerConfig, at: number): Fault[] {
  const path: KeyPath = ['http', 'listeners', at];
  const { tls, port, redirectToHttpsPort } = listener;
  const faults = tls === undefined ? [] : serverTlsFaults(tls, [...path, 'tls']);
  if (redirectToHttpsPort === undefined) return faults;
  if (tls !== undefined)
    faults.push({
      path: [...path, 'redirectToHttpsPort'],
      at: 'key',
      message: 'a listener with tls is HTTPS already: whom it redirects would come back to it',
      remedy: 'leave redirectToHttpsPort out, or put it on a listener without tls',
    });
  else if (redirectToHttpsPort === port)
    faults.push(
      valueFault(
        [...path, 'redirectToHttpsPort'],
        `port ${port} is this listener itself, which does not speak TLS`,
        'write the port of HTTPS as clients see it',
      ),
    );
  return faults;
}

function repeatFaults({ http }: Settings): Fault[] {
  const roots = repeats(http.contextRoots.map((root) => root.path)).map((at) =>
    valueFault(
      ['http', 'contextRoots', at, 'path'],
      `the context root ${http.contextRoots[at]!.path} is listed twice`,
      'leave one of them out',
    ),
  );
  const keys = repeats(http.affinityKeys).map((at) =>
    valueFault(
      ['http', 'affinityKeys', at],
      `the URL parameter ${http.affinityKeys[at]!} is listed twice`,
      'leave one of them out',
    ),
  );
  return [...roots, ...keys];
}

function cookieFaults(cookies: CookieConfig): Fault[] {
  const faults: Fault[] = [];
  const { bekey, beroute, sessionCookies } = cookies;
  if (cookies.sameSite === 'None' && !cookies.secure)
    faults.push(
      valueFault(
        ['http', 'cookies', 'sameSite'],
        'browsers refuse cookies with SameSite=None that are not Secure',
        'set http.cookies.secure: true or choose Lax',
      ),
    );
  if (bekey === beroute || sessionCookies.includes(beroute))
    faults.push(sameName(cookies, 'beroute'));
  if (sessionCookies.includes(bekey)) faults.push(sameName(cookies, 'bekey'));
  return [...faults, ...prefixFaults(cookies, 'bekey'), ...prefixFaults(cookies, 'beroute')];
}

function sameName(cookies: CookieConfig, key: 'bekey' | 'beroute'): Fault {
  return valueFault(
    ['http', 'cookies', key],
    `two cookies would have the name ${cookies[key]}`,
    'give bekey, beroute and the session cookies different names',
  );
}

/** What the begin of a cookie's name promises, browsers enforce (RFC 6265bis section 4.1.3), whatever its case. */
function prefixFaults(cookies: CookieConfig, key: 'bekey' | 'beroute'): Fault[] {
  const name = cookies[key].toLowerCase();
  const isHost = name.startsWith('__host-');
  if (!isHost && !name.startsWith('__secure-')) return [];
  const isBound = cookies.path === '/' && cookies.domain === undefined;
  if (cookies.secure && (isBound || !isHost)) return [];
  const needs = isHost ? 'secure: true, path: / and no domain' : 'secure: true';
  return [
    valueFault(
      ['http', 'cookies', key],
      `browsers refuse a cookie of the name ${cookies[key]} without ${needs}`,
      `set http.cookies to ${needs}, or choose another name`,
    ),
  ];
}

function unavailableHostFaults({ http }: Settings): Fault[] {
  const server = http.unavailableHost && parseHostPort(http.unavailableHost.host);
  if (server === undefined || !http.listeners.some((listen) => isReachedBy(listen, server)))
    return [];
  return [
    valueFault(
      ['http', 'unavailableHost', 'host'],
      `${formatHostPort(server.host, server.port)} is this peer itself, which has no instance then`,
      'write the address of another server',
    ),
  ];
}

function serverFaults({ application }: Settings): Fault[] {
  const server = application.kind === 'upstream' ? application.http : undefined;
  if (server === undefined || server.ejection.baseMs <= server.ejection.maxMs) return [];
  return [
    valueFault(
      ['application', 'http', 'ejection', 'baseMs'],
      `the first pause of ${server.ejection.baseMs} ms is longer than the longest one of ${server.ejection.maxMs} ms`,
      'set baseMs to no more than maxMs',
    ),
  ];
}
