import { httpLimits } from '../config/defaults.ts';
import { isAuthority } from './characters.ts';
import type { BodyFraming } from './exchange.ts';
import { type HttpFault, httpFault } from './fault.ts';
import { type Directives, fieldsFault, noDirectives } from './field-lines.ts';
import { type FramingHeaders, noBody, requestFraming } from './framing.ts';
import { HeaderBlock } from './header-block.ts';
import type { RequestLine, StatusLine } from './start-line.ts';
import { tunnelBody, tunnelProtocol } from './upgrade.ts';

/** A request head as a client sent it, checked; nothing is removed yet. */
export interface ReceivedRequest {
  readonly kind: 'request';
  readonly method: string;
  /** Origin-form or `*`; an absolute-form target is cut down to it. */
  readonly target: string;
  /** Protocol in Via (RFC 9110 section 7.6.3). */
  readonly version: '1.0' | '1.1' | '2';
  /** All headers as on the wire; Host is that of an absolute-form target, where there was one. */
  readonly headers: HeaderBlock;
  readonly framing: BodyFraming;
  /** Empty where HTTP/1.0 had none. */
  readonly host: string;
  /** The client wants to keep the connection. */
  readonly isPersistent: boolean;
  /** The client waits for 100 before it sends the body. */
  readonly expectsContinue: boolean;
  /** Names listed in Connection, lower case. */
  readonly connectionOptions: readonly string[];
  /** The client takes trailers (RFC 9110 section 10.1.4). */
  readonly acceptsTrailers: boolean;
}

/** A response head as a server sent it, checked. */
export interface ReceivedResponse {
  readonly kind: 'response';
  readonly status: number;
  readonly reason: string;
  readonly headers: HeaderBlock;
  readonly framingHeaders: FramingHeaders;
  readonly isPersistent: boolean;
  readonly connectionOptions: readonly string[];
}

function isPersistent(minorVersion: 0 | 1, options: readonly string[]): boolean {
  // RFC 9112 section 9.3.
  if (options.length === 0) return minorVersion === 1;
  if (options.includes('close')) return false;
  return minorVersion === 1 || options.includes('keep-alive');
}

/**
 * Reads a request's headers as a whole (RFC 9112 sections 3.2 and 6).
 *
 * @param text start line and field lines
 * @param from where the field lines begin
 */
export function receivedRequest(
  line: RequestLine,
  text: string,
  from: number,
): ReceivedRequest | HttpFault {
  const found = noDirectives();
  const fault = fieldsFault(text, from, found);
  if (fault !== undefined) return fault;
  if (!isHostValid(found.hosts, line.minorVersion)) return httpFault('HTTP_HOST_INVALID');
  const framing = framingOf(found, line);
  if (framing.kind === 'fault') return framing;
  const expectsContinue = found.expectations.length > 0 && line.minorVersion === 1;
  if (expectsContinue && !found.expectations.every(isContinue)) {
    return httpFault('HTTP_EXPECTATION_UNSUPPORTED');
  }
  const [host = ''] = found.hosts;
  return {
    kind: 'request',
    method: line.method,
    target: line.target,
    version: line.minorVersion === 1 ? '1.1' : '1.0',
    headers: withHost(text.slice(from), found.hosts.length, line.authority),
    framing,
    host: line.authority ?? host,
    isPersistent: isPersistent(line.minorVersion, found.connectionOptions),
    expectsContinue: expectsContinue && (framing.kind === 'length' || framing.kind === 'chunked'),
    connectionOptions: found.connectionOptions,
    acceptsTrailers: found.acceptsTrailers,
  };
}

/** An upgrade of a request with a body is overlooked, which RFC 9110 section 7.8 allows. */
function framingOf(found: Directives, line: RequestLine): BodyFraming | HttpFault {
  const { lengths, codings } = found;
  const framing = requestFraming({ minorVersion: line.minorVersion, lengths, codings });
  if (framing.kind === 'length' && framing.bytes > httpLimits.requestBodyBytesMax) {
    return httpFault('HTTP_BODY_TOO_LARGE');
  }
  const mayTunnel = found.upgrades.length > 0 && line.minorVersion === 1;
  if (!mayTunnel || framing.kind !== 'none') return framing;
  const isAsked = found.connectionOptions.includes('upgrade');
  return isAsked && tunnelProtocol(found.upgrades) !== undefined ? tunnelBody : noBody;
}

function isContinue(expectation: string): boolean {
  return expectation.toLowerCase() === '100-continue';
}

/** HTTP/1.1 needs Host once, HTTP/1.0 at most once. */
function isHostValid(hosts: readonly string[], minorVersion: 0 | 1): boolean {
  const [host] = hosts;
  if (host === undefined) return minorVersion === 0;
  return hosts.length === 1 && isAuthority(host);
}

function withHost(lines: string, hosts: number, authority: string | undefined): HeaderBlock {
  const headers = HeaderBlock.checked(lines);
  if (hosts > 0 && authority === undefined) return headers;
  const others = headers.filtered((lower) => lower !== 'host');
  return HeaderBlock.checked(`Host: ${authority ?? ''}\r\n${others.text}`);
}

/** Reads a response's headers as a whole; parameters as for {@link receivedRequest}. */
export function receivedResponse(
  line: StatusLine,
  text: string,
  from: number,
): ReceivedResponse | HttpFault {
  const found = noDirectives();
  const fault = fieldsFault(text, from, found);
  if (fault !== undefined) return fault;
  return {
    kind: 'response',
    status: line.status,
    reason: line.reason,
    headers: HeaderBlock.checked(text.slice(from)),
    framingHeaders: {
      minorVersion: line.minorVersion,
      lengths: found.lengths,
      codings: found.codings,
    },
    isPersistent: isPersistent(line.minorVersion, found.connectionOptions),
    connectionOptions: found.connectionOptions,
  };
}
