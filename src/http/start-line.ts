import { httpLimits } from '../config/defaults.ts';
import { isAuthority, isTargetCode, isTokenCode, isValueCode } from './characters.ts';
import { type HttpFault, httpFault } from './fault.ts';

export interface RequestLine {
  readonly kind: 'request-line';
  readonly method: string;
  /** Origin-form, or `*`. */
  readonly target: string;
  /** Authority of an absolute-form target: it replaces Host (RFC 9112 section 3.2.2). */
  readonly authority: string | undefined;
  readonly minorVersion: 0 | 1;
}

export interface StatusLine {
  readonly kind: 'status-line';
  readonly status: number;
  readonly reason: string;
  readonly minorVersion: 0 | 1;
}

/** A start line longer than this cannot be read: the longest target with method and version. */
export const startLineBytesMax: number = httpLimits.targetBytesMax + 64;

const space = 0x20;
const slash = 0x2f;

/**
 * Reads the request line at the beginning of a text: single blanks, nothing before or after.
 *
 * @param end where its CRLF stands
 */
export function parseRequestLine(text: string, end: number): RequestLine | HttpFault {
  let methodEnd = 0;
  while (isTokenCode(text.charCodeAt(methodEnd))) methodEnd++;
  let targetEnd = methodEnd + 1;
  while (isTargetCode(text.charCodeAt(targetEnd))) targetEnd++;
  const isSplit = text.charCodeAt(methodEnd) === space && text.charCodeAt(targetEnd) === space;
  if (!isSplit || methodEnd === 0 || targetEnd === methodEnd + 1 || targetEnd >= end) {
    return httpFault('HTTP_START_LINE_INVALID');
  }
  const version = versionAt(text, targetEnd + 1, end);
  if (version === undefined) return httpFault('HTTP_START_LINE_INVALID');
  if (version === 'other') return httpFault('HTTP_VERSION_UNSUPPORTED');
  return requestLine(text.slice(0, methodEnd), text.slice(methodEnd + 1, targetEnd), version);
}

function requestLine(method: string, target: string, minorVersion: 0 | 1): RequestLine | HttpFault {
  if (!isServed(method)) return httpFault('HTTP_METHOD_UNSUPPORTED');
  if (target.length > httpLimits.targetBytesMax) return httpFault('HTTP_TARGET_TOO_LONG');
  const kind = 'request-line';
  if (target.charCodeAt(0) === slash) {
    return { kind, method, target, authority: undefined, minorVersion };
  }
  if (target === '*' && method === 'OPTIONS') {
    return { kind, method, target, authority: undefined, minorVersion };
  }
  const scheme = /^https?:\/\//i.exec(target);
  if (scheme === null) return httpFault('HTTP_TARGET_INVALID');
  const rest = target.slice(scheme[0].length);
  const path = rest.search(/[/?]/);
  const authority = path < 0 ? rest : rest.slice(0, path);
  if (authority === '' || !isAuthority(authority)) return httpFault('HTTP_TARGET_INVALID');
  return { kind, method, target: originForm(rest, path, method), authority, minorVersion };
}

/** CONNECT would make this an open relay; TRACE would show a client's secrets to its scripts. */
export function isServed(method: string): boolean {
  return method.length <= httpLimits.methodBytesMax && method !== 'CONNECT' && method !== 'TRACE';
}

function originForm(rest: string, path: number, method: string): string {
  // RFC 9112 section 3.2.4: OPTIONS without a path asks the server as a whole.
  if (path < 0) return method === 'OPTIONS' ? '*' : '/';
  return rest.charCodeAt(path) === slash ? rest.slice(path) : `/${rest.slice(path)}`;
}

/** Reads the status line at the beginning of a text; the reason and the blank before it may be missing. */
export function parseStatusLine(text: string, end: number): StatusLine | HttpFault {
  if (end + 2 > startLineBytesMax) return httpFault('HTTP_TARGET_TOO_LONG');
  const version = versionAt(text, 0, Math.min(8, end));
  if (version === 'other') return httpFault('HTTP_VERSION_UNSUPPORTED');
  const isWellFormed =
    version !== undefined &&
    text.charCodeAt(8) === space &&
    end >= 12 &&
    (end === 12 || text.charCodeAt(12) === space);
  const status = isWellFormed ? statusAt(text, 9) : 0;
  if (status === 0 || version === undefined) return httpFault('HTTP_START_LINE_INVALID');
  for (let at = 13; at < end; at++) {
    if (!isValueCode(text.charCodeAt(at))) return httpFault('HTTP_START_LINE_INVALID');
  }
  const reason = text.slice(Math.min(13, end), end);
  return { kind: 'status-line', status, reason, minorVersion: version };
}

/** Three digits, the first not zero; else 0. */
function statusAt(text: string, at: number): number {
  let status = 0;
  for (let index = at; index < at + 3; index++) {
    const digit = text.charCodeAt(index) - 0x30;
    if (!(digit >= 0 && digit <= 9)) return 0;
    status = status * 10 + digit;
  }
  return status >= 100 ? status : 0;
}

/** Minor version of HTTP/1; `other` for a well-formed version that is not spoken here. */
function versionAt(text: string, at: number, end: number): 0 | 1 | 'other' | undefined {
  if (end - at === 8) {
    if (text.startsWith('HTTP/1.1', at)) return 1;
    if (text.startsWith('HTTP/1.0', at)) return 0;
  }
  return /^HTTP\/[0-9]\.[0-9]$/.test(text.slice(at, end)) ? 'other' : undefined;
}
