import { httpLimits } from '../config/defaults.ts';
import { cookieValues, HeaderBlock, parseSetCookie } from '../http/index.ts';
import type { Counters } from './counters.ts';
import type { Stamper } from './stamp.ts';

/** How stamps stand in cookies. */
export interface StampCookieNames {
  readonly bekeyCookie: string;
  readonly berouteCookie: string;
  /** Written behind each value, without a leading semicolon. */
  readonly cookieAttributes: string;
}

/** The attributes of RFC 6265 section 4.1.2 that both stamp cookies get. */
export interface CookieAttributes {
  readonly path: string;
  readonly domain?: string;
  /** Left out: the cookies end with the browser. */
  readonly maxAgeSeconds?: number;
  readonly secure: boolean;
  readonly sameSite: 'Lax' | 'Strict' | 'None';
}

/** The same as they are written; always HttpOnly. */
export function cookieAttributes(options: CookieAttributes): string {
  const domain = options.domain === undefined ? '' : `; Domain=${options.domain}`;
  const maxAge = options.maxAgeSeconds === undefined ? '' : `; Max-Age=${options.maxAgeSeconds}`;
  const secure = options.secure ? '; Secure' : '';
  return `Path=${options.path}${domain}${maxAge}; HttpOnly; SameSite=${options.sameSite}${secure}`;
}

/** The valid stamps that a client brought. */
export interface HeldStamps {
  /** Key digest. */
  readonly bekey: string | undefined;
  /** Instance name. */
  readonly beroute: string | undefined;
  /** Some stamp cookie was not ours. */
  readonly isForged: boolean;
}

const noStamps: HeldStamps = { bekey: undefined, beroute: undefined, isForged: false };

/** Reads and writes the two stamps of an HTTP session: `<value>.<keyId>.<mac>` each. */
export class StampCookies {
  readonly #names: StampCookieNames;
  readonly #stamper: Stamper;
  readonly #counters: Counters;

  constructor(names: StampCookieNames, stamper: Stamper, counters: Counters) {
    this.#names = names;
    this.#stamper = stamper;
    this.#counters = counters;
  }

  /**
   * The first valid one of each name counts; invalid ones are counted and otherwise overlooked.
   *
   * @param cookies values of Cookie headers
   */
  read(cookies: readonly string[]): HeldStamps {
    if (cookies.length === 0) return noStamps;
    const bekey = this.#first(cookies, 'bekey', this.#names.bekeyCookie);
    const beroute = this.#first(cookies, 'beroute', this.#names.berouteCookie);
    return {
      bekey: bekey.value,
      beroute: beroute.value,
      isForged: bekey.isForged || beroute.isForged,
    };
  }

  /** Both stamps as Set-Cookie headers. */
  write(bekey: string, beroute: string, isTls: boolean): HeaderBlock {
    return HeaderBlock.of([
      this.#setCookie('bekey', this.#names.bekeyCookie, bekey, isTls),
      this.#setCookie('beroute', this.#names.berouteCookie, beroute, isTls),
    ]);
  }

  #first(
    cookies: readonly string[],
    kind: 'bekey' | 'beroute',
    name: string,
  ): { value: string | undefined; isForged: boolean } {
    let isForged = false;
    for (const text of cookieValues(cookies, name, httpLimits.stampCookiesMax)) {
      const value = this.#verified(kind, text);
      if (value !== undefined) return { value, isForged };
      this.#counters.count('stamps_invalid', kind);
      isForged = true;
    }
    return { value: undefined, isForged };
  }

  #verified(kind: 'bekey' | 'beroute', text: string): string | undefined {
    if (text.length > httpLimits.stampCookieBytesMax) return undefined;
    const macDot = text.lastIndexOf('.');
    const keyDot = text.lastIndexOf('.', macDot - 1);
    if (macDot < 0 || keyDot < 1) return undefined;
    const value = decoded(text.slice(0, keyDot));
    if (value === undefined) return undefined;
    return this.#stamper.verify(kind, value, text.slice(keyDot + 1)) ? value : undefined;
  }

  #setCookie(
    kind: 'bekey' | 'beroute',
    name: string,
    value: string,
    isTls: boolean,
  ): readonly [string, string] {
    const signed = `${encodeURIComponent(value)}.${this.#stamper.sign(kind, value)}`;
    const { cookieAttributes: attributes } = this.#names;
    const secure = isTls && !attributes.endsWith('; Secure') ? '; Secure' : '';
    return ['Set-Cookie', `${name}=${signed}; ${attributes}${secure}`];
  }
}

/** Undoes the escapes that a value may need to be a cookie's; undefined when they are broken. */
function decoded(text: string): string | undefined {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/**
 * The session cookie that a response sets, as `name=value`: undefined when it makes no session.
 *
 * @param names session cookies by name
 */
export function sessionCookieOf(
  headers: HeaderBlock,
  names: ReadonlySet<string>,
): string | undefined {
  for (const value of headers.all('set-cookie')) {
    const cookie = parseSetCookie(value);
    // An empty value takes the session away.
    if (cookie !== undefined && cookie[1] !== '' && names.has(cookie[0])) {
      return `${cookie[0]}=${cookie[1]}`;
    }
  }
  return undefined;
}
