import { decimal } from './decimal.ts';

/** A URI taken apart (RFC 3261 section 19.1, RFC 3966). Absent parts are undefined. */
export interface SipUri {
  /** Lower case. */
  readonly scheme: string;
  /** Unescaped user part without password; the number of a `tel:` URI. */
  readonly user: string | undefined;
  /** As written; IPv6 references keep their brackets. */
  readonly host: string | undefined;
  readonly port: string | undefined;
  /** In order, unescaped; a parameter without value has an empty one. */
  readonly parameters: readonly (readonly [name: string, value: string])[];
}

/** name-addr or addr-spec with header parameters (RFC 3261 section 20.10). */
export interface NameAddress {
  readonly displayName: string | undefined;
  readonly uri: string;
  readonly parameters: readonly (readonly [name: string, value: string])[];
}

const schemePattern = /^([A-Za-z][A-Za-z0-9+.-]*):/;

/** @returns undefined for what is no URI with a scheme, or whose host and port are malformed */
export function parseUri(text: string): SipUri | undefined {
  const match = schemePattern.exec(text);
  if (match === null) return undefined;
  const scheme = match[1]!.toLowerCase();
  const rest = text.slice(match[0].length);
  if (scheme === 'tel') return parseTel(rest);
  if (scheme === 'sip' || scheme === 'sips') return parseSip(scheme, rest);
  return parseGeneric(scheme, rest);
}

function parseTel(rest: string): SipUri | undefined {
  const [number = '', ...parameters] = rest.split(';');
  if (number === '') return undefined;
  return {
    scheme: 'tel',
    user: unescape(number),
    host: undefined,
    port: undefined,
    parameters: parameters.map(parameter),
  };
}

function parseSip(scheme: string, rest: string): SipUri | undefined {
  // The user part may hold `;` and `?`, so the last `@` before any host part ends it (RFC 3261 section 25.1).
  const at = rest.lastIndexOf('@');
  const userInfo = at < 0 ? undefined : rest.slice(0, at);
  const question = rest.indexOf('?', at + 1);
  const [hostPort = '', ...parameters] = rest
    .slice(at + 1, question < 0 ? undefined : question)
    .split(';');
  const parsed = splitHostPort(hostPort);
  if (parsed === undefined) return undefined;
  const colon = userInfo?.indexOf(':') ?? -1;
  return {
    scheme,
    user:
      userInfo === undefined
        ? undefined
        : unescape(colon < 0 ? userInfo : userInfo.slice(0, colon)),
    host: parsed.host,
    port: parsed.port,
    parameters: parameters.map(parameter),
  };
}

function parseGeneric(scheme: string, rest: string): SipUri {
  const authority = /^\/\/(?:([^@/?#]*)@)?([^/?#]*)/.exec(rest);
  const parsed = authority === null ? undefined : splitHostPort(authority[2]!);
  return {
    scheme,
    user: authority?.[1] === undefined ? undefined : unescape(authority[1]),
    host: parsed?.host,
    port: parsed?.port,
    parameters: [],
  };
}

/** `host`, `host:port`, `[v6]` or `[v6]:port`; undefined when malformed. */
export function splitHostPort(
  text: string,
): { host: string; port: string | undefined } | undefined {
  const trimmed = text.trim();
  const end = endOfHost(trimmed);
  if (end <= 0) return undefined;
  if (end === trimmed.length) return { host: trimmed, port: undefined };
  const rest = trimmed.slice(end).trimStart();
  if (!rest.startsWith(':')) return undefined;
  const port = rest.slice(1).trimStart();
  const number = decimal(port, 5);
  if (number < 0 || number > 65_535) return undefined;
  return { host: trimmed.slice(0, end), port };
}

/** Letters, digits, `.`, `_` and `-`; an IPv6 reference has brackets and may hold colons. */
function endOfHost(text: string): number {
  if (text.startsWith('[')) {
    const close = text.indexOf(']');
    return close > 1 && /^[0-9A-Fa-f:.]+$/.test(text.slice(1, close)) ? close + 1 : -1;
  }
  let at = 0;
  while (at < text.length && isHostCharacter(text.charCodeAt(at))) at++;
  return at;
}

function isHostCharacter(code: number): boolean {
  const lower = code | 0x20;
  if ((lower >= 0x61 && lower <= 0x7a) || (code >= 0x30 && code <= 0x39)) return true;
  return code === 0x2e || code === 0x2d || code === 0x5f;
}

/** @returns undefined when there is no URI in the value or a bracket or quote is left open */
export function parseNameAddress(text: string): NameAddress | undefined {
  const value = text.trim();
  const open = indexOutsideQuotes(value, '<', 0);
  if (open < 0) {
    // An addr-spec without brackets: what follows `;` belongs to the header (RFC 3261 section 20).
    const [uri = '', ...parameters] = value.split(';');
    if (!schemePattern.test(uri)) return undefined;
    return { displayName: undefined, uri: uri.trim(), parameters: parameters.map(parameter) };
  }
  const close = value.indexOf('>', open);
  if (close < 0) return undefined;
  const name = value.slice(0, open).trim();
  return {
    displayName: name === '' ? undefined : unquote(name),
    uri: value.slice(open + 1, close).trim(),
    parameters: parseParameters(value.slice(close + 1)),
  };
}

/** Reads `;name=value;flag` up to its end; quoted values may hold `;`. */
export function parseParameters(text: string): (readonly [name: string, value: string])[] {
  const found: (readonly [string, string])[] = [];
  let at = text.indexOf(';');
  while (at >= 0) {
    const next = indexOutsideQuotes(text, ';', at + 1);
    const part = text.slice(at + 1, next < 0 ? undefined : next).trim();
    if (part !== '') found.push(parameter(part));
    at = next;
  }
  return found;
}

function parameter(text: string): readonly [name: string, value: string] {
  const equals = text.indexOf('=');
  if (equals < 0) return [unescape(text.trim()), ''];
  return [unescape(text.slice(0, equals).trim()), unescape(unquote(text.slice(equals + 1).trim()))];
}

function indexOutsideQuotes(text: string, wanted: string, from: number): number {
  let quoted = false;
  for (let at = from; at < text.length; at++) {
    const character = text[at];
    if (quoted && character === '\\') at++;
    else if (character === '"') quoted = !quoted;
    else if (!quoted && character === wanted) return at;
  }
  return -1;
}

function unquote(text: string): string {
  if (text.length < 2 || !text.startsWith('"') || !text.endsWith('"')) return text;
  return text.slice(1, -1).replace(/\\(.)/g, '$1');
}

/** Percent-decodes as UTF-8; text that is no valid escape stays as it is. */
function unescape(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
