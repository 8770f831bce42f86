import { sipLimits } from '../config/defaults.ts';
import { decimal } from './decimal.ts';
import { HeaderId } from './header-names.ts';
import type { SipMessage } from './message.ts';
import { isBlank, isToken } from './token.ts';
import { parseUri, splitHostPort } from './uri.ts';
import { isUnambiguous, readVia } from './via.ts';

/** A request that is refused: what to answer, and the word under which it is counted. */
export interface Refusal {
  readonly status: number;
  readonly reason: string;
  /** A metric label. */
  readonly cause: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
}

/** Schemes that a proxy routes; others get 416 (RFC 3261 section 16.3). */
const schemes: ReadonlySet<string> = new Set(['sip', 'sips', 'tel']);

/** Fields that must stand exactly once (RFC 3261 section 8.1.1). */
const single: readonly (readonly [id: HeaderId, name: string])[] = [
  [HeaderId.from, 'From'],
  [HeaderId.to, 'To'],
  [HeaderId.callId, 'Call-ID'],
  [HeaderId.cseq, 'CSeq'],
];

/**
 * Checks a request as RFC 3261 section 16.3 asks a proxy to: syntax, version, scheme, Max-Forwards,
 * Proxy-Require. What a proxy need not understand passes.
 *
 * @returns undefined when the request may be routed
 */
export function validateRequest(message: SipMessage): Refusal | undefined {
  return (
    checkSize(message) ??
    checkSyntax(message) ??
    checkFields(message) ??
    checkCseq(message) ??
    checkUri(message) ??
    checkLength(message) ??
    checkMaxForwards(message) ??
    checkProxyRequire(message)
  );
}

/**
 * Whether a response can be sent at all: Via tells where to, Via and CSeq are what a client matches it
 * by (RFC 3261 section 17.1.3). Without them a request is dropped; what else is missing is answered
 * 400 (RFC 4475 section 3.3.1).
 */
export function isAnswerable(message: SipMessage): boolean {
  return message.topVia !== undefined && message.line(HeaderId.cseq) >= 0;
}

/**
 * Whether a response must be discarded: a broken header, fields that cannot be matched, or less body
 * than it says (RFC 3261 section 18.3).
 */
export function isBadResponse(message: SipMessage): boolean {
  return (
    message.flaw !== undefined ||
    checkFields(message) !== undefined ||
    message.cseqNumber < 0 ||
    checkLength(message) !== undefined ||
    isForEverybody(message)
  );
}

const broadcast = '255.255.255.255';

/** RFC 4475 section 3.3.10: a response whose next Via is the broadcast address is not passed on. */
function isForEverybody(message: SipMessage): boolean {
  if (!message.text.includes(broadcast)) return false;
  const line = message.line(HeaderId.via);
  const end = message.topVia?.end ?? 0;
  const isLast = end >= message.valueEnd(line);
  const nextLine = isLast ? message.line(HeaderId.via, line + 1) : line;
  if (nextLine < 0) return false;
  let start = isLast ? message.valueStart(nextLine) : end + 1;
  while (isBlank(message.text.charCodeAt(start))) start++;
  const next = readVia(message.text, start, message.valueEnd(nextLine));
  return (next?.received ?? next?.host) === broadcast;
}

function bad(cause: string, what: string): Refusal {
  return { status: 400, reason: `Bad Request - ${what}`, cause };
}

function checkSize(message: SipMessage): Refusal | undefined {
  const isTooLarge =
    message.bodyStart > sipLimits.headerBytesMax || message.lineCount > sipLimits.headerCountMax;
  return isTooLarge
    ? { status: 513, reason: 'Message Too Large', cause: 'header-too-large' }
    : undefined;
}

function checkSyntax(message: SipMessage): Refusal | undefined {
  if (message.version !== 'SIP/2.0') {
    return { status: 505, reason: 'Version Not Supported', cause: 'version' };
  }
  switch (message.flaw) {
    case undefined:
      return undefined;
    case 'start-line':
      return bad('start-line', 'malformed request line');
    case 'bare-line-break':
      return bad('bare-line-break', 'line break without CRLF in the header');
    case 'nul':
      return bad('nul', 'NUL in the header');
    case 'header-line':
      return bad('header-line', 'malformed header line');
  }
}

function checkFields(message: SipMessage): Refusal | undefined {
  for (const [id, name] of single) {
    const line = message.line(id);
    if (line < 0 || message.valueStart(line) === message.valueEnd(line)) {
      return bad('missing-header', `missing ${name}`);
    }
    if (message.line(id, line + 1) >= 0) return bad('repeated-header', `repeated ${name}`);
  }
  return checkVia(message) ?? checkIdentity(message);
}

function checkVia(message: SipMessage): Refusal | undefined {
  const via = message.topVia;
  const lineEnd = message.valueEnd(message.line(HeaderId.via));
  if (via?.version !== '2.0' || !isUnambiguous(via, message.text, lineEnd)) {
    return bad('via', 'malformed Via');
  }
  return undefined;
}

/** What names the dialog must read alike for everybody who routes by it. */
function checkIdentity(message: SipMessage): Refusal | undefined {
  const { callId } = message;
  for (let at = 0; at < callId.length; at++) {
    if (isBlank(callId.charCodeAt(at))) return bad('call-id', 'malformed Call-ID');
  }
  return message.hasMalformedTag ? bad('tag', 'malformed From or To') : undefined;
}

function checkCseq(message: SipMessage): Refusal | undefined {
  if (message.cseqNumber < 0) return bad('cseq', 'malformed CSeq');
  if (message.cseqMethod !== message.method) return bad('cseq-method', 'CSeq method differs');
  return undefined;
}

function checkUri(message: SipMessage): Refusal | undefined {
  const { text, uriStart, uriEnd } = message;
  if (uriEnd - uriStart > sipLimits.uriBytesMax) {
    return { status: 414, reason: 'Request-URI Too Long', cause: 'uri-too-long' };
  }
  const uri = text.slice(uriStart, uriEnd);
  const colon = uri.indexOf(':');
  const scheme = uri.slice(0, Math.max(colon, 0)).toLowerCase();
  const isKnown = schemes.has(scheme);
  if (!isKnown && !/^[a-z][a-z0-9+.-]*$/.test(scheme)) return bad('uri', 'malformed Request-URI');
  if (!isKnown) {
    return { status: 416, reason: 'Unsupported URI Scheme', cause: 'scheme' };
  }
  if (uri.includes('<') || uri.includes('>') || !hasUsableHost(uri, scheme, colon)) {
    return bad('uri', 'malformed Request-URI');
  }
  // RFC 3261 section 19.1.1: a Request-URI has no headers; a proxy must not pass them on.
  if (scheme !== 'tel' && uri.includes('?', uri.lastIndexOf('@') + 1)) {
    return bad('uri-headers', 'headers in the Request-URI');
  }
  return undefined;
}

/** Just enough of {@link parseUri} to know that it would succeed. */
function hasUsableHost(uri: string, scheme: string, colon: number): boolean {
  if (scheme === 'tel') return parseUri(uri) !== undefined;
  const start = Math.max(uri.lastIndexOf('@'), colon) + 1;
  let end = start;
  while (end < uri.length && uri[end] !== ';' && uri[end] !== '?') end++;
  return splitHostPort(uri.slice(start, end)) !== undefined;
}

function checkLength(message: SipMessage): Refusal | undefined {
  const line = message.line(HeaderId.contentLength);
  if (line < 0) return undefined;
  const text = message.latin1(line);
  const length = decimal(text, 10);
  if (length < 0) return bad('content-length', 'malformed Content-Length');
  const next = message.line(HeaderId.contentLength, line + 1);
  if (next >= 0 && message.latin1(next) !== text) {
    return bad('content-length', 'two different Content-Length values');
  }
  if (length > sipLimits.bodyBytesMax) {
    return { status: 513, reason: 'Message Too Large', cause: 'body-too-large' };
  }
  // RFC 3261 section 18.3: a datagram with less body than it says is an error.
  if (length > message.bytes.length - message.bodyStart) {
    return bad('content-length', 'body shorter than Content-Length');
  }
  return undefined;
}

function checkMaxForwards(message: SipMessage): Refusal | undefined {
  const line = message.line(HeaderId.maxForwards);
  if (line < 0) return undefined;
  if (message.line(HeaderId.maxForwards, line + 1) >= 0) {
    return bad('repeated-header', 'repeated Max-Forwards');
  }
  const hops = decimal(message.latin1(line), 10);
  if (hops < 0 || hops > 255) return bad('max-forwards', 'malformed Max-Forwards');
  if (hops === 0) return { status: 483, reason: 'Too Many Hops', cause: 'max-forwards' };
  return undefined;
}

function checkProxyRequire(message: SipMessage): Refusal | undefined {
  if (message.line(HeaderId.proxyRequire) < 0) return undefined;
  // RFC 3261 section 8.1.1.9: there it is ignored, since it was decided with the INVITE.
  if (message.method === 'ACK' || message.method === 'CANCEL') return undefined;
  const tags = message.headers('proxy-require').filter((tag) => tag !== '');
  if (tags.length === 0) return undefined;
  if (!tags.every(isToken)) return bad('proxy-require', 'malformed Proxy-Require');
  return {
    status: 420,
    reason: 'Bad Extension',
    cause: 'proxy-require',
    headers: [['Unsupported', tags.join(', ')]],
  };
}
