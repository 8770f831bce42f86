import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { dcrLimits } from '../../config/defaults.ts';
import {
  compileRules,
  createPluginRules,
  fileError,
  isRulePlugin,
  parseRules,
} from '../../dcr/index.ts';
import type { OnPluginFault, RuleError, Rules, RuleTools } from '../../dcr/index.ts';

/** Rules of a file with the digest of its bytes, or all faults of the file. */
export type LoadedRules =
  | {
      readonly ok: true;
      readonly rules: Rules;
      /** Rules directly in each section; 0 for a plug-in. */
      readonly sipRules: number;
      readonly httpRules: number;
      /** {@link rulesDigest} of the file. */
      readonly digest: string;
    }
  | { readonly ok: false; readonly errors: readonly RuleError[] };

const moduleExtensions: ReadonlySet<string> = new Set(['.js', '.mjs', '.ts', '.mts']);

/**
 * Loads rules from a file: a module (`.js`, `.mjs`, `.ts`, `.mts`) is a plug-in, anything else is
 * XML. Never rejects; whoever replaces rules keeps the old ones when this gives errors. A module is
 * loaded anew when its bytes have changed, but what it imports is not.
 *
 * @param onPluginFault told of each request whose key a plug-in failed to give
 */
export async function loadRules(
  file: string,
  tools: RuleTools,
  onPluginFault: OnPluginFault,
): Promise<LoadedRules> {
  let bytes: Buffer;
  try {
    const { size } = await stat(file);
    if (size > dcrLimits.fileBytesMax) {
      return refused(file, `the file has ${size} bytes; at most ${dcrLimits.fileBytesMax}`);
    }
    bytes = await readFile(file);
  } catch (error) {
    return refused(file, `the file cannot be read: ${messageOf(error)}`);
  }
  if (moduleExtensions.has(extname(file))) {
    return loadPlugin(file, rulesDigest(bytes), tools, onPluginFault);
  }
  return readRules(bytes, file, tools);
}

/**
 * Makes rules of the bytes of an XML file.
 *
 * @param name of the file, only for messages
 */
export function readRules(bytes: Uint8Array, name: string, tools: RuleTools): LoadedRules {
  const parsed = parseRules(bytes, name);
  if (!parsed.ok) return parsed;
  const { document } = parsed;
  const rules = compileRules(document, tools);
  return {
    ok: true,
    rules,
    sipRules: document.sip.length,
    httpRules: document.http.length,
    digest: rulesDigest(bytes),
  };
}

/** SHA-256 in base64url: peers with equal rules show equal digests. */
export function rulesDigest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64url');
}

async function loadPlugin(
  file: string,
  digest: string,
  tools: RuleTools,
  onPluginFault: OnPluginFault,
): Promise<LoadedRules> {
  const url = pathToFileURL(resolve(file));
  url.searchParams.set('digest', digest);
  let module: unknown;
  try {
    module = await import(url.href);
  } catch (error) {
    return refused(file, `the module cannot be loaded: ${messageOf(error)}`);
  }
  if (!isRulePlugin(module)) {
    return refused(file, 'the module is no plug-in; expected it to export sipKey or httpKey');
  }
  const rules = createPluginRules(module, tools, onPluginFault);
  return { ok: true, rules, sipRules: 0, httpRules: 0, digest };
}

function refused(file: string, text: string): LoadedRules {
  return { ok: false, errors: [fileError(file, text)] };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown fault';
}
