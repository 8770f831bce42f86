import { httpLimits } from '../../config/defaults.ts';
import {
  type BodyFraming,
  chunkedBody,
  HeaderBlock,
  type HeaderList,
  type HttpFault,
  httpFault,
  isAuthority,
  isFault,
  isHeaderValue,
  isServed,
  isToken,
  noBody,
  type ReceivedRequest,
} from '../../http/index.ts';

const colon = 0x3a;

/** Meaningless in HTTP/2 (RFC 9113 section 8.2.2); `te` may say `trailers`. */
const connectionSpecific: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/** What a field section holds, gathered line by line. */
class FieldSection {
  method: string | undefined;
  scheme: string | undefined;
  authority: string | undefined;
  path: string | undefined;
  /** Fields but Host and Cookie, each with its CRLF. */
  lines = '';
  /** Crumbs of the cookie, joined (section 8.2.3). */
  cookie: string | undefined;
  host: string | undefined;
  length: string | undefined;
  expectation: string | undefined;
  acceptsTrailers = false;
  #count = 0;
  #bytes = 0;
  #hasFields = false;

  /** Takes one line. @returns what is wrong with it */
  add(name: string, value: string): HttpFault | undefined {
    this.#bytes += name.length + value.length + 4;
    if (this.#bytes > httpLimits.headBytesMax) return httpFault('HTTP_HEAD_TOO_LARGE');
    if (name.charCodeAt(0) === colon) return this.#addPseudo(name, value);
    this.#hasFields = true;
    if (!isFieldName(name) || !isFieldValue(value)) return httpFault('HTTP_HEADER_INVALID');
    // The crumbs of a cookie are one header.
    const isCrumb = name === 'cookie' && this.cookie !== undefined;
    if (!isCrumb && ++this.#count > httpLimits.headerCountMax) {
      return httpFault('HTTP_HEADERS_TOO_MANY');
    }
    return this.#addField(name, value);
  }

  #addField(name: string, value: string): HttpFault | undefined {
    switch (name) {
      case 'host':
        if (this.host !== undefined) return httpFault('HTTP_HOST_INVALID');
        this.host = value;
        return undefined;
      case 'cookie':
        this.cookie = this.cookie === undefined ? value : `${this.cookie}; ${value}`;
        return undefined;
      case 'content-length':
        if (this.length !== undefined) return httpFault('HTTP_LENGTH_INVALID');
        this.length = value;
        return undefined;
      case 'expect':
        this.expectation = value;
        break;
      case 'te':
        if (value.toLowerCase() !== 'trailers') return httpFault('HTTP_HEADER_INVALID');
        this.acceptsTrailers = true;
        return undefined;
      default:
        if (connectionSpecific.has(name)) return httpFault('HTTP_HEADER_INVALID');
    }
    this.lines += `${name}: ${value}\r\n`;
    return undefined;
  }

  /** Pseudo-header fields come first, each once (section 8.3). */
  #addPseudo(name: string, value: string): HttpFault | undefined {
    const known = pseudoFields.get(name);
    if (this.#hasFields || known === undefined || this[known] !== undefined) {
      return httpFault('HTTP_START_LINE_INVALID');
    }
    this[known] = value;
    return undefined;
  }
}

const pseudoFields: ReadonlyMap<string, 'method' | 'scheme' | 'authority' | 'path'> = new Map([
  [':method', 'method'],
  [':scheme', 'scheme'],
  [':authority', 'authority'],
  [':path', 'path'],
]);

/**
 * Reads the field section of a request (RFC 9113 section 8.3.1). A fault of status 400 makes it
 * malformed: its stream is reset.
 *
 * @param raw names and values by turns, latin1
 * @param endsHere no data and no trailers follow
 */
export function receivedHttp2Request(
  raw: readonly string[],
  endsHere: boolean,
): ReceivedRequest | HttpFault {
  const section = new FieldSection();
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const fault = section.add(raw[at]!, raw[at + 1]!);
    if (fault !== undefined) return fault;
  }
  return section.method === 'CONNECT'
    ? httpFault('HTTP_METHOD_UNSUPPORTED')
    : requestOf(section, endsHere);
}

function requestOf(section: FieldSection, endsHere: boolean): ReceivedRequest | HttpFault {
  const { method = '', path = '', authority, host: header = '', length } = section;
  const host = authority ?? header;
  const fault =
    methodFault(method) ??
    targetFault(method, path, section.scheme) ??
    hostFault(host, section.host) ??
    expectationFault(section.expectation);
  if (fault !== undefined) return fault;
  const framing = framingOf(method, length, endsHere);
  if (isFault(framing)) return framing;
  const { cookie } = section;
  const crumbs = cookie === undefined ? '' : `cookie: ${cookie}\r\n`;
  return {
    kind: 'request',
    method,
    target: path,
    version: '2',
    headers: HeaderBlock.checked(`Host: ${host}\r\n${section.lines}${crumbs}`),
    framing,
    host,
    isPersistent: true,
    expectsContinue: section.expectation !== undefined && !endsHere,
    connectionOptions: [],
    acceptsTrailers: section.acceptsTrailers,
  };
}

/** Reads the trailer section of a request (section 8.1); undefined: it is none. @param raw as for the head */
export function receivedHttp2Trailers(raw: readonly string[]): HeaderList | undefined {
  const trailers: [string, string][] = [];
  let bytes = 0;
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at]!;
    const value = raw[at + 1]!;
    bytes += name.length + value.length + 4;
    if (!isFieldName(name) || !isFieldValue(value)) return undefined;
    trailers.push([name, value]);
  }
  const isTooMuch =
    bytes > httpLimits.trailerBytesMax || trailers.length > httpLimits.trailerCountMax;
  return isTooMuch ? undefined : trailers;
}

/** Section 8.2.1: a token without upper-case letters. */
function isFieldName(name: string): boolean {
  return isToken(name) && !/[A-Z]/.test(name);
}

/** Section 8.2.1: no control character, no blank before or after. */
function isFieldValue(value: string): boolean {
  return isHeaderValue(value) && !isBlank(value, 0) && !isBlank(value, value.length - 1);
}

function isBlank(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code === 0x20 || code === 0x09;
}

function methodFault(method: string): HttpFault | undefined {
  if (!isToken(method)) return httpFault('HTTP_START_LINE_INVALID');
  return isServed(method) ? undefined : httpFault('HTTP_METHOD_UNSUPPORTED');
}

function expectationFault(expectation: string | undefined): HttpFault | undefined {
  return expectation === undefined || expectation.toLowerCase() === '100-continue'
    ? undefined
    : httpFault('HTTP_EXPECTATION_UNSUPPORTED');
}

function targetFault(
  method: string,
  target: string,
  scheme: string | undefined,
): HttpFault | undefined {
  if (target.length > httpLimits.targetBytesMax) return httpFault('HTTP_TARGET_TOO_LONG');
  const isServerWide = target === '*' && method === 'OPTIONS';
  // Visible ASCII without a fragment.
  if (!isServerWide && !/^\/[!"$-~]*$/.test(target)) return httpFault('HTTP_TARGET_INVALID');
  return scheme === 'https' || scheme === 'http' ? undefined : httpFault('HTTP_TARGET_INVALID');
}

/** Host beside `:authority` must not name something else (section 8.3.1). */
function hostFault(host: string, header: string | undefined): HttpFault | undefined {
  const agrees = header === undefined || header.toLowerCase() === host.toLowerCase();
  return host !== '' && agrees && isAuthority(host) ? undefined : httpFault('HTTP_HOST_INVALID');
}

/** Methods whose requests are expected to have a body: without one its length is told (RFC 9110 section 8.6). */
const bodyMethods: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);
const emptyBody: BodyFraming = { kind: 'length', bytes: 0 };

function framingOf(
  method: string,
  length: string | undefined,
  endsHere: boolean,
): BodyFraming | HttpFault {
  if (length === undefined) {
    if (!endsHere) return chunkedBody;
    return bodyMethods.has(method) ? emptyBody : noBody;
  }
  if (!/^[0-9]{1,16}$/.test(length)) return httpFault('HTTP_LENGTH_INVALID');
  const bytes = Number(length);
  if (bytes > Number.MAX_SAFE_INTEGER || (endsHere && bytes > 0)) {
    return httpFault('HTTP_LENGTH_INVALID');
  }
  return bytes > httpLimits.requestBodyBytesMax
    ? httpFault('HTTP_BODY_TOO_LARGE')
    : { kind: 'length', bytes };
}
