import type { Logger } from 'pino';
import type { RulesStatus } from './admin/index.ts';
import { announcedDigest, RulesAgreement, type RulesRunner } from './cluster/index.ts';
import { clusterLimits } from './config/defaults.ts';
import type { Config } from './config/index.ts';
import { formatRuleError, type NumberResolver, type RuleTools } from './dcr/index.ts';
import { Alarm } from './io/alarm.ts';
import { createEnumResolver, type EnumResolver } from './io/dns/index.ts';
import { loadRules, readRulesText, rulesDigest, type LoadedRules } from './io/rules/index.ts';
import type { Counters } from './pipeline/counters.ts';
import { KeyDeriver } from './pipeline/key.ts';
import { uriReader } from './pipeline/subjects.ts';

/** What the rules need of the rest of the peer. */
export interface RulesSideParts {
  readonly config: Config;
  readonly log: Logger;
  readonly counters: Counters;
  /** The peer runs other rules from now on. */
  readonly onReplaced: () => void;
}

/** Rules that this peer can run. */
interface Runnable {
  readonly keys: KeyDeriver;
  readonly source: 'none' | 'file' | 'cluster';
  /** {@link announcedDigest} of them. */
  readonly digest: string;
}

const noRules: Runnable = { keys: new KeyDeriver(undefined), source: 'none', digest: 'none' };

/** The rules that this peer runs, the numbers that they look up, and whether others run the same. */
export class RulesSide {
  readonly #parts: RulesSideParts;
  readonly #numbers: EnumResolver | undefined;
  readonly #tools: RuleTools;
  readonly #agreement = new RulesAgreement();
  /** What the configuration names. */
  #own: Runnable = noRules;
  #running: Runnable = noRules;
  readonly #mixedAlarm: Alarm;
  #isMixedTold = false;
  /** The text that was read last: what was checked is mostly run next. */
  #read: { readonly text: string; readonly name: string; readonly result: LoadedRules } | undefined;
  /** {@link announcedDigest} of the rules in the cluster's state. */
  #given: string | undefined;

  constructor(parts: RulesSideParts) {
    this.#parts = parts;
    const { enum: settings } = parts.config.rules;
    this.#numbers = settings && createEnumResolver(settings, parts.counters);
    const numbers: NumberResolver = this.#numbers ?? { resolve: (number) => number };
    this.#tools = { uris: uriReader, numbers };
    this.#mixedAlarm = new Alarm(() => this.#tellMixed(), now);
  }

  /** How keys are derived now. */
  get keys(): KeyDeriver {
    return this.#running.keys;
  }

  /** Digest of the rules that run, as it is announced to others. */
  get digest(): string {
    return this.#running.digest;
  }

  status(): RulesStatus {
    const { source, digest } = this.#running;
    const { clusters, odd } = this.#agreement.verdict;
    const { mixedRulesGraceMs } = this.#parts.config.cluster;
    const isOverdue = this.#agreement.isOddFor(mixedRulesGraceMs, now());
    return { source, digest, ...(clusters === undefined ? {} : { clusters }), odd, isOverdue };
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
    const loaded = await loadRules(file, this.#tools, (fault) => {
      counters.count('rule_faults', 'plugin');
      log.warn({ err: fault }, 'the rule plug-in failed; the fallback key was used');
    });
    if (!loaded.ok) throw new Error(loaded.errors.map(formatRuleError).join('\n'));
    const digest = announcedDigest(loaded.digest);
    this.#own = { keys: new KeyDeriver(loaded.rules), source: 'file', digest };
    this.#running = this.#own;
  }

  /**
   * What is wrong with a text, a line each; nothing when it can be run.
   *
   * @param name only for messages
   */
  check(text: string, name: string): readonly string[] {
    const read = this.#readText(text, name);
    return read.ok ? [] : read.errors.map(formatRuleError);
  }

  /**
   * Runs the rules that the cluster was given, or, without any, those of the configuration. Rules that
   * cannot be loaded here change nothing.
   */
  take(text: string | undefined): void {
    this.#given = text === undefined ? undefined : announcedDigest(rulesDigest(Buffer.from(text)));
    if (text === undefined) {
      this.#run(this.#own);
      return;
    }
    if (this.#running.source === 'cluster' && this.#running.digest === this.#given) return;
    const { counters, log } = this.#parts;
    const read = this.#readText(text, 'rules');
    this.#read = undefined;
    if (read.ok) {
      const digest = announcedDigest(read.digest);
      this.#run({ keys: new KeyDeriver(read.rules), source: 'cluster', digest });
      return;
    }
    counters.count('rules', 'refused');
    const faults = read.errors.map(formatRuleError);
    const running = this.#running.digest;
    log.error(
      { faults, running },
      'this peer cannot load the rules of the cluster and keeps its own',
    );
  }

  /** @param ready the living members that are ready, this peer among them when it is */
  membersChanged(ready: readonly RulesRunner[]): void {
    const wasMixed = this.#agreement.verdict.odd.length > 0;
    this.#agreement.update(this.digest, ready, this.#given, now());
    const { clusters, odd } = this.#agreement.verdict;
    // Peers take over new rules one after another: that alone is nothing to tell.
    if (odd.length > 0 && !wasMixed) this.#mixedAlarm.set(now() + clusterLimits.mixedRulesNoticeMs);
    if (odd.length > 0) return;
    this.#mixedAlarm.set(Infinity);
    if (!this.#isMixedTold) return;
    this.#isMixedTold = false;
    this.#parts.log.info({ rules: clusters }, 'all peers run the same rules again');
  }

  close(): void {
    this.#mixedAlarm.set(Infinity);
    this.#numbers?.close();
  }

  #readText(text: string, name: string): LoadedRules {
    const known = this.#read;
    if (known?.text === text && (known.result.ok || known.name === name)) return known.result;
    const result = readRulesText(text, name, this.#tools);
    this.#read = { text, name, result };
    return result;
  }

  #tellMixed(): void {
    this.#isMixedTold = true;
    const { mixedRulesGraceMs: graceMs } = this.#parts.config.cluster;
    const { clusters, odd } = this.#agreement.verdict;
    this.#parts.counters.count('rules', 'mixed');
    this.#parts.log.warn(
      { clusters, odd, own: this.digest, graceMs },
      'peers run other rules than the cluster; after the grace time they are not ready',
    );
  }

  #run(rules: Runnable): void {
    if (rules.digest === this.#running.digest && rules.source === this.#running.source) return;
    const isOther = rules.digest !== this.#running.digest;
    this.#running = rules;
    if (!isOther) return;
    this.#parts.counters.count('rules', 'replaced');
    this.#parts.log.info({ rules: rules.digest, source: rules.source }, 'other rules run now');
    this.#parts.onReplaced();
  }
}

/** Milliseconds that never run backwards. */
const now = (): number => performance.now();
