import { XMLParser } from 'fast-xml-parser';
import type { FaultList } from './fault-list.ts';
import { decodeReferences } from './xml-references.ts';
import { XmlScanner } from './xml-scan.ts';
import type { ScannedElement } from './xml-scan.ts';

/** An attribute with its decoded value. */
export interface XmlAttribute {
  readonly name: string;
  readonly value: string;
  /** Of its name in the text. */
  readonly offset: number;
}

/** An element with its place; comments and processing instructions are gone. */
export interface XmlElement {
  readonly name: string;
  /** Of its `<` in the text. */
  readonly offset: number;
  readonly attributes: readonly XmlAttribute[];
  readonly children: readonly XmlElement[];
  /** Its own character data, decoded. */
  readonly text: string;
  /** Of the first character of `text` that is not white space; -1 when there is none. */
  readonly textOffset: number;
}

const attributesKey = ':@';
const textKey = '#text';
const cdataKey = '#cdata';

/** Options by which the library neither guesses, expands nor drops anything. */
const parser: XMLParser = new XMLParser({
  preserveOrder: true,
  captureMetaData: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  textNodeName: textKey,
  cdataPropName: cdataKey,
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
  processEntities: false,
  ignoreDeclaration: true,
  ignorePiTags: true,
});
const metaData = XMLParser.getMetaDataSymbol() as symbol;

type ParsedNode = Readonly<Record<string | symbol, unknown>>;

/**
 * Reads well-formed XML into a tree with places. Undefined when a fault was added to `faults`.
 * The library parses only what the scanner has passed; where the two do not see the same elements
 * at the same places, the file is refused.
 */
export function readXml(text: string, faults: FaultList): XmlElement | undefined {
  const scanner = new XmlScanner(text, faults);
  const scanned = scanner.scan();
  if (!faults.isEmpty) return undefined;
  const { doctype } = scanner;
  const source =
    doctype === undefined
      ? text
      : text.slice(0, doctype[0]) + ' '.repeat(doctype[1] - doctype[0]) + text.slice(doctype[1]);
  try {
    const parsed = parser.parse(source) as readonly ParsedNode[];
    const reader = new TreeReader(scanned);
    const roots = reader.elements(parsed);
    if (roots.length === 1 && reader.isDone) return roots[0];
    faults.add(0, '', 'the XML is not understood');
  } catch (error) {
    faults.add(0, '', `the XML is not understood: ${error instanceof Error ? error.message : ''}`);
  }
  return undefined;
}

class TreeReader {
  readonly #scanned: readonly ScannedElement[];
  #next = 0;

  constructor(scanned: readonly ScannedElement[]) {
    this.#scanned = scanned;
  }

  get isDone(): boolean {
    return this.#next === this.#scanned.length;
  }

  elements(nodes: readonly ParsedNode[]): XmlElement[] {
    const found: XmlElement[] = [];
    for (const node of nodes) {
      const name = nameOf(node);
      if (name !== textKey && name !== cdataKey) found.push(this.#element(node, name));
    }
    return found;
  }

  #element(node: ParsedNode, name: string): XmlElement {
    const scanned = this.#scanned[this.#next];
    this.#next += 1;
    const place = (node[metaData] as { startIndex?: number } | undefined)?.startIndex;
    if (scanned?.name !== name || scanned.offset !== place) {
      throw new Error(`<${name}> is not where it was seen`);
    }
    const content = node[name] as readonly ParsedNode[];
    return {
      name,
      offset: scanned.offset,
      attributes: attributesOf(node, scanned),
      children: this.elements(content),
      text: textOf(content),
      textOffset: scanned.textOffset,
    };
  }
}

function attributesOf(node: ParsedNode, scanned: ScannedElement): readonly XmlAttribute[] {
  const values = (node[attributesKey] ?? {}) as Readonly<Record<string, string>>;
  return scanned.attributes.map(({ name, offset }) => {
    const value = values[name];
    if (value === undefined) throw new Error(`attribute "${name}" was lost`);
    // XML 1.0 section 3.3.3: white space in an attribute's value is a space.
    return { name, value: decodeReferences(value.replace(/[\t\n]/g, ' ')), offset };
  });
}

function textOf(content: readonly ParsedNode[]): string {
  let text = '';
  for (const node of content) {
    const name = nameOf(node);
    if (name === textKey) text += decodeReferences(String(node[textKey]));
    else if (name === cdataKey) text += (node[cdataKey] as ParsedNode[]).map(cdataOf).join('');
  }
  return text;
}

function cdataOf(node: ParsedNode): string {
  return String(node[textKey]);
}

function nameOf(node: ParsedNode): string {
  return Object.keys(node).find((key) => key !== attributesKey) ?? '';
}
