import type { ElseNode, Place, RuleNode, SessionCase } from './document.ts';
import type { FaultList } from './fault-list.ts';
import { isRuleName } from './grammar.ts';
import { Pattern } from './pattern.ts';
import { suggest } from './suggest.ts';
import { parseVariable } from './variable.ts';
import type { Protocol, Variable } from './variable.ts';
import type { XmlElement } from './xml.ts';

const sessionCases: readonly SessionCase[] = [
  'EXTERNAL',
  'ORIGINATING',
  'TERMINATING',
  'TERMINATING_UNREGISTERED',
];

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/**
 * Turns checked elements into rules: reads variables, session cases and expressions. What the
 * structure already refused is left out silently; its fault is on the list.
 */
export class RuleReader {
  readonly #protocol: Protocol;
  readonly #faults: FaultList;

  constructor(protocol: Protocol, faults: FaultList) {
    this.#protocol = protocol;
    this.#faults = faults;
  }

  /** The rules among `elements`, in document order. */
  rules(elements: readonly XmlElement[]): RuleNode[] {
    const nodes: RuleNode[] = [];
    for (const element of elements) {
      const node = isRuleName(element.name) ? this.#rule(element) : undefined;
      if (node !== undefined) nodes.push(node);
    }
    return nodes;
  }

  #rule(element: XmlElement): RuleNode | undefined {
    switch (element.name) {
      case 'or':
      case 'and':
        return {
          kind: element.name,
          place: this.#place(element),
          children: this.rules(element.children),
        };
      case 'if':
        return this.#if(element);
      case 'session-case':
        return this.#sessionCase(element);
      case 'request-uri':
        return this.#requestUri(element);
      default:
        return this.#presence(element, element.name === 'cookie' ? 'cookie' : 'header', 'name');
    }
  }

  #if(element: XmlElement): RuleNode {
    const otherwise = element.children.find(({ name }) => name === 'else');
    return {
      kind: 'if',
      place: this.#place(element),
      children: this.rules(element.children),
      otherwise: otherwise === undefined ? undefined : this.#else(otherwise),
    };
  }

  #else(element: XmlElement): ElseNode | undefined {
    const value = this.#variable(element, false);
    if (value === undefined) return undefined;
    return { place: this.#place(element), value };
  }

  #sessionCase(element: XmlElement): RuleNode | undefined {
    const children = this.rules(element.children);
    const equal = element.children.find(({ name }) => name === 'equal');
    if (equal === undefined) return undefined;
    const text = equal.text.trim();
    const sessionCase = sessionCases.find((name) => name === text);
    if (sessionCase === undefined) {
      const near = suggest(text, sessionCases);
      const expected = `expected ${sessionCases.join(', ')}${near}`;
      const place = equal.textOffset === -1 ? equal.offset : equal.textOffset;
      this.#faults.add(place, 'equal', `<equal>: unknown session case "${text}"; ${expected}`);
      return undefined;
    }
    const place = this.#place(element, ` equal ${sessionCase}`);
    return { kind: 'session-case', place, sessionCase, children };
  }

  #requestUri(element: XmlElement): RuleNode | undefined {
    const match = element.children.find(({ name }) => name === 'match');
    if (match === undefined) return this.#presence(element, 'parameter', 'parameter');
    const parsed = Pattern.parse(match.text.trim(), valueOf(match, 'prefix') ?? '');
    if (!parsed.ok) {
      const place = match.textOffset === -1 ? match.offset : match.textOffset;
      this.#faults.add(place, 'match', `<match>: ${parsed.fault}`);
    }
    const hasReturn = valueOf(element, 'return') !== undefined;
    const value = hasReturn ? this.#variable(element, true) : undefined;
    if (!parsed.ok || (hasReturn && value === undefined)) return undefined;
    return {
      kind: 'match',
      place: this.#place(element, ` match ${match.text.trim()}`),
      pattern: parsed.pattern,
      parameter: valueOf(element, 'parameter'),
      value,
    };
  }

  #presence(
    element: XmlElement,
    kind: 'header' | 'cookie' | 'parameter',
    nameAttribute: string,
  ): RuleNode | undefined {
    const name = valueOf(element, nameAttribute);
    if (kind === 'header' && name !== undefined && name !== '' && !token.test(name)) {
      const offset = element.attributes.find((a) => a.name === nameAttribute)!.offset;
      this.#faults.add(offset, 'header', `<header>: "${name}" is not the name of a header`);
    }
    const value = this.#variable(element, false);
    const presence = element.children.find((child) => /^(?:not)?exist$/.test(child.name))?.name;
    if (name === undefined || value === undefined || presence === undefined) return undefined;
    return {
      kind,
      place: this.#place(element, ` ${presence}`),
      name,
      presence: presence === 'exist' ? 'exist' : 'notexist',
      value,
    };
  }

  /** The variable of `return`; undefined after a fault or when it is missing. */
  #variable(element: XmlElement, hasMatch: boolean): Variable | undefined {
    const attribute = element.attributes.find(({ name }) => name === 'return');
    if (attribute === undefined || attribute.value === '') return undefined;
    const parsed = parseVariable(attribute.value, this.#protocol);
    const fault = parsed.ok ? this.#misplaced(element, parsed.variable, hasMatch) : parsed.fault;
    if (fault !== undefined) {
      this.#faults.add(attribute.offset, element.name, `<${element.name}>: ${fault}`);
    }
    return parsed.ok && fault === undefined ? parsed.variable : undefined;
  }

  #misplaced(element: XmlElement, variable: Variable, hasMatch: boolean): string | undefined {
    const { source, reading, text } = variable;
    const needsMatch =
      source.kind === 'match' || (source.kind === 'header' && reading.kind.startsWith('match'));
    if (needsMatch && !hasMatch) {
      return `variable "${text}" has no value here; expected it in a request-uri with match`;
    }
    if (source.kind === 'cookie' && this.#protocol === 'sip' && element.name !== 'cookie') {
      return `variable "${text}" has no value in sip-rules; SIP knows no cookies`;
    }
    return undefined;
  }

  #place(element: XmlElement, suffix = ''): Place {
    const attributes = element.attributes.map(({ name, value }) => ` ${name}="${value}"`).join('');
    return {
      line: this.#faults.line(element.offset),
      element: `${element.name}${attributes}${suffix}`,
    };
  }
}

function valueOf(element: XmlElement, attribute: string): string | undefined {
  return element.attributes.find(({ name }) => name === attribute)?.value;
}
