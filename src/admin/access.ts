import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isLoopback } from '../config/address.ts';

/** Why a request is refused. */
export interface Refusal {
  readonly status: 401 | 403;
  readonly message: string;
}

/**
 * Decides who may use the admin server. Without a token only requests that name a loopback address
 * or the configured one are served: a web page whose name was made to resolve to loopback (DNS
 * rebinding) sends its own name in Host. A page of another origin is refused in either case.
 */
export class Access {
  readonly #address: string;
  readonly #tokenDigest: Buffer | undefined;

  constructor(address: string, token: string | undefined) {
    this.#address = address;
    this.#tokenDigest = token === undefined ? undefined : digest(token);
  }

  /** Undefined when the request may be served. */
  refuse(request: IncomingMessage): Refusal | undefined {
    const { host, origin, authorization } = request.headers;
    if (origin !== undefined && !isSameOrigin(origin, host))
      return { status: 403, message: 'requests of other sites are not served' };
    if (this.#tokenDigest === undefined) {
      if (this.#isOurs(hostOfHeader(host))) return undefined;
      return { status: 403, message: 'the Host header names another host' };
    }
    const given = /^Bearer +(\S+)$/iu.exec(authorization ?? '')?.[1];
    if (given !== undefined && timingSafeEqual(digest(given), this.#tokenDigest)) return undefined;
    return { status: 401, message: 'a bearer token is needed' };
  }

  #isOurs(host: string | undefined): boolean {
    return host !== undefined && (isLoopback(host) || host === this.#address);
  }
}

/** Digests have one length, so that comparing them tells nothing about the token's. */
function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function hostOfHeader(header: string | undefined): string | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::\d+)?$/u.exec(header ?? '');
  return match?.[1] ?? match?.[2];
}

function isSameOrigin(origin: string, host: string | undefined): boolean {
  return host !== undefined && origin.toLowerCase() === `http://${host.toLowerCase()}`;
}
