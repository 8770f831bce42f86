import { isHeaderValue, isToken } from './characters.ts';
import type { BodyFraming, HeaderList, RequestHead, ResponseHead } from './exchange.ts';
import type { ReceivedFraming } from './framing.ts';
import { fieldLines } from './header-block.ts';

/** The only TE that goes on: a peer passes trailers along. */
export const teLine = 'TE: trailers\r\n';
/** Never the first line: Host stands before it. */
const teAtLineBegin = `\n${teLine}`;

/**
 * Text of a request head, latin1, for an HTTP/1.1 server. Throws when method or target cannot be
 * written without changing the message: those from the wire always can.
 *
 * @param extra checked lines of this hop alone, each with its CRLF, written last
 */
export function serializeRequestHead(head: RequestHead, extra = ''): string {
  if (!isToken(head.method) || !/^[!-~]+$/.test(head.target)) {
    throw new TypeError('Request line cannot be written');
  }
  const { text } = head.headers;
  // RFC 9110 section 10.1.4: a sender of TE names it in Connection.
  const connection = text.includes(teAtLineBegin) ? 'Connection: TE\r\n' : '';
  const line = `${head.method} ${head.target} HTTP/1.1\r\n`;
  return `${line}${text}${framingLine(head.framing)}${connection}${extra}\r\n`;
}

/**
 * Text of a response head, latin1. Throws when the status line cannot be written.
 *
 * @param framing how the body is written to this client; `none` writes no framing header
 * @param extra checked lines of this hop alone, each with its CRLF, written last
 */
export function serializeResponseHead(
  head: ResponseHead,
  framing: ReceivedFraming,
  extra: string,
): string {
  const { status, reason } = head;
  if (status < 100 || status > 999 || !isHeaderValue(reason)) {
    throw new TypeError('Status line cannot be written');
  }
  const framed = framing.kind === 'close' ? '' : framingLine(framing);
  return `HTTP/1.1 ${status} ${reason}\r\n${head.headers.text}${framed}${extra}\r\n`;
}

function framingLine(framing: BodyFraming): string {
  switch (framing.kind) {
    case 'none':
      return '';
    case 'length':
      return `Content-Length: ${framing.bytes}\r\n`;
    case 'chunked':
      return 'Transfer-Encoding: chunked\r\n';
    case 'tunnel':
      return 'Connection: Upgrade\r\n';
  }
}

/** What stands before the bytes of a chunk; `\r\n` stands behind them. */
export function chunkLine(bytes: number): string {
  return `${bytes.toString(16)}\r\n`;
}

/** The last chunk with its trailers. */
export function lastChunk(trailers: HeaderList): string {
  return trailers.length === 0 ? '0\r\n\r\n' : `0\r\n${fieldLines(trailers)}\r\n`;
}
