import { withoutBlanks } from './characters.ts';
import type { BodyFraming } from './exchange.ts';
import { type HttpFault, httpFault } from './fault.ts';

/** How a received body ends; `close`: with the connection, responses only. */
export type ReceivedFraming = BodyFraming | { readonly kind: 'close' };

export const noBody: BodyFraming = { kind: 'none' };
export const chunkedBody: BodyFraming = { kind: 'chunked' };
const untilClose: ReceivedFraming = { kind: 'close' };

/** The headers that decide framing, gathered while a head is read. */
export interface FramingHeaders {
  readonly minorVersion: 0 | 1;
  /** Each Content-Length line. */
  readonly lengths: readonly string[];
  /** Each Transfer-Encoding line. */
  readonly codings: readonly string[];
}

/**
 * Framing of a request (RFC 9112 section 6). What two readers could understand differently is
 * refused: both headers, two lengths even when equal, any coding but a lone `chunked`.
 */
export function requestFraming(headers: FramingHeaders): BodyFraming | HttpFault {
  if (headers.codings.length === 0) {
    return headers.lengths.length === 0 ? noBody : lengthFraming(headers.lengths);
  }
  return codingFraming(headers);
}

/**
 * Framing of a response's body on the wire (RFC 9112 section 6.3), status and request considered.
 *
 * @returns `none` also for HEAD and 304, whatever length was announced: see {@link announcedFraming}
 */
export function responseFraming(
  headers: FramingHeaders,
  status: number,
  requestMethod: string,
): ReceivedFraming | HttpFault {
  const announced = announcedFraming(headers);
  if (announced.kind === 'fault') return announced;
  if (!mayHaveBody(status, requestMethod)) return noBody;
  return announced;
}

/** What the head says of the body's length; a response without either header ends with the connection. */
export function announcedFraming(headers: FramingHeaders): ReceivedFraming | HttpFault {
  if (headers.codings.length > 0) return codingFraming(headers);
  return headers.lengths.length === 0 ? untilClose : lengthFraming(headers.lengths);
}

/** Whether a body can follow this response (RFC 9110 sections 6.4.1 and 9.3.2). */
export function mayHaveBody(status: number, requestMethod: string): boolean {
  return requestMethod !== 'HEAD' && status >= 200 && status !== 204 && status !== 304;
}

function lengthFraming(lengths: readonly string[]): BodyFraming | HttpFault {
  const [text] = lengths;
  if (lengths.length !== 1 || text === undefined || text.length === 0 || text.length > 16) {
    return httpFault('HTTP_LENGTH_INVALID');
  }
  let bytes = 0;
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0 || digit > 9) return httpFault('HTTP_LENGTH_INVALID');
    bytes = bytes * 10 + digit;
  }
  if (bytes > Number.MAX_SAFE_INTEGER) return httpFault('HTTP_LENGTH_INVALID');
  return { kind: 'length', bytes };
}

function codingFraming(headers: FramingHeaders): BodyFraming | HttpFault {
  if (headers.lengths.length > 0) return httpFault('HTTP_LENGTH_AND_CODING');
  // RFC 9112 section 6.1: Transfer-Encoding in an HTTP/1.0 message is faulty framing.
  if (headers.minorVersion === 0) return httpFault('HTTP_CODING_INVALID');
  const [only] = headers.codings;
  if (headers.codings.length === 1 && only?.toLowerCase() === 'chunked') return chunkedBody;
  const names = headers.codings.join(',').split(',');
  const codings = names.map((name) => withoutBlanks(name).toLowerCase());
  const isChunkedOnlyLast =
    codings.indexOf('chunked') === codings.length - 1 && !codings.includes('');
  return httpFault(isChunkedOnlyLast ? 'HTTP_CODING_UNSUPPORTED' : 'HTTP_CODING_INVALID');
}
