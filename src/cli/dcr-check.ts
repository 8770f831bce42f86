import { formatRuleError, unresolvedNumbers } from '../dcr/index.ts';
import { loadRules } from '../io/rules/index.ts';
import { uriReader } from '../pipeline/subjects.ts';
import type { CliOutput } from './output.ts';

/**
 * `sailring dcr check FILE`: says what the file holds, or all its errors, one a line as
 * `file:line:column: error: text`.
 *
 * @returns exit code: 0 when the file is valid, else 1
 */
export async function dcrCheck(file: string, out: CliOutput): Promise<number> {
  // Loading asks a plug-in for nothing, so it can have no fault yet.
  const loaded = await loadRules(
    file,
    { uris: uriReader, numbers: unresolvedNumbers },
    () => undefined,
  );
  if (!loaded.ok) {
    for (const error of loaded.errors) out.err(`${formatRuleError(error)}\n`);
    return 1;
  }
  const what =
    loaded.rules.kind === 'plugin'
      ? 'plug-in module'
      : `${loaded.sipRules} sip rules, ${loaded.httpRules} http rules`;
  out.out(`${file}: ok (${what})\n`);
  return 0;
}
