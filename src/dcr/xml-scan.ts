import { dcrLimits } from '../config/defaults.ts';
import type { FaultList } from './fault-list.ts';
import { scanDoctype } from './xml-doctype.ts';
import { isReferenceAllowed } from './xml-references.ts';

/** An attribute as it stands in the file. */
export interface ScannedAttribute {
  readonly name: string;
  readonly offset: number;
}

/** A start tag as it stands in the file. */
export interface ScannedElement {
  readonly name: string;
  /** Of its `<`. */
  readonly offset: number;
  readonly attributes: readonly ScannedAttribute[];
  /** Of its first character data that is not white space; -1 when there is none. */
  textOffset: number;
}

const whiteSpace = /[ \t\n]*/y;
const nameCharacters = /[^\s<>=/"'&?!]+/y;
const goodName = /^[A-Za-z_][\w.-]*$/;

/**
 * Walks over the markup before any library sees it, and refuses what a rule file may not hold:
 * a second root, a document type with declarations, entities other than the five predefined, deep
 * nesting, names that JavaScript objects lend a meaning, unbalanced tags. Every fault gets its
 * place. Start tags are listed in the order of the file.
 */
export class XmlScanner {
  readonly #text: string;
  readonly #faults: FaultList;
  readonly #elements: ScannedElement[] = [];
  readonly #open: ScannedElement[] = [];
  #at = 0;
  #references = 0;
  #stopped = false;
  /** Range of the document type, for the caller to blank out. */
  doctype: readonly [start: number, end: number] | undefined;

  constructor(text: string, faults: FaultList) {
    this.#text = text;
    this.#faults = faults;
  }

  /** All start tags; meaningless when faults were added. */
  scan(): readonly ScannedElement[] {
    while (!this.#stopped && this.#at < this.#text.length) {
      const next = this.#text.indexOf('<', this.#at);
      const end = next === -1 ? this.#text.length : next;
      this.#characters(this.#at, end);
      this.#at = end;
      if (next !== -1) this.#markup();
    }
    if (!this.#stopped) this.#end();
    return this.#elements;
  }

  #end(): void {
    const open = this.#open.at(-1);
    if (open !== undefined) {
      this.#faults.add(open.offset, open.name, `<${open.name}> is never closed`);
    } else if (this.#elements.length === 0) {
      this.#faults.add(0, '', 'no element found; expected <user-centric-rules>');
    }
  }

  #markup(): void {
    const text = this.#text;
    if (text.startsWith('<!--', this.#at)) this.#comment();
    else if (text.startsWith('<![CDATA[', this.#at)) this.#characterData();
    else if (text.startsWith('<!', this.#at)) this.#documentType();
    else if (text.startsWith('<?', this.#at)) this.#instruction();
    else if (text.startsWith('</', this.#at)) this.#endTag();
    else this.#startTag();
  }

  #comment(): void {
    const end = this.#text.indexOf('--', this.#at + 4);
    if (end === -1) this.#stop(this.#at, 'comment without end; expected -->');
    else if (this.#text[end + 2] !== '>') this.#stop(end, '"--" is not allowed inside a comment');
    else this.#at = end + 3;
  }

  #characterData(): void {
    const end = this.#text.indexOf(']]>', this.#at);
    if (end === -1) {
      this.#stop(this.#at, 'CDATA section without end; expected ]]>');
    } else {
      this.#noteText(this.#at, end);
      this.#at = end + 3;
    }
  }

  #documentType(): void {
    const start = this.#at;
    if (this.doctype !== undefined || this.#elements.length > 0) {
      this.#stop(start, 'a DOCTYPE may stand only once, before the root');
      return;
    }
    const scanned = scanDoctype(this.#text, start);
    if (!scanned.ok) {
      this.#stop(start, scanned.fault);
      return;
    }
    this.doctype = [start, scanned.end];
    this.#at = scanned.end;
  }

  #instruction(): void {
    const end = this.#text.indexOf('?>', this.#at);
    if (end === -1) this.#stop(this.#at, 'processing instruction without end; expected ?>');
    else if (this.#at > 0 && /^<\?xml\s/i.test(this.#text.slice(this.#at, this.#at + 6))) {
      this.#stop(this.#at, 'the XML declaration may stand only at the very beginning');
    } else this.#at = end + 2;
  }

  #endTag(): void {
    const start = this.#at;
    this.#at += 2;
    const name = this.#name();
    this.#skip();
    const open = this.#open.pop();
    if (this.#text[this.#at] !== '>') {
      this.#stop(start, `closing tag is not understood; expected </${open?.name ?? 'name'}>`);
    } else if (open?.name !== name) {
      const expected =
        open === undefined
          ? 'nothing is open'
          : `expected </${open.name}>, opened in line ${this.#faults.line(open.offset)}`;
      this.#stop(start, `</${name}> does not fit; ${expected}`);
    } else this.#at += 1;
  }

  #startTag(): void {
    const offset = this.#at;
    this.#at += 1;
    const name = this.#name();
    if (name === '') {
      this.#stop(offset, '"<" is not followed by a name; write &lt; for the character');
      return;
    }
    this.#checkName(name, offset, name, 'element');
    if (this.#open.length === 0 && this.#elements.length > 0) {
      this.#stop(offset, `<${name}> is a second root; expected one root element`);
      return;
    }
    const attributes = this.#attributes(name, offset);
    if (attributes === undefined) return;
    const element = { name, offset, attributes, textOffset: -1 };
    this.#elements.push(element);
    if (this.#open.length >= dcrLimits.depthMax) {
      this.#stop(offset, `<${name}> is nested deeper than ${dcrLimits.depthMax} elements`, name);
    } else if (this.#text[this.#at] === '/') this.#at += 2;
    else {
      this.#at += 1;
      this.#open.push(element);
    }
  }

  /** Leaves the position at the `>` or `/>` that ends the tag; undefined after a fault. */
  #attributes(element: string, tagOffset: number): readonly ScannedAttribute[] | undefined {
    const found: ScannedAttribute[] = [];
    const names = new Set<string>();
    for (;;) {
      const spaced = this.#skip();
      const offset = this.#at;
      if (this.#text[offset] === '>' || this.#text.startsWith('/>', offset)) return found;
      const name = spaced ? this.#name() : '';
      if (name === '') {
        const place = offset < this.#text.length ? offset : tagOffset;
        this.#stop(place, `tag is not understood; expected an attribute, "/>" or ">"`, element);
        return undefined;
      }
      this.#checkName(name, offset, element, 'attribute');
      if (!this.#attributeValue(element, name, offset)) return undefined;
      if (names.has(name)) {
        this.#faults.add(offset, element, `<${element}>: attribute "${name}" stands twice`);
      }
      names.add(name);
      found.push({ name, offset });
    }
  }

  #attributeValue(element: string, name: string, offset: number): boolean {
    this.#skip();
    const hasEquals = this.#text[this.#at] === '=';
    this.#at += 1;
    this.#skip();
    const quote = this.#text[this.#at];
    const start = this.#at + 1;
    const end = quote === '"' || quote === "'" ? this.#text.indexOf(quote, start) : -1;
    if (!hasEquals || end === -1) {
      this.#stop(offset, `<${element}>: expected ${name}="value" in quotes`, element);
      return false;
    }
    const less = this.#text.slice(start, end).indexOf('<');
    if (less !== -1) {
      this.#stop(start + less, `<${element}>: "<" in the value of "${name}"; write &lt;`, element);
      return false;
    }
    this.#checkReferences(start, end, element);
    this.#at = end + 1;
    return true;
  }

  #characters(start: number, end: number): void {
    this.#noteText(start, end);
    const element = this.#open.at(-1)?.name ?? '';
    this.#checkReferences(start, end, element);
    const closing = this.#text.slice(start, end).indexOf(']]>');
    if (closing !== -1) this.#faults.add(start + closing, element, '"]]>" outside CDATA');
  }

  #noteText(start: number, end: number): void {
    const blank = /[^ \t\n]/g;
    blank.lastIndex = start;
    const first = blank.exec(this.#text)?.index ?? end;
    if (first >= end) return;
    const element = this.#open.at(-1);
    if (element === undefined) this.#stop(first, 'text outside the root element');
    else if (element.textOffset === -1) element.textOffset = first;
  }

  #checkReferences(start: number, end: number, element: string): void {
    // A slice, so that a search never runs on to the end of the file.
    const part = this.#text.slice(start, end);
    for (let at = part.indexOf('&'); at !== -1; at = part.indexOf('&', at + 1)) {
      this.#references += 1;
      if (this.#references > dcrLimits.referencesMax) {
        this.#stop(start + at, `more than ${dcrLimits.referencesMax} references`, element);
        return;
      }
      const reference = /^&[^;\s&<]{1,16};/.exec(part.slice(at, at + 18))?.[0];
      if (reference === undefined || !isReferenceAllowed(reference)) {
        const expected = 'expected &lt; &gt; &amp; &quot; &apos; or the number of a character';
        this.#faults.add(
          start + at,
          element,
          `reference "${reference ?? '&'}" is not allowed; ${expected}`,
        );
      }
    }
  }

  #checkName(name: string, offset: number, element: string, what: string): void {
    // Names such as __proto__ mean something to the objects that a parser builds.
    const isReserved = Object.hasOwn(Object.prototype, name) || name === 'prototype';
    if (goodName.test(name) && !isReserved) return;
    this.#faults.add(offset, element, `"${name.slice(0, 40)}" is not a name of an ${what}`);
  }

  #name(): string {
    nameCharacters.lastIndex = this.#at;
    const name = nameCharacters.exec(this.#text)?.[0] ?? '';
    this.#at += name.length;
    return name;
  }

  /** Skips white space; true when there was some. */
  #skip(): boolean {
    const before = this.#at;
    whiteSpace.lastIndex = before;
    this.#at += whiteSpace.exec(this.#text)?.[0].length ?? 0;
    return this.#at > before;
  }

  #stop(offset: number, text: string, element = this.#open.at(-1)?.name ?? ''): void {
    this.#faults.add(offset, element, text);
    this.#stopped = true;
  }
}
