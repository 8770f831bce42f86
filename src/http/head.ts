import { httpLimits } from '../config/defaults.ts';
import { isAuthority } from './characters.ts';
import type { BodyFraming, HeaderList } from './exchange.ts';
import { type HttpFault, httpFault } from './fault.ts';
import { type Field, isNamed, parseField } from './field.ts';
import { type FramingHeaders, requestFraming } from './framing.ts';
import type { RequestLine, StatusLine } from './start-line.ts';

/** A request head as a client sent it, checked; nothing is removed yet. */
export interface ReceivedRequest {
  readonly kind: 'request';
  readonly method: string;
  /** Origin-form or `*`; an absolute-form target is cut down to it. */
  readonly target: string;
  readonly minorVersion: 0 | 1;
  /** All headers as on the wire; Host is that of an absolute-form target, where there was one. */
  readonly headers: HeaderList;
  readonly framing: BodyFraming;
  /** Empty where HTTP/1.0 had none. */
  readonly host: string;
  /** The client wants to keep the connection. */
  readonly isPersistent: boolean;
  /** The client waits for 100 before it sends the body. */
  readonly expectsContinue: boolean;
  /** Names listed in Connection, lower case. */
  readonly connectionOptions: readonly string[];
}

/** A response head as a server sent it, checked. */
export interface ReceivedResponse {
  readonly kind: 'response';
  readonly status: number;
  readonly reason: string;
  readonly headers: HeaderList;
  readonly framingHeaders: FramingHeaders;
  readonly isPersistent: boolean;
  readonly connectionOptions: readonly string[];
}

/** Reads one header line into the list; undefined when it was taken. */
export function readHeader(
  bytes: Buffer,
  start: number,
  end: number,
  headers: Field[],
): HttpFault | undefined {
  if (headers.length >= httpLimits.headerCountMax) return httpFault('HTTP_HEADERS_TOO_MANY');
  const field = parseField(bytes, start, end);
  if (field === undefined) return httpFault('HTTP_HEADER_INVALID');
  headers.push(field);
  return undefined;
}

/** The headers that a head's reader must understand. */
interface Directives extends FramingHeaders {
  readonly hosts: string[];
  readonly lengths: string[];
  readonly codings: string[];
  readonly expectations: string[];
  readonly connectionOptions: string[];
}

function directivesOf(headers: HeaderList, minorVersion: 0 | 1): Directives {
  const found: Directives = {
    minorVersion,
    hosts: [],
    lengths: [],
    codings: [],
    expectations: [],
    connectionOptions: [],
  };
  for (const field of headers) {
    switch (field[0].length) {
      case 4:
        if (isNamed(field, 'host')) found.hosts.push(field[1]);
        break;
      case 6:
        if (isNamed(field, 'expect')) found.expectations.push(field[1]);
        break;
      case 10:
        if (isNamed(field, 'connection')) addOptions(found.connectionOptions, field[1]);
        break;
      case 14:
        if (isNamed(field, 'content-length')) found.lengths.push(field[1]);
        break;
      case 17:
        if (isNamed(field, 'transfer-encoding')) found.codings.push(field[1]);
        break;
    }
  }
  return found;
}

function addOptions(options: string[], value: string): void {
  for (const option of value.split(',')) {
    const name = option.trim().toLowerCase();
    if (name !== '') options.push(name);
  }
}

function isPersistent(minorVersion: 0 | 1, options: readonly string[]): boolean {
  // RFC 9112 section 9.3.
  if (options.includes('close')) return false;
  return minorVersion === 1 || options.includes('keep-alive');
}

/** Checks a request's headers as a whole (RFC 9112 sections 3.2 and 6). */
export function receivedRequest(
  line: RequestLine,
  headers: HeaderList,
): ReceivedRequest | HttpFault {
  const found = directivesOf(headers, line.minorVersion);
  const [host = ''] = found.hosts;
  if (!isHostValid(found.hosts, line.minorVersion)) return httpFault('HTTP_HOST_INVALID');
  const framing = requestFraming(found);
  if (framing.kind === 'fault') return framing;
  if (framing.kind === 'length' && framing.bytes > httpLimits.requestBodyBytesMax) {
    return httpFault('HTTP_BODY_TOO_LARGE');
  }
  const expectations = line.minorVersion === 0 ? [] : found.expectations;
  if (expectations.some((value) => value.toLowerCase() !== '100-continue')) {
    return httpFault('HTTP_EXPECTATION_UNSUPPORTED');
  }
  return {
    kind: 'request',
    method: line.method,
    target: line.target,
    minorVersion: line.minorVersion,
    headers: withHost(headers, found.hosts.length, line.authority),
    framing,
    host: line.authority ?? host,
    isPersistent: isPersistent(line.minorVersion, found.connectionOptions),
    expectsContinue: expectations.length > 0 && framing.kind !== 'none',
    connectionOptions: found.connectionOptions,
  };
}

/** HTTP/1.1 needs Host once, HTTP/1.0 at most once. */
function isHostValid(hosts: readonly string[], minorVersion: 0 | 1): boolean {
  const [host] = hosts;
  if (host === undefined) return minorVersion === 0;
  return hosts.length === 1 && isAuthority(host);
}

function withHost(headers: HeaderList, hosts: number, authority: string | undefined): HeaderList {
  if (hosts === 0) return [['Host', authority ?? ''], ...headers];
  if (authority === undefined) return headers;
  return headers.map((field) => (isNamed(field, 'host') ? [field[0], authority] : field));
}

/** A response's headers, read as a whole. */
export function receivedResponse(line: StatusLine, headers: HeaderList): ReceivedResponse {
  const found = directivesOf(headers, line.minorVersion);
  return {
    kind: 'response',
    status: line.status,
    reason: line.reason,
    headers,
    framingHeaders: found,
    isPersistent: isPersistent(line.minorVersion, found.connectionOptions),
    connectionOptions: found.connectionOptions,
  };
}
