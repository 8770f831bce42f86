import { httpLimits } from '../config/defaults.ts';
import { isAuthority, isTargetByte, isTokenByte, isValueByte } from './characters.ts';
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

/** Reads a request line without its CRLF: single blanks, nothing before or after. */
export function parseRequestLine(
  bytes: Buffer,
  start: number,
  end: number,
): RequestLine | HttpFault {
  let methodEnd = start;
  while (methodEnd < end && isTokenByte(bytes[methodEnd]!)) methodEnd++;
  let targetEnd = methodEnd + 1;
  while (targetEnd < end && isTargetByte(bytes[targetEnd]!)) targetEnd++;
  const isSplit = targetEnd < end && bytes[methodEnd] === space && bytes[targetEnd] === space;
  if (!isSplit || methodEnd === start || targetEnd === methodEnd + 1) {
    return httpFault('HTTP_START_LINE_INVALID');
  }
  const version = versionOf(bytes.toString('latin1', targetEnd + 1, end));
  if (version === undefined) return httpFault('HTTP_START_LINE_INVALID');
  if (version === 'other') return httpFault('HTTP_VERSION_UNSUPPORTED');
  const method = bytes.toString('latin1', start, methodEnd);
  return requestLine(method, bytes.toString('latin1', methodEnd + 1, targetEnd), version);
}

function requestLine(method: string, target: string, minorVersion: 0 | 1): RequestLine | HttpFault {
  if (!isServed(method)) return httpFault('HTTP_METHOD_UNSUPPORTED');
  if (target.length > httpLimits.targetBytesMax) return httpFault('HTTP_TARGET_TOO_LONG');
  const kind = 'request-line';
  if (target.charCodeAt(0) === 0x2f) {
    return { kind, method, target, authority: undefined, minorVersion };
  }
  if (target === '*' && method === 'OPTIONS') {
    return { kind, method, target, authority: undefined, minorVersion };
  }
  const scheme = /^https?:\/\//i.exec(target);
  if (scheme === null) return httpFault('HTTP_TARGET_INVALID');
  const rest = target.slice(scheme[0].length);
  const slash = rest.search(/[/?]/);
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  if (authority === '' || !isAuthority(authority)) return httpFault('HTTP_TARGET_INVALID');
  return { kind, method, target: originForm(rest, slash, method), authority, minorVersion };
}

/** CONNECT would make this an open relay; TRACE would show a client's secrets to its scripts. */
function isServed(method: string): boolean {
  return method.length <= httpLimits.methodBytesMax && method !== 'CONNECT' && method !== 'TRACE';
}

function originForm(rest: string, slash: number, method: string): string {
  // RFC 9112 section 3.2.4: OPTIONS without a path asks the server as a whole.
  if (slash < 0) return method === 'OPTIONS' ? '*' : '/';
  return rest.charCodeAt(slash) === 0x2f ? rest.slice(slash) : `/${rest.slice(slash)}`;
}

/** Reads a status line without its CRLF; the reason and the blank before it may be missing. */
export function parseStatusLine(bytes: Buffer, start: number, end: number): StatusLine | HttpFault {
  const version = versionOf(bytes.toString('latin1', start, Math.min(start + 8, end)));
  if (version === 'other') return httpFault('HTTP_VERSION_UNSUPPORTED');
  const reasonAt = start + 13;
  const isWellFormed =
    version !== undefined &&
    bytes[start + 8] === space &&
    end >= reasonAt - 1 &&
    (end === reasonAt - 1 || bytes[reasonAt - 1] === space);
  if (!isWellFormed) return httpFault('HTTP_START_LINE_INVALID');
  const digits = bytes.toString('latin1', start + 9, start + 12);
  if (!/^[1-9][0-9][0-9]$/.test(digits)) return httpFault('HTTP_START_LINE_INVALID');
  for (let at = reasonAt; at < end; at++) {
    if (!isValueByte(bytes[at]!)) return httpFault('HTTP_START_LINE_INVALID');
  }
  return {
    kind: 'status-line',
    status: Number(digits),
    reason: bytes.toString('latin1', Math.min(reasonAt, end), end),
    minorVersion: version,
  };
}

/** Minor version of HTTP/1; `other` for a well-formed version that is not spoken here. */
function versionOf(text: string): 0 | 1 | 'other' | undefined {
  if (text === 'HTTP/1.1') return 1;
  if (text === 'HTTP/1.0') return 0;
  return /^HTTP\/[0-9]\.[0-9]$/.test(text) ? 'other' : undefined;
}
