import type { RuleDocument, RuleNode } from './document.ts';
import { FaultList } from './fault-list.ts';
import { checkStructure } from './structure.ts';
import { RuleReader } from './read-rules.ts';
import type { RuleError } from './rule-error.ts';
import { readXml } from './xml.ts';
import type { XmlElement } from './xml.ts';
import { decodeXml } from './xml-text.ts';
import type { Protocol } from './variable.ts';

export type ParsedRules =
  | { readonly ok: true; readonly document: RuleDocument }
  | { readonly ok: false; readonly errors: readonly RuleError[] };

/**
 * Reads a rule file. Nothing in the bytes makes it throw, fetch or expand anything; all faults are
 * reported at once, each with its place. Faults of the XML itself hide those of the rules.
 *
 * @param fileName only for messages
 */
export function parseRules(bytes: Uint8Array, fileName: string): ParsedRules {
  const decoded = decodeXml(bytes);
  const faults = new FaultList(fileName, decoded.text);
  if (!decoded.ok) {
    faults.add(decoded.offset, '', decoded.fault);
    return { ok: false, errors: faults.errors() };
  }
  const root = readXml(decoded.text, faults);
  if (root === undefined) return { ok: false, errors: faults.errors() };
  if (!checkStructure(root, faults)) return { ok: false, errors: faults.errors() };
  const sip = readSection(root, 'sip', faults);
  const http = readSection(root, 'http', faults);
  if (!faults.isEmpty) return { ok: false, errors: faults.errors() };
  return { ok: true, document: { file: fileName, sip, http } };
}

function readSection(root: XmlElement, protocol: Protocol, faults: FaultList): RuleNode[] {
  const section = root.children.find(({ name }) => name === `${protocol}-rules`);
  return section === undefined ? [] : new RuleReader(protocol, faults).rules(section.children);
}
