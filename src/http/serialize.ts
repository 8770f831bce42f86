import { isHeaderValue, isToken } from './characters.ts';
import type { BodyFraming, HeaderList, RequestHead, ResponseHead } from './exchange.ts';
import type { ReceivedFraming } from './framing.ts';

/**
 * Bytes of a request head, latin1, for an HTTP/1.1 server. Throws when a part cannot be written
 * without changing the message: heads from the wire never do, an application's own may.
 *
 * @param extra headers of this hop alone, written last
 */
export function serializeRequestHead(head: RequestHead, extra: HeaderList = []): string {
  if (!isToken(head.method) || !/^[!-~]+$/.test(head.target)) {
    throw new TypeError('Request line cannot be written');
  }
  const lines = `${head.method} ${head.target} HTTP/1.1\r\n${fieldLines(head.headers)}`;
  return `${lines}${framingLine(head.framing)}${fieldLines(extra)}\r\n`;
}

/**
 * Bytes of a response head, latin1. Throws as {@link serializeRequestHead}.
 *
 * @param framing how the body is written to this client; `none` writes no framing header
 * @param extra headers of this hop alone, written last
 */
export function serializeResponseHead(
  head: ResponseHead,
  framing: ReceivedFraming,
  extra: HeaderList,
): string {
  if (head.status < 100 || head.status > 999 || !isHeaderValue(head.reason)) {
    throw new TypeError('Status line cannot be written');
  }
  const lines = `HTTP/1.1 ${head.status} ${head.reason}\r\n${fieldLines(head.headers)}`;
  const framed = framing.kind === 'close' ? '' : framingLine(framing);
  return `${lines}${framed}${fieldLines(extra)}\r\n`;
}

function fieldLines(headers: HeaderList): string {
  let lines = '';
  for (const [name, value] of headers) {
    if (!isToken(name) || !isHeaderValue(value) || isFraming(name)) {
      throw new TypeError('Header cannot be written');
    }
    lines += `${name}: ${value}\r\n`;
  }
  return lines;
}

/** Framing is written from the body alone: a second statement of it would split the message. */
function isFraming(name: string): boolean {
  if (name.length !== 14 && name.length !== 17) return false;
  const lower = name.toLowerCase();
  return lower === 'content-length' || lower === 'transfer-encoding';
}

function framingLine(framing: BodyFraming): string {
  switch (framing.kind) {
    case 'none':
      return '';
    case 'length':
      return `Content-Length: ${framing.bytes}\r\n`;
    case 'chunked':
      return 'Transfer-Encoding: chunked\r\n';
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
