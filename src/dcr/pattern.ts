import { RE2JS } from 're2js';
import { dcrLimits } from '../config/defaults.ts';

export type ParsedPattern =
  { readonly ok: true; readonly pattern: Pattern } | { readonly ok: false; readonly fault: string };

/**
 * A regular expression of a rule file with its prefix. It runs on an engine of linear time, so no
 * request can make it slow; look-around and back-references do not exist there.
 */
export class Pattern {
  readonly #expression: RE2JS;
  readonly #prefix: string;
  readonly #group: 0 | 1;

  private constructor(expression: RE2JS, prefix: string) {
    this.#expression = expression;
    this.#prefix = prefix;
    this.#group = expression.groupCount() > 0 ? 1 : 0;
  }

  /** @param text the expression in the syntax of RE2, which is that of Java without backtracking */
  static parse(text: string, prefix: string): ParsedPattern {
    if (text === '') return { ok: false, fault: 'expected a regular expression' };
    if (text.length > dcrLimits.patternCharactersMax) {
      const limit = dcrLimits.patternCharactersMax;
      return { ok: false, fault: `the expression is longer than ${limit} characters` };
    }
    let expression: RE2JS;
    try {
      expression = RE2JS.compile(text);
    } catch (error) {
      return { ok: false, fault: faultOf(text, error) };
    }
    if (expression.programSize() > dcrLimits.patternProgramMax) {
      return {
        ok: false,
        fault: 'the expression is too large when its repetitions are written out',
      };
    }
    return { ok: true, pattern: new Pattern(expression, prefix) };
  }

  /**
   * Prefix and first capturing group of the first match anywhere in the text (the whole match when
   * there is no group); null when nothing matches or the group is empty.
   */
  value(text: string): string | null {
    // A bare test is many times cheaper than a search for groups, and most rules do not match.
    if (!this.#expression.test(text)) return null;
    const matcher = this.#expression.matcher(text);
    if (!matcher.find()) return null;
    const group = matcher.group(this.#group);
    return group === null || group === '' ? null : this.#prefix + group;
  }
}

function faultOf(text: string, error: unknown): string {
  const reason = error instanceof Error ? error.message : 'not understood';
  const hint =
    /\(\?<?[=!]/.test(text) || /\\[1-9]|\\k</.test(text)
      ? '; look-around and back-references are not supported (linear-time engine)'
      : '';
  return `the regular expression is refused: ${reason}${hint}`;
}
