import { httpLimits } from '../config/defaults.ts';
import type { ReceivedRequest } from '../http/index.ts';
import type { HttpRemote } from './http-forward.ts';

/** The client shall ask again at another URL. */
export interface HttpRedirect {
  readonly kind: 'redirect';
  /** 301 and 308 are for good, 307 is for now; 307 and 308 keep the method (RFC 9110 section 15.4). */
  readonly status: 301 | 307 | 308;
  /** Absolute; visible ASCII alone, so it can stand in a header as it is. */
  readonly location: string;
}

/**
 * Sends a request in clear text to the same URL under https: for good, and with the method that it has. GET
 * and HEAD get 301, which clients know that are older than 308. Undefined when the request names no host
 * that a URL could have.
 */
export function toHttps(
  request: ReceivedRequest,
  remote: HttpRemote,
  port: number,
): HttpRedirect | undefined {
  const host = hostOf(askedAuthority(request, remote));
  if (host === undefined) return undefined;
  const isSafe = request.method === 'GET' || request.method === 'HEAD';
  const at = port === 443 ? host : `${host}:${port}`;
  const location = `https://${at}${locationTarget(request.target)}`;
  return { kind: 'redirect', status: isSafe ? 301 : 308, location };
}

/**
 * Sends a request to another server for now. 307 and not 302: the method and the body stay, and no cache
 * keeps it when the cluster is back (RFC 9110 section 15.4.8).
 *
 * @param hostPort with port; the ports 80 and 443 decide the scheme, else that of the request stays
 */
export function toOtherHost(
  request: ReceivedRequest,
  remote: HttpRemote,
  hostPort: string,
): HttpRedirect {
  const location = `${urlOrigin(hostPort, isHttps(request, remote))}${locationTarget(request.target)}`;
  return { kind: 'redirect', status: 307, location };
}

function urlOrigin(hostPort: string, isTls: boolean): string {
  const host = hostPort.slice(0, hostPort.lastIndexOf(':'));
  if (hostPort.endsWith(':443')) return `https://${host}`;
  if (hostPort.endsWith(':80')) return `http://${host}`;
  return `${isTls ? 'https' : 'http'}://${hostPort}`;
}

/** Whether the client speaks HTTPS: to this peer, or to a trusted proxy in front. */
export function isHttps(request: ReceivedRequest, remote: HttpRemote): boolean {
  if (remote.isTls) return true;
  return remote.isTrusted && request.headers.get('x-forwarded-proto')?.toLowerCase() === 'https';
}

function askedAuthority(request: ReceivedRequest, remote: HttpRemote): string {
  const stated = remote.isTrusted ? request.headers.get('x-forwarded-host') : undefined;
  return stated ?? request.host;
}

/**
 * Host of an authority without its port, as a URL may have it; undefined when it has none. Stricter than
 * what is forwarded: only letters, digits, `.`, `-`, `_`, `~`, or an IPv6 address in brackets.
 */
export function hostOf(authority: string): string | undefined {
  if (authority.length > httpLimits.locationHostBytesMax) return undefined;
  const match = /^([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?$/.exec(authority);
  return match?.[1];
}

/**
 * The target as it may stand in a URL: `*` asks a server as a whole. What must not stand there is
 * percent-encoded, should a listener ever let it through.
 */
function locationTarget(target: string): string {
  if (target === '*') return '/';
  return target.replace(/[^\x21-\x7e]/gu, (character) => encodeURIComponent(wellFormed(character)));
}

function wellFormed(character: string): string {
  return character.isWellFormed() ? character : '\ufffd';
}
