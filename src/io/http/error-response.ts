import { fieldLines, HeaderBlock, type ResetCode, type ResponseHead } from '../../http/index.ts';
import type { HttpRedirect } from '../../pipeline/http-redirect.ts';

/** Answers that the ingress peer gives itself: short, without a word about its inside. */
const texts: Readonly<Record<number, string>> = {
  200: 'OK',
  301: 'Moved Permanently',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  403: 'Forbidden',
  408: 'Request Timeout',
  413: 'Content Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
};

/** What a client is answered when this is how its last offer ended. */
export const statusOfReset: Readonly<Record<ResetCode, number>> = {
  refused: 502,
  broken: 502,
  timeout: 504,
  cancelled: 502,
  limit: 503,
};

const plainText = HeaderBlock.of([['Content-Type', 'text/plain; charset=utf-8']]);

/** An answer of our own, whole. */
export interface OwnResponse {
  readonly head: ResponseHead;
  readonly body: Buffer;
}

/** @param retryAfterSeconds told with 503 alone */
export function errorResponse(status: number, retryAfterSeconds: number): OwnResponse {
  return ownResponse(status, status === 503 ? `Retry-After: ${retryAfterSeconds}\r\n` : '');
}

export function redirectResponse({ status, location }: HttpRedirect): OwnResponse {
  return ownResponse(status, fieldLines([['Location', location]]));
}

/** @param lines further headers */
function ownResponse(status: number, lines: string): OwnResponse {
  const reason = texts[status] ?? 'Error';
  const body = Buffer.from(`${status} ${reason}\n`);
  const headers = plainText.followedBy(lines);
  return {
    head: { status, reason, headers, framing: { kind: 'length', bytes: body.length } },
    body,
  };
}
