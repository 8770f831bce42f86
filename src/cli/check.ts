import type { Config } from '../config/index.ts';
import { formatProblem, loadConfig } from '../config/index.ts';
import { dcrCheck } from './dcr-check.ts';
import type { CliOutput } from './output.ts';

/**
 * The configuration in `file` with rules that can be used, or undefined after all problems were
 * written, one a line.
 */
export async function readConfig(file: string, out: CliOutput): Promise<Config | undefined> {
  const result = loadConfig(file);
  if (!result.ok) {
    for (const problem of result.problems) out.err(`${formatProblem(problem)}\n`);
    return undefined;
  }
  const rules = result.config.rules.file;
  const silent = { ...out, out: () => undefined };
  const isUsable = rules === undefined || (await dcrCheck(rules, silent)) === 0;
  return isUsable ? result.config : undefined;
}

/** @returns 0 when the configuration in `file` and its rules can be used, else 1 */
export async function check(file: string, out: CliOutput): Promise<number> {
  if ((await readConfig(file, out)) === undefined) return 1;
  out.out(`${file}: ok\n`);
  return 0;
}
