import { isHeaderValue, isToken, withoutBlanks } from './characters.ts';
import type { HeaderList } from './exchange.ts';
import { fieldsFault, isName, noDirectives } from './field-lines.ts';

const colon = 0x3a;

/**
 * The field lines of one head, checked: names are tokens, values hold no control character but the
 * tab. Kept as the text that stands on the wire (`Name: value\r\n` each, latin1), because most heads go
 * on as they came; a list is made only for those who ask for one.
 */
export class HeaderBlock {
  static readonly empty: HeaderBlock = new HeaderBlock('');

  /** All lines, each with its CRLF. */
  readonly text: string;
  #list: HeaderList | undefined;

  private constructor(text: string) {
    this.text = text;
  }

  /** Takes lines that a parser has checked. */
  static checked(text: string): HeaderBlock {
    return text === '' ? HeaderBlock.empty : new HeaderBlock(text);
  }

  /**
   * Checks lines as another peer wrote them, any number: that peer has counted those of its client and
   * added its own. Undefined when they are none, or state framing.
   */
  static read(text: string): HeaderBlock | undefined {
    const found = noDirectives();
    if (fieldsFault(text, 0, found, Infinity) !== undefined) return undefined;
    const isFramed = found.lengths.length > 0 || found.codings.length > 0;
    return isFramed ? undefined : HeaderBlock.checked(text);
  }

  /** Makes lines of a list. Throws a TypeError for what cannot be written without changing the message. */
  static of(list: HeaderList): HeaderBlock {
    return HeaderBlock.checked(fieldLines(list));
  }

  get isEmpty(): boolean {
    return this.text === '';
  }

  /** First value of a header; undefined when there is none. @param lower the name in lower case */
  get(lower: string): string | undefined {
    const at = lineNamed(this.text, lower, 0);
    return at < 0 ? undefined : valueAt(this.text, at + lower.length + 1);
  }

  /** All values of a header in order. @param lower the name in lower case */
  all(lower: string): string[] {
    const { text } = this;
    const values: string[] = [];
    let at = lineNamed(text, lower, 0);
    while (at >= 0) {
      values.push(valueAt(text, at + lower.length + 1));
      at = lineNamed(text, lower, lineEnd(text, at));
    }
    return values;
  }

  /** Names and values in order; made once. */
  list(): HeaderList {
    this.#list ??= listOf(this.text);
    return this.#list;
  }

  /** The same with more lines behind. @param lines checked, each with its CRLF */
  followedBy(lines: string): HeaderBlock {
    return lines === '' ? this : new HeaderBlock(this.text + lines);
  }

  /** The lines whose lower-case name the callback wants to keep. */
  filtered(keeps: (lower: string) => boolean): HeaderBlock {
    const { text } = this;
    let kept = '';
    let from = 0;
    for (let at = 0; at < text.length;) {
      const end = lineEnd(text, at);
      if (!keeps(text.slice(at, text.indexOf(':', at)).toLowerCase())) {
        kept += text.slice(from, at);
        from = end;
      }
      at = end;
    }
    return from === 0 ? this : HeaderBlock.checked(kept + text.slice(from));
  }
}

/**
 * Lines of a list, each with its CRLF. Throws a TypeError for what cannot be written as it is, and for
 * framing, which is written from the body alone: a second statement of it would split the message.
 */
export function fieldLines(list: HeaderList): string {
  let lines = '';
  for (const [name, value] of list) {
    if (!isToken(name) || !isHeaderValue(value) || isFraming(name)) {
      throw new TypeError('Header cannot be written');
    }
    lines += `${name}: ${value}\r\n`;
  }
  return lines;
}

function isFraming(name: string): boolean {
  if (name.length !== 14 && name.length !== 17) return false;
  const lower = name.toLowerCase();
  return lower === 'content-length' || lower === 'transfer-encoding';
}

/** Where the line behind this one begins. */
export function lineEnd(text: string, at: number): number {
  return text.indexOf('\r\n', at) + 2;
}

/** Begin of the next line with this name, or -1. */
function lineNamed(text: string, lower: string, from: number): number {
  for (let at = from; at < text.length; at = lineEnd(text, at)) {
    if (text.charCodeAt(at + lower.length) === colon && isName(text, at, lower)) return at;
  }
  return -1;
}

/** The value that begins behind a colon, without the blanks around it. */
function valueAt(text: string, from: number): string {
  return withoutBlanks(text, from, text.indexOf('\r\n', from));
}

function listOf(text: string): HeaderList {
  const list: [string, string][] = [];
  for (let at = 0; at < text.length; at = lineEnd(text, at)) {
    const nameEnd = text.indexOf(':', at);
    list.push([text.slice(at, nameEnd), valueAt(text, nameEnd + 1)]);
  }
  return list;
}
