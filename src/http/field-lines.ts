import { httpLimits } from '../config/defaults.ts';
import { isTokenCode, isValueCode, withoutBlanks } from './characters.ts';
import { type HttpFault, httpFault } from './fault.ts';

const carriageReturn = 0x0d;
const lineFeed = 0x0a;
const colon = 0x3a;

/** The headers that the reader of a head must understand, each with its values in order. */
export interface Directives {
  hosts: readonly string[];
  /** Each Content-Length line. */
  lengths: readonly string[];
  /** Each Transfer-Encoding line. */
  codings: readonly string[];
  expectations: readonly string[];
  /** Each Upgrade line. */
  upgrades: readonly string[];
  /** Names listed in Connection, lower case. */
  connectionOptions: readonly string[];
  /** TE lists `trailers`. */
  acceptsTrailers: boolean;
}

const none: readonly string[] = [];

export function noDirectives(): Directives {
  return {
    hosts: none,
    lengths: none,
    codings: none,
    expectations: none,
    upgrades: none,
    connectionOptions: none,
    acceptsTrailers: false,
  };
}

/**
 * Checks field lines (RFC 9112 section 5), each with its CRLF, to the end of the text. A line is refused
 * that has no or an impossible name, a blank before the colon, a fold, a bare CR or LF, a control
 * character in the value.
 *
 * @param found takes what the reader must understand
 * @param countMax lines, and names in Connection
 * @returns undefined when all are good
 */
export function fieldsFault(
  text: string,
  from: number,
  found: Directives,
  countMax: number = httpLimits.headerCountMax,
): HttpFault | undefined {
  let count = 0;
  let at = from;
  while (at < text.length) {
    if (++count > countMax) return httpFault('HTTP_HEADERS_TOO_MANY');
    let nameEnd = at;
    while (isTokenCode(text.charCodeAt(nameEnd))) nameEnd++;
    if (nameEnd === at || text.charCodeAt(nameEnd) !== colon) return lineFault(text, nameEnd);
    let end = nameEnd + 1;
    while (isValueCode(text.charCodeAt(end))) end++;
    if (text.charCodeAt(end) !== carriageReturn || text.charCodeAt(end + 1) !== lineFeed) {
      return lineFault(text, end);
    }
    note(found, text, at, nameEnd, end);
    at = end + 2;
  }
  const isListTooLong = found.connectionOptions.length > countMax;
  return isListTooLong ? httpFault('HTTP_HEADERS_TOO_MANY') : undefined;
}

/** @param at the character that may not stand there */
function lineFault(text: string, at: number): HttpFault {
  const code = text.charCodeAt(at);
  const isEnd = code === lineFeed || code === carriageReturn;
  const isBare = isEnd && !(code === carriageReturn && text.charCodeAt(at + 1) === lineFeed);
  return httpFault(isBare ? 'HTTP_LINE_INVALID' : 'HTTP_HEADER_INVALID');
}

function note(found: Directives, text: string, at: number, nameEnd: number, end: number): void {
  // No two of them are equally long, and few other headers are.
  const lower = directives[nameEnd - at];
  if (lower !== undefined && isName(text, at, lower))
    take(found, lower, withoutBlanks(text, nameEnd + 1, end));
}

const directives: (string | undefined)[] = [];
for (const lower of [
  'te',
  'host',
  'expect',
  'upgrade',
  'connection',
  'content-length',
  'transfer-encoding',
]) {
  directives[lower.length] = lower;
}

function take(found: Directives, lower: string, text: string): void {
  switch (lower) {
    case 'te':
      found.acceptsTrailers ||= /(?:^|,)[ \t]*trailers/i.test(text);
      break;
    case 'host':
      found.hosts = [...found.hosts, text];
      break;
    case 'expect':
      found.expectations = [...found.expectations, text];
      break;
    case 'upgrade':
      found.upgrades = [...found.upgrades, text];
      break;
    case 'connection':
      found.connectionOptions = withOptions(found.connectionOptions, text);
      break;
    case 'content-length':
      found.lengths = [...found.lengths, text];
      break;
    case 'transfer-encoding':
      found.codings = [...found.codings, text];
      break;
  }
}

const keepAlive: readonly string[] = ['keep-alive'];

/** One more than there may be stands for any number of them: each is compared with each header. */
function withOptions(options: readonly string[], list: string): readonly string[] {
  if (options.length === 0 && list === 'keep-alive') return keepAlive;
  const left = Math.max(0, httpLimits.headerCountMax - options.length);
  const names = list.split(',', left + 1).map((option) => withoutBlanks(option).toLowerCase());
  const isTooLong = names.length > left;
  return [...options, ...(isTooLong ? names : names.filter((name) => name !== ''))];
}

/**
 * Whether the name here is this one, in any case of its letters.
 *
 * @param lower the name in lower case
 */
export function isName(text: string, at: number, lower: string): boolean {
  for (let index = 0; index < lower.length; index++) {
    if (lowerOf(text.charCodeAt(at + index)) !== lower.charCodeAt(index)) return false;
  }
  return true;
}

/** Of a capital letter alone: what else a token may hold lies one bit apart as well, as `^` and `~`. */
function lowerOf(code: number): number {
  return code >= 0x41 && code <= 0x5a ? code | 0x20 : code;
}
