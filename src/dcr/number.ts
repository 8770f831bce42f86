import type { NumberResolver } from './rules.ts';

/** Without ENUM a number stands for itself. */
export const unresolvedNumbers: NumberResolver = { resolve: (number) => number };

/**
 * Canonical form of a telephone number: visual separators (RFC 3966 section 5.1.1) and parameters
 * dropped, so that all ways of writing it give one key.
 *
 * @returns `+` and digits, or digits; undefined for anything else
 */
export function canonicalNumber(text: string): string | undefined {
  const number = bareNumber(text);
  return /^\+?[0-9]+$/.test(number) ? number : undefined;
}

/** The text without parameters and visual separators; a local number may hold more than digits. */
export function bareNumber(text: string): string {
  const semicolon = text.indexOf(';');
  return (semicolon === -1 ? text : text.slice(0, semicolon)).replace(/[-.() ]/g, '');
}
