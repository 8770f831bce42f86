import type { HeaderList } from './exchange.ts';
import { HeaderBlock, lineEnd } from './header-block.ts';

/** Headers of one hop (RFC 9110 section 7.6.1), and framing, which every hop makes anew. */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
  'content-length',
  // Of HTTP/2 in clear text, which is never tunnelled.
  'http2-settings',
  // To CGI and its heirs the same names as with a hyphen.
  'content_length',
  'transfer_encoding',
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

/**
 * A request's headers without those of one hop and without those that only peers may write.
 *
 * @param isTunnel the request asks for an upgrade: Upgrade stays
 */
export function endToEndRequestHeaders(
  headers: HeaderBlock,
  connectionOptions: readonly string[],
  isTunnel = false,
): HeaderBlock {
  return endToEnd(headers, connectionOptions, isInternalRequestHeader, isTunnel);
}

/** A response's headers without those of one hop and without the marks between peers. */
export function endToEndResponseHeaders(
  headers: HeaderBlock,
  connectionOptions: readonly string[],
  isTunnel = false,
): HeaderBlock {
  return endToEnd(headers, connectionOptions, isMark, isTunnel);
}

function isMark(lowerCase: string): boolean {
  return lowerCase === 'proxy-bekey' || lowerCase === 'proxy-beroute';
}

/** First letters of all names that may have to go, both cases: most lines are passed over at a glance. */
const suspects = new Uint8Array(128);
for (const letter of 'cktuhpxfCKTUHPXF') suspects[letter.charCodeAt(0)] = 1;

function endToEnd(
  headers: HeaderBlock,
  connectionOptions: readonly string[],
  isInternal: (lowerCase: string) => boolean,
  isTunnel: boolean,
): HeaderBlock {
  const { text } = headers;
  const isListed = connectionOptions.some((option) => !usualOptions.has(option));
  let kept = '';
  let from = 0;
  for (let at = 0; at < text.length;) {
    const end = lineEnd(text, at);
    if (isListed || suspects[text.charCodeAt(at)] === 1) {
      const lower = text.slice(at, text.indexOf(':', at)).toLowerCase();
      const goes = isInternal(lower) || isHopByHop(lower, connectionOptions);
      if (goes && !(isTunnel && lower === 'upgrade')) {
        kept += text.slice(from, at);
        from = end;
      }
    }
    at = end;
  }
  return from === 0 ? headers : HeaderBlock.checked(kept + text.slice(from));
}

/** Options that name no header, or one that goes anyway. */
const usualOptions: ReadonlySet<string> = new Set(['close', 'keep-alive', 'upgrade', 'te']);

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
