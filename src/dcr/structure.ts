import type { FaultList } from './fault-list.ts';
import { elementNames, grammarOf, isRuleName, rootName } from './grammar.ts';
import type { ElementGrammar } from './grammar.ts';
import { suggest } from './suggest.ts';
import type { XmlElement } from './xml.ts';

/**
 * Checks names, places and numbers of elements and attributes, not what their values mean.
 *
 * @returns false when the root is another one, so that there are no rules to read
 */
export function checkStructure(root: XmlElement, faults: FaultList): boolean {
  if (root.name !== rootName) {
    const near = suggest(root.name, [rootName]);
    const text = `<${root.name}> is no rule file; expected the root <${rootName}>${near}`;
    faults.add(root.offset, root.name, text);
    return false;
  }
  if (root.children.length === 0) {
    faults.add(root.offset, root.name, `<${rootName}> is empty; expected sip-rules or http-rules`);
  }
  checkElement(root, faults);
  return true;
}

function checkElement(element: XmlElement, faults: FaultList): void {
  const grammar = grammarOf(element.name);
  if (grammar === undefined) return;
  checkAttributes(element, grammar, faults);
  if (element.textOffset !== -1 && !grammar.hasText) {
    const expected = grammar.children.length === 0 ? 'expected nothing' : 'expected elements only';
    faults.add(element.textOffset, element.name, `<${element.name}> holds text; ${expected}`);
  }
  const allowed: XmlElement[] = [];
  for (const child of element.children) {
    if (isAllowed(child, element, grammar, faults)) allowed.push(child);
  }
  checkNumbers(element, allowed, faults);
  for (const child of allowed) checkElement(child, faults);
}

function checkAttributes(element: XmlElement, grammar: ElementGrammar, faults: FaultList): void {
  const { name } = element;
  for (const attribute of element.attributes) {
    if (!grammar.attributes.includes(attribute.name)) {
      const expected =
        grammar.attributes.length === 0
          ? 'expected none'
          : `expected ${grammar.attributes.join(', ')}`;
      const near = suggest(attribute.name, grammar.attributes);
      const text = `<${name}>: unknown attribute "${attribute.name}"; ${expected}${near}`;
      faults.add(attribute.offset, name, text);
    } else if (attribute.value === '' && attribute.name !== 'prefix') {
      faults.add(attribute.offset, name, `<${name}>: attribute "${attribute.name}" is empty`);
    }
  }
  for (const required of grammar.required) {
    if (!element.attributes.some((attribute) => attribute.name === required)) {
      const text = `<${name}>: attribute "${required}" is missing; expected ${required}="..."`;
      faults.add(element.offset, name, text);
    }
  }
}

function isAllowed(
  child: XmlElement,
  parent: XmlElement,
  grammar: ElementGrammar,
  faults: FaultList,
): boolean {
  if (grammar.children.includes(child.name)) return true;
  const expected =
    grammar.children.length === 0 ? 'expected nothing' : `expected ${grammar.children.join(', ')}`;
  if (grammarOf(child.name) !== undefined) {
    const text = `<${child.name}> may not stand in <${parent.name}>; ${expected}`;
    faults.add(child.offset, child.name, text);
    return false;
  }
  const near = suggest(child.name, grammar.children) || suggest(child.name, elementNames);
  faults.add(child.offset, child.name, `unknown element <${child.name}>; ${expected}${near}`);
  return false;
}

/** Elements that must not be empty, must stand once, first or last. */
function checkNumbers(
  element: XmlElement,
  children: readonly XmlElement[],
  faults: FaultList,
): void {
  switch (element.name) {
    case 'user-centric-rules':
      refuseSecond(children, 'sip-rules', faults);
      refuseSecond(children, 'http-rules', faults);
      return;
    case 'or':
    case 'and':
      requireRule(element, faults);
      return;
    case 'if':
      requireRule(element, faults);
      refuseSecond(children, 'else', faults);
      refuseElseBeforeRule(children, faults);
      return;
    case 'session-case':
      requireRule(element, faults);
      checkEqual(element, children, faults);
      return;
    case 'header':
    case 'cookie':
      requireOne(element, children, 'exist or notexist', faults);
      return;
    case 'request-uri':
      requireOne(element, children, 'exist, notexist or match', faults);
      checkRequestUri(element, children, faults);
      return;
    default:
  }
}

function requireRule(element: XmlElement, faults: FaultList): void {
  // A misspelt rule was reported already; only a truly missing one is a fault of its own.
  const others: readonly string[] = ['else', 'equal'];
  const hasCandidate = element.children.some(
    ({ name }) => isRuleName(name) || (!others.includes(name) && grammarOf(name) === undefined),
  );
  if (hasCandidate) return;
  const text = `<${element.name}> holds no condition; expected at least one rule in it`;
  faults.add(element.offset, element.name, text);
}

function refuseSecond(children: readonly XmlElement[], name: string, faults: FaultList): void {
  const [, second] = children.filter((child) => child.name === name);
  if (second !== undefined) {
    faults.add(second.offset, name, `<${name}> stands twice; expected at most one`);
  }
}

function refuseElseBeforeRule(children: readonly XmlElement[], faults: FaultList): void {
  const at = children.findIndex(({ name }) => name === 'else');
  const later = at === -1 ? undefined : children.slice(at).find(({ name }) => isRuleName(name));
  if (later !== undefined) {
    const text = `<${later.name}> stands after <else>; expected <else> as the last element of <if>`;
    faults.add(later.offset, later.name, text);
  }
}

function checkEqual(element: XmlElement, children: readonly XmlElement[], faults: FaultList): void {
  const equals = children.filter(({ name }) => name === 'equal');
  if (equals.length === 0) {
    const text = '<session-case> lacks <equal>; expected <equal> as its first element';
    faults.add(element.offset, element.name, text);
  } else if (children[0]?.name !== 'equal') {
    const text = '<equal> comes too late; expected it as the first element of <session-case>';
    faults.add(equals[0]!.offset, 'equal', text);
  }
  refuseSecond(children, 'equal', faults);
}

function requireOne(
  element: XmlElement,
  children: readonly XmlElement[],
  expected: string,
  faults: FaultList,
): void {
  const { name, offset } = element;
  if (element.children.length === 0) {
    faults.add(offset, name, `<${name}> holds no condition; expected ${expected}`);
  } else if (children.length > 1) {
    const second = children[1]!;
    const text = `<${name}> holds more than one condition; expected one of ${expected}`;
    faults.add(second.offset, second.name, text);
  }
}

/** `parameter` and `return` are required with `exist` and `notexist`, optional with `match`. */
function checkRequestUri(
  element: XmlElement,
  children: readonly XmlElement[],
  faults: FaultList,
): void {
  const [condition] = children;
  if (condition === undefined || condition.name === 'match') return;
  for (const required of ['parameter', 'return']) {
    if (element.attributes.some(({ name }) => name === required)) continue;
    const text = `<request-uri>: attribute "${required}" is missing; <${condition.name}> requires it`;
    faults.add(element.offset, element.name, text);
  }
}
