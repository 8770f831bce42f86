/** What was wrong with a message, and the status that answers it when it was a request. */
const statusOfFault = {
  /** A bare CR or LF, or a second empty line before the request. */
  HTTP_LINE_INVALID: 400,
  HTTP_START_LINE_INVALID: 400,
  HTTP_TARGET_INVALID: 400,
  HTTP_TARGET_TOO_LONG: 414,
  /** CONNECT, TRACE, or a method that is too long to be one. */
  HTTP_METHOD_UNSUPPORTED: 501,
  HTTP_VERSION_UNSUPPORTED: 505,
  /** Bad name, blank before the colon, folded line, control character in the value. */
  HTTP_HEADER_INVALID: 400,
  HTTP_HEAD_TOO_LARGE: 431,
  HTTP_HEADERS_TOO_MANY: 431,
  /** Host missing, doubled, or not an authority. */
  HTTP_HOST_INVALID: 400,
  /** Content-Length doubled, a list, not digits, or beyond 2^53. */
  HTTP_LENGTH_INVALID: 400,
  HTTP_LENGTH_AND_CODING: 400,
  HTTP_CODING_INVALID: 400,
  HTTP_CODING_UNSUPPORTED: 501,
  HTTP_CHUNK_INVALID: 400,
  HTTP_TRAILER_INVALID: 400,
  HTTP_BODY_TOO_LARGE: 413,
  HTTP_EXPECTATION_UNSUPPORTED: 417,
} as const;

export type HttpFaultCode = keyof typeof statusOfFault;

/** A fault of the other side. After it the connection cannot be used: its framing is not known. */
export interface HttpFault {
  readonly kind: 'fault';
  readonly code: HttpFaultCode;
  readonly status: number;
}

export function httpFault(code: HttpFaultCode): HttpFault {
  return { kind: 'fault', code, status: statusOfFault[code] };
}

export function isFault(value: { readonly kind: string }): value is HttpFault {
  return value.kind === 'fault';
}
