import { RE2JS } from 're2js';
import { dcrLimits, enumLimits } from '../../config/defaults.ts';

/** A NAPTR record (RFC 3403 section 4.1). */
export interface NaptrRecord {
  readonly order: number;
  readonly preference: number;
  readonly flags: string;
  readonly service: string;
  readonly regexp: string;
  /** Lower case, without a last dot; empty where the expression counts. */
  readonly replacement: string;
}

/**
 * The SIP URI that the records give for a number: service `E2U+sip`, flag `u`, lowest order and
 * then lowest preference first (RFC 6116 section 3.4). A record that is malformed, does not match
 * or makes no SIP URI is passed over.
 *
 * @param number `+` and digits
 */
export function chooseSipUri(records: readonly NaptrRecord[], number: string): string | undefined {
  const usable = records
    .slice(0, enumLimits.recordsMax)
    .filter((record) => record.flags.toLowerCase() === 'u' && isSipService(record.service))
    .sort((a, b) => a.order - b.order || a.preference - b.preference);
  for (const record of usable) {
    const uri = substitute(record.regexp, number);
    if (uri !== undefined) return uri;
  }
  return undefined;
}

/** `E2U` followed by services of which one is `sip`, with or without a subtype. */
function isSipService(service: string): boolean {
  const [application, ...services] = service.toLowerCase().split('+');
  return application === 'e2u' && services.some((name) => name.split(':', 1)[0] === 'sip');
}

/**
 * Applies a substitution expression (RFC 3402 section 3.2) such as `!^.*$!sip:info@example.com!`.
 * The record's owner writes the expression, so it runs on the engine of linear time.
 */
function substitute(expression: string, number: string): string | undefined {
  const [pattern, replacement, flags, ...more] = splitExpression(expression);
  if (pattern === undefined || replacement === undefined || flags === undefined) return undefined;
  if (more.length > 0 || !/^i?$/i.test(flags)) return undefined;
  const compiled = compile(pattern, flags !== '');
  const matcher = compiled?.matcher(number);
  if (compiled === undefined || matcher?.find() !== true) return undefined;
  const expanded = replacement.replace(/\\([1-9\\])/g, (_, reference: string) => {
    const group = Number(reference);
    if (Number.isNaN(group)) return reference;
    return group <= compiled.groupCount() ? (matcher.group(group) ?? '') : '';
  });
  const uri = number.slice(0, matcher.start()) + expanded + number.slice(matcher.end());
  const isSound = uri.length <= enumLimits.uriCharactersMax && /^sips?:[\x21-\x7e]+$/i.test(uri);
  return isSound ? uri : undefined;
}

function compile(pattern: string, ignoresCase: boolean): RE2JS | undefined {
  if (pattern === '' || pattern.length > dcrLimits.patternCharactersMax) return undefined;
  try {
    const compiled = RE2JS.compile(pattern, ignoresCase ? RE2JS.CASE_INSENSITIVE : 0);
    return compiled.programSize() > dcrLimits.patternProgramMax ? undefined : compiled;
  } catch {
    // Somebody else's record is broken: it does not apply.
    return undefined;
  }
}

/** Splits at the delimiter, which is the first character; behind a backslash it does not count. */
function splitExpression(expression: string): string[] {
  const delimiter = expression[0];
  if (delimiter === undefined || /[0-9\\i]/i.test(delimiter)) return [];
  const parts: string[] = [];
  let part = '';
  for (let at = 1; at < expression.length; at += 1) {
    const character = expression[at]!;
    if (character === '\\' && expression[at + 1] === delimiter) {
      part += delimiter;
      at += 1;
    } else if (character === '\\') {
      part += character + (expression[at + 1] ?? '');
      at += 1;
    } else if (character === delimiter) {
      parts.push(part);
      part = '';
    } else part += character;
  }
  parts.push(part);
  return parts;
}
