import type { Logger } from 'pino';
import type { Config } from './config/index.ts';
import { formatRuleError, type NumberResolver } from './dcr/index.ts';
import { createEnumResolver, type EnumResolver } from './io/dns/index.ts';
import { loadRules } from './io/rules/index.ts';
import type { Counters } from './pipeline/counters.ts';
import { KeyDeriver } from './pipeline/key.ts';
import { uriReader } from './pipeline/subjects.ts';

/** What the rules need of the rest of the peer. */
export interface RulesSideParts {
  readonly config: Config;
  readonly log: Logger;
  readonly counters: Counters;
}

/** The rules that this peer runs, and the numbers that they look up. */
export class RulesSide {
  readonly #parts: RulesSideParts;
  readonly #numbers: EnumResolver | undefined;
  #keys = new KeyDeriver(undefined);

  constructor(parts: RulesSideParts) {
    this.#parts = parts;
    const { enum: numbers } = parts.config.rules;
    this.#numbers = numbers && createEnumResolver(numbers, parts.counters);
  }

  /** How keys are derived now. */
  get keys(): KeyDeriver {
    return this.#keys;
  }

  /** Settles when an ENUM look-up ended, however it ended; never rejects. */
  numberKnown(number: string): Promise<void> {
    return this.#numbers?.whenKnown(number) ?? Promise.resolve();
  }

  /** Loads the configured file. Rejects with the faults found in it, a line each. */
  async start(): Promise<void> {
    const { config, counters, log } = this.#parts;
    const { file } = config.rules;
    if (file === undefined) return;
    const numbers: NumberResolver = this.#numbers ?? { resolve: (number) => number };
    const loaded = await loadRules(file, { uris: uriReader, numbers }, (fault) => {
      counters.count('rule_faults', 'plugin');
      log.warn({ err: fault }, 'the rule plug-in failed; the fallback key was used');
    });
    if (!loaded.ok) throw new Error(loaded.errors.map(formatRuleError).join('\n'));
    this.#keys = new KeyDeriver(loaded.rules);
  }

  close(): void {
    this.#numbers?.close();
  }
}
