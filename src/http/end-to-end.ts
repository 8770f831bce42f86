import type { HeaderList } from './exchange.ts';
import type { Field } from './field.ts';

/** Headers of one hop (RFC 9110 section 7.6.1), and framing, which every hop makes anew. */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
  'content-length',
]);

/**
 * Never removed because a client names them in Connection: without them the request would mean
 * something else.
 */
const protectedNames: ReadonlySet<string> = new Set(['host', 'cookie', 'authorization']);

/** Trailers that must not change how a message is framed, routed or trusted (RFC 9110 section 6.5.1). */
const neverTrailers: ReadonlySet<string> = new Set([
  'host',
  'cookie',
  'set-cookie',
  'authorization',
  'proxy-authorization',
  'content-encoding',
  'content-type',
  'content-range',
  'cache-control',
  'expect',
  'max-forwards',
  'forwarded',
  'trailer',
]);

/** Whether only peers and trusted proxies may write this header. @param lowerCase in lower case */
function isInternalRequestHeader(lowerCase: string): boolean {
  // CGI and its heirs turn both into an underscore: there they are one name.
  const lower = lowerCase.includes('_') ? lowerCase.replaceAll('_', '-') : lowerCase;
  switch (lower.charCodeAt(0)) {
    case 0x70:
      // `Proxy` itself becomes HTTP_PROXY in CGI programs.
      return lower.startsWith('proxy-') || lower === 'proxy';
    case 0x78:
      return lower.startsWith('x-forwarded-');
    case 0x66:
      return lower === 'forwarded';
    default:
      return false;
  }
}

/** A request's headers without those of one hop and without those that only peers may write. */
export function endToEndRequestHeaders(
  headers: HeaderList,
  connectionOptions: readonly string[],
): Field[] {
  return endToEnd(headers, connectionOptions, isInternalRequestHeader);
}

/** A response's headers without those of one hop and without the marks between peers. */
export function endToEndResponseHeaders(
  headers: HeaderList,
  connectionOptions: readonly string[],
): Field[] {
  return endToEnd(headers, connectionOptions, isMark);
}

function isMark(lowerCase: string): boolean {
  return lowerCase === 'proxy-bekey' || lowerCase === 'proxy-beroute';
}

function endToEnd(
  headers: HeaderList,
  connectionOptions: readonly string[],
  isInternal: (lowerCase: string) => boolean,
): Field[] {
  const kept: Field[] = [];
  for (const field of headers) {
    const lowerCase = field[0].toLowerCase();
    if (!isInternal(lowerCase) && !isHopByHop(lowerCase, connectionOptions)) kept.push(field);
  }
  return kept;
}

/** Trailers that may go on. */
export function endToEndTrailers(trailers: HeaderList): HeaderList {
  if (trailers.length === 0) return trailers;
  return trailers.filter(([name]) => {
    const lower = name.toLowerCase();
    return !hopByHop.has(lower) && !neverTrailers.has(lower) && !isInternalRequestHeader(lower);
  });
}

function isHopByHop(lower: string, connectionOptions: readonly string[]): boolean {
  if (hopByHop.has(lower)) return true;
  if (connectionOptions.length === 0 || protectedNames.has(lower)) return false;
  return connectionOptions.includes(lower);
}
