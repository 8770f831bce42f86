import { dcrLimits } from '../config/defaults.ts';
import { bareNumber, canonicalNumber } from './number.ts';
import type { RuleTools } from './rules.ts';
import type { UriParts } from './subject.ts';
import { valueOf } from './value.ts';
import type { Value } from './value.ts';

/** Part of a resolved URI that a variable asks for; undefined for the whole. */
export type ResolvedPart = 'user' | 'host' | undefined;

/**
 * Resolves URIs for `resolve` variables: telephone numbers by the resolver, everything else stays
 * as it is. Remembers which number an evaluation waits for.
 */
export class Resolution {
  readonly tools: RuleTools;
  /** The number that made a value undefined. */
  pendingNumber = '';

  constructor(tools: RuleTools) {
    this.tools = tools;
  }

  /**
   * Resolves the text of a URI.
   *
   * @param outside parameters behind a URI without angle brackets: in headers they belong to the
   *   header, but `user=phone` can only have meant the URI
   */
  uri(text: string, part: ResolvedPart, outside: UriParts['parameters'] = []): Value {
    const parts = this.tools.uris.uri(text);
    if (parts === undefined) return null;
    if (parts.scheme === 'tel') return this.#number(parts.user ?? '', part);
    if (isPhone(parts.parameters) || isPhone(outside)) {
      const number = canonicalNumber(parts.user ?? '');
      if (number !== undefined) return this.#number(number, part);
    }
    return part === undefined ? valueOf(text) : valueOf(parts[part]);
  }

  /** User part of a text that is a URI, a number, or a user part itself. */
  userOf(text: string): Value {
    if (this.tools.uris.uri(text) !== undefined) return this.uri(text, 'user');
    if (canonicalNumber(text) !== undefined) return this.#number(text, 'user');
    return valueOf(text);
  }

  #number(text: string, part: ResolvedPart): Value {
    const number = canonicalNumber(text);
    // A local number such as *21# has no E.164 form to look up.
    if (number === undefined) return part === 'host' ? null : valueOf(bareNumber(text));
    const answer = this.tools.numbers.resolve(number);
    if (answer === undefined) {
      this.pendingNumber = number;
      return undefined;
    }
    if (part === undefined) return valueOf(answer);
    const parts = answer === number ? undefined : this.tools.uris.uri(answer);
    if (parts !== undefined) return valueOf(parts[part]);
    return part === 'user' ? number : null;
  }
}

/** `user=phone` marks a SIP URI whose user part is a number (RFC 3261 section 19.1.1). */
function isPhone(parameters: UriParts['parameters']): boolean {
  for (const [name, value] of parameters) {
    if (name.toLowerCase() === 'user') return value.toLowerCase() === 'phone';
  }
  return false;
}

/** Splits a comma list of name-addrs; commas in quotes and angle brackets do not count. */
export function splitList(text: string): readonly string[] {
  const elements: string[] = [];
  let start = 0;
  let isQuoted = false;
  let isBracketed = false;
  for (let at = 0; at < text.length && elements.length < dcrLimits.listElementsMax; at += 1) {
    const character = text[at];
    if (character === '\\' && isQuoted) at += 1;
    else if (character === '"') isQuoted = !isQuoted;
    else if (isQuoted) continue;
    else if (character === '<' || character === '>') isBracketed = character === '<';
    else if (character === ',' && !isBracketed) {
      elements.push(text.slice(start, at).trim());
      start = at + 1;
    }
  }
  if (elements.length < dcrLimits.listElementsMax) elements.push(text.slice(start).trim());
  return elements;
}
