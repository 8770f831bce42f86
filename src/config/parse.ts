import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, resolve } from 'node:path';
import { env } from 'node:process';
import type { Document } from 'yaml';
import { LineCounter, isAlias, isMap, isNode, isPair, isSeq, parseDocument } from 'yaml';
import type { Config } from './config.ts';
import { configLimits } from './defaults.ts';
import type { Fault, KeyPath, Problem } from './problem.ts';
import { checkRelations } from './relations.ts';
import type { ConfigWorld } from './resolve.ts';
import { resolveSettings } from './resolve.ts';
import { checkShape } from './schema.ts';
import { shapeFaults } from './shape-faults.ts';

export type ConfigResult =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly problems: readonly Problem[] };

const machine: ConfigWorld = {
  hostname: hostname(),
  env,
  readFile(path) {
    try {
      return readFileSync(path);
    } catch {
      // Why does not matter to the operator as much as which file and where it is named.
      return undefined;
    }
  },
};

/** Reads and checks a configuration file; relative paths in it count from its folder. */
export function loadConfig(path: string, world: ConfigWorld = machine): ConfigResult {
  const content = world.readFile(resolve(path));
  if (content === undefined)
    return refuse(path, 'the file cannot be read', 'correct the path or its permissions');
  if (content.length > configLimits.fileBytesMax)
    return refuse(
      path,
      `the file is larger than ${configLimits.fileBytesMax} bytes`,
      'name a configuration file',
    );
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(content);
  } catch {
    return refuse(path, 'the file is not UTF-8 text', 'name a configuration file');
  }
  return parseConfig(text, path, world);
}

/**
 * Checks a configuration's text and completes it. All faults of one stage are told at once: YAML
 * first, then keys and types, then what keys mean together.
 *
 * @param fileName stands in the problems; its folder is where relative paths start
 */
export function parseConfig(
  text: string,
  fileName: string,
  world: ConfigWorld = machine,
): ConfigResult {
  const source = new Source(text, fileName);
  const broken = source.yamlProblems();
  if (broken.length > 0) return { ok: false, problems: broken };
  const content = source.content();
  if (!content.ok) return { ok: false, problems: [content.problem] };
  const shape = checkShape(content.value);
  if (!shape.ok) return { ok: false, problems: source.problems(shapeFaults(shape.issues)) };
  const resolved = resolveSettings(shape.settings, dirname(resolve(fileName)), world);
  const faults = [...checkRelations(shape.settings), ...resolved.faults];
  if (faults.length > 0) return { ok: false, problems: source.problems(faults) };
  return { ok: true, config: resolved.config };
}

function refuse(file: string, message: string, remedy: string): ConfigResult {
  return { ok: false, problems: [{ file, line: 1, column: 1, message, remedy }] };
}

/** One YAML text that knows where everything stands. */
class Source {
  readonly #file: string;
  readonly #lines = new LineCounter();
  readonly #document: Document;

  constructor(text: string, file: string) {
    this.#file = file;
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
  }

  yamlProblems(): Problem[] {
    const faults = [...this.#document.errors, ...this.#document.warnings];
    return faults
      .slice(0, configLimits.problemsMax)
      .map((fault) => this.#problem(fault.pos[0], fault.message, 'correct the YAML'));
  }

  content(): { ok: true; value: unknown } | { ok: false; problem: Problem } {
    try {
      const value: unknown = this.#document.toJS({ maxAliasCount: configLimits.aliasesMax });
      return { ok: true, value: value ?? {} };
    } catch (error) {
      // The YAML library throws on aliases that expand without bound or name nothing.
      const message = error instanceof Error ? error.message : String(error);
      return { ok: false, problem: this.#problem(0, message, 'correct or leave out the aliases') };
    }
  }

  /** Faults in the order in which they stand in the file. */
  problems(faults: readonly Fault[]): Problem[] {
    return faults
      .map((fault) => ({ fault, offset: this.#offset(fault.path, fault.at) }))
      .sort((a, b) => a.offset - b.offset)
      .slice(0, configLimits.problemsMax)
      .map(({ fault, offset }) => this.#problem(offset, fault.message, fault.remedy));
  }

  #problem(offset: number, message: string, remedy: string): Problem {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.#file, line: Math.max(line, 1), column: Math.max(col, 1), message, remedy };
  }

  /** Where a path stands; what does not exist stands at the nearest thing above it that does. */
  #offset(path: KeyPath, at: 'key' | 'value'): number {
    let node: unknown = this.#document.contents;
    let offset = startOf(node) ?? 0;
    for (const [depth, step] of path.entries()) {
      if (isAlias(node)) node = node.resolve(this.#document);
      if (isSeq(node)) {
        node = node.items[Number(step)];
      } else if (isMap(node)) {
        const pair = node.items.find((item) => isPair(item) && keyText(item.key) === String(step));
        if (pair === undefined) return offset;
        offset = startOf(pair.key) ?? offset;
        if (at === 'key' && depth === path.length - 1) return offset;
        node = pair.value;
      } else return offset;
      offset = startOf(node) ?? offset;
    }
    return offset;
  }
}

function keyText(key: unknown): string {
  return isNode(key) ? String(key.toJSON()) : String(key);
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}
