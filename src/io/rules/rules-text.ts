import type { RuleTools } from '../../dcr/index.ts';
import { fileError } from '../../dcr/index.ts';
import { readRules, type LoadedRules } from './load-rules.ts';

const declaration = /^\ufeff?<\?xml\s[^>]*?encoding\s*=\s*["']([^"']*)["']/u;

/**
 * The text of an XML rule file as clusters keep it: in UTF-8, whatever the file was written in. Bytes
 * that are not UTF-8 become U+FFFD, which {@link readRulesText} refuses.
 */
export function rulesText(bytes: Buffer): string {
  const declared = declaration.exec(bytes.toString('latin1', 0, 256))?.[1] ?? '';
  if (declared.toUpperCase() !== 'ISO-8859-1') return bytes.toString('utf8');
  return bytes.toString('latin1').replace(declared, 'UTF-8');
}

/**
 * Makes rules of a text that clusters keep.
 *
 * @param name only for messages
 */
export function readRulesText(text: string, name: string, tools: RuleTools): LoadedRules {
  const declared = declaration.exec(text)?.[1] ?? 'UTF-8';
  if (declared.toUpperCase() !== 'UTF-8') {
    return refused(name, `the text is sent as UTF-8, but declares ${declared}; convert it`);
  }
  if (text.includes('\ufffd')) return refused(name, 'bytes that are not UTF-8; convert the file');
  return readRules(Buffer.from(text, 'utf8'), name, tools);
}

function refused(name: string, text: string): LoadedRules {
  return { ok: false, errors: [fileError(name, text)] };
}
