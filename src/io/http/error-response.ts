import { HeaderBlock, type ResponseHead } from '../../http/index.ts';

/** Answers that the ingress peer gives itself: short, without a word about its inside. */
const texts: Readonly<Record<number, string>> = {
  200: 'OK',
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

const plainText = HeaderBlock.of([['Content-Type', 'text/plain; charset=utf-8']]);

/** @param retryAfterSeconds told with 503 alone */
export function errorResponse(
  status: number,
  retryAfterSeconds: number,
): { readonly head: ResponseHead; readonly body: Buffer } {
  const reason = texts[status] ?? 'Error';
  const body = Buffer.from(`${status} ${reason}\n`);
  const retry = status === 503 ? `Retry-After: ${retryAfterSeconds}\r\n` : '';
  const headers = plainText.followedBy(retry);
  return {
    head: { status, reason, headers, framing: { kind: 'length', bytes: body.length } },
    body,
  };
}
