import type { Config } from '../config/index.ts';
import { formatProblem, loadConfig } from '../config/index.ts';
import type { CliOutput } from './output.ts';

/** The configuration in `file`, or undefined after all its problems were written, one a line. */
export function readConfig(file: string, out: CliOutput): Config | undefined {
  const result = loadConfig(file);
  if (result.ok) return result.config;
  for (const problem of result.problems) out.err(`${formatProblem(problem)}\n`);
  return undefined;
}

/** @returns 0 when the configuration in `file` can be used, else 1 */
export function check(file: string, out: CliOutput): number {
  if (readConfig(file, out) === undefined) return 1;
  out.out(`${file}: ok\n`);
  return 0;
}
