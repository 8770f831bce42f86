import { httpLimits } from '../config/defaults.ts';
import { parseSetCookie } from '../http/index.ts';
import type { Counters } from './counters.ts';

/** A servlet container's session id, as a client brought it. Unsigned: any client can make one up. */
export interface SessionId {
  /** Without the route; never empty. */
  readonly id: string;
  /** What stands behind the last dot; empty where there is none. */
  readonly route: string;
}

const name = 'jsessionid';
const none: readonly SessionId[] = [];

/**
 * Finds session ids: in cookies `JSESSIONID` (in any case), in the path (`;jsessionid=…`), in the query
 * (`?jsessionid=…`), in this order, because a servlet container that got several goes by the cookie.
 * Browsers send the cookie of the longest path first (RFC 6265 section 5.4).
 */
export class SessionIds {
  readonly #counters: Counters;

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /**
   * At most `httpLimits.sessionIdsMax`; further and too long ones are counted and overlooked.
   *
   * @param target origin-form
   * @param cookies values of Cookie headers
   */
  of(target: string, cookies: readonly string[]): readonly SessionId[] {
    const first = target.indexOf(name);
    if (first < 0 && cookies.length === 0) return none;
    const texts: string[] = [];
    for (const line of cookies) addOfCookies(line, texts);
    if (first >= 0) addOfTarget(target, first, texts);
    return texts.length === 0 ? none : this.#parsed(texts);
  }

  #parsed(texts: readonly string[]): readonly SessionId[] {
    const found: SessionId[] = [];
    let lookedAt = 0;
    for (const text of texts) {
      if (lookedAt >= httpLimits.sessionIdsMax || text.length > httpLimits.sessionIdBytesMax) {
        this.#counters.count('http_overlooked', 'session-id');
        continue;
      }
      // Counts also where it turns out to be none: to see that costs most.
      lookedAt++;
      const sessionId = parseSessionId(text);
      if (sessionId !== undefined) found.push(sessionId);
    }
    return found;
  }
}

/** Undefined for a text that is no session id: empty, a dot alone, broken percent-encoding. */
export function parseSessionId(text: string): SessionId | undefined {
  const decoded = text.includes('%') ? percentDecoded(text) : text;
  if (decoded === undefined || decoded === '' || decoded === '.') return undefined;
  const dot = decoded.lastIndexOf('.');
  // A dot that is the first character is part of the id: a route never stands alone.
  if (dot < 1) return { id: decoded, route: '' };
  return { id: decoded.slice(0, dot), route: decoded.slice(dot + 1) };
}

/** The session id that a Set-Cookie gives, as {@link SessionIds} would find it in the next request. */
export function sessionIdSetBy(setCookie: string): SessionId | undefined {
  const cookie = parseSetCookie(setCookie);
  if (cookie?.[0].toLowerCase() !== name) return undefined;
  return cookie[1].length > httpLimits.sessionIdBytesMax ? undefined : parseSessionId(cookie[1]);
}

function addOfCookies(line: string, texts: string[]): void {
  for (let at = 0; at < line.length;) {
    const semicolon = line.indexOf(';', at);
    const end = semicolon < 0 ? line.length : semicolon;
    while (at < end && isBlank(line.charCodeAt(at))) at++;
    const equals = at + name.length;
    if (equals < end && line.charCodeAt(equals) === 0x3d && isName(line, at)) {
      texts.push(unquoted(line.slice(equals + 1, end).trim()));
    }
    at = end + 1;
  }
}

/** @param first where the name stands for the first time */
function addOfTarget(target: string, first: number, texts: string[]): void {
  const question = target.indexOf('?');
  const pathEnd = question < 0 ? target.length : question;
  for (let at = first; at >= 0; at = target.indexOf(name, at + name.length)) {
    const equals = at + name.length;
    if (target.charCodeAt(equals) !== 0x3d) continue;
    const before = target[at - 1];
    const isInPath = at < pathEnd;
    if (isInPath ? before !== ';' : before !== '?' && before !== '&') continue;
    let end = equals + 1;
    while (end < target.length && !endsValue(target.charCodeAt(end), isInPath)) end++;
    texts.push(target.slice(equals + 1, end));
  }
}

function endsValue(code: number, isInPath: boolean): boolean {
  // `;`, `/` and `?` in the path, `&` in the query.
  return isInPath ? code === 0x3b || code === 0x2f || code === 0x3f : code === 0x26;
}

function isName(line: string, at: number): boolean {
  for (let offset = 0; offset < name.length; offset++) {
    if ((line.charCodeAt(at + offset) | 0x20) !== name.charCodeAt(offset)) return false;
  }
  return true;
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function unquoted(value: string): string {
  const isQuoted = value.length >= 2 && value.startsWith('"') && value.endsWith('"');
  return isQuoted ? value.slice(1, -1) : value;
}

function percentDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
