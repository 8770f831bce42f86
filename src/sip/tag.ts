import { isBlank, trimmed } from './token.ts';

const QUOTE = 34;
const COMMA = 44;
const LESS = 60;
const EQUALS = 61;
const GREATER = 62;
const DEL = 127;

/**
 * The `tag` header parameter of a From or To value.
 *
 * @returns undefined when it has none; null when quotes or brackets are left open, or the tag is
 *   empty, no single word or given twice: others might read another one
 */
export function readTag(value: string): string | null | undefined {
  const parameters = endOfAddress(value);
  if (parameters < 0) return null;
  let tag: string | undefined;
  // The next quote is looked for once, not for each parameter: many parameters cost no more than few.
  let quote = value.indexOf('"', parameters);
  for (let at = parameters; at < value.length;) {
    const start = at + 1;
    at = endOfParameter(value, start);
    while (quote >= 0 && quote < at) {
      const behind = endOfQuotes(value, quote);
      if (behind < 0) return null;
      if (behind > at) at = endOfParameter(value, behind);
      quote = value.indexOf('"', behind);
    }
    const valueStart = endOfTagName(value, start, at);
    if (valueStart < 0) continue;
    const text = trimmed(value.slice(valueStart, at));
    if (tag !== undefined || !isWord(text)) return null;
    tag = text;
  }
  return tag;
}

/** {@link readTag} where a malformed value counts as one without tag. */
export function tagOf(value: string): string | undefined {
  return readTag(value) ?? undefined;
}

/** Offset of the first `;` of the header's own parameters, or the length; -1 when it is unclear. */
function endOfAddress(value: string): number {
  let bracket = value.indexOf('<');
  let quote = value.indexOf('"');
  let from = 0;
  while (quote >= 0 && (bracket < 0 || quote < bracket)) {
    from = endOfQuotes(value, quote);
    if (from < 0) return -1;
    if (bracket >= 0 && bracket < from) bracket = value.indexOf('<', from);
    quote = value.indexOf('"', from);
  }
  return afterAddress(value, from, bracket);
}

/** @param from offset behind the quoted display name, or 0 */
function afterAddress(value: string, from: number, open: number): number {
  if (open < 0) {
    // Without brackets all parameters are the header's (RFC 3261 section 20).
    const semicolon = value.indexOf(';', value.charCodeAt(0) === QUOTE ? from : 0);
    return semicolon < 0 ? value.length : semicolon;
  }
  const semicolon = value.indexOf(';', from);
  if (semicolon >= 0 && semicolon < open) return -1;
  let at = value.indexOf('>', open) + 1;
  if (at === 0) return -1;
  while (at < value.length && isBlank(value.charCodeAt(at))) at++;
  return at === value.length || value[at] === ';' ? at : -1;
}

/** Offset behind the quote that closes the one at `quote`; -1 when there is none. */
export function endOfQuotes(value: string, quote: number): number {
  for (let at = quote + 1; at < value.length; at++) {
    if (value[at] === '\\') at++;
    else if (value[at] === '"') return at + 1;
  }
  return -1;
}

/** Offset of the next `;`, or the length. */
function endOfParameter(value: string, start: number): number {
  const end = value.indexOf(';', start);
  return end < 0 ? value.length : end;
}

/** Offset behind the `=` of a parameter named `tag`, behind its name without one; -1 for others. */
function endOfTagName(value: string, start: number, end: number): number {
  let at = start;
  while (at < end && isBlank(value.charCodeAt(at))) at++;
  const isTag =
    (value.charCodeAt(at) | 0x20) === 0x74 &&
    (value.charCodeAt(at + 1) | 0x20) === 0x61 &&
    (value.charCodeAt(at + 2) | 0x20) === 0x67;
  if (!isTag || at + 3 > end) return -1;
  at += 3;
  while (at < end && isBlank(value.charCodeAt(at))) at++;
  if (at === end) return end;
  return value.charCodeAt(at) === EQUALS ? at + 1 : -1;
}

/** A tag is compared, not understood: any visible characters that end nothing. */
function isWord(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code <= 0x20 || code === DEL || code === QUOTE || code === COMMA) return false;
    if (code === LESS || code === GREATER) return false;
  }
  return text !== '';
}
