import { compareText } from './entry.ts';

/** A living member and the rules that it runs. */
export interface RulesRunner {
  readonly name: string;
  /** Start of its process in seconds. */
  readonly epoch: number;
  /** Announced digest of its rules; undefined where it tells none. */
  readonly rules: string | undefined;
}

/** Which rules count as the cluster's, and who runs others. */
export interface RulesVerdict {
  /** Undefined while no ready member tells its rules. */
  readonly clusters: string | undefined;
  /** Names of ready members that run others, sorted. */
  readonly odd: readonly string[];
}

/**
 * Finds the rules of the cluster: those that it was given at run time, where anybody can run them, else
 * those of most ready members. A tie goes to the member that has run for longest, then to the first
 * name: so all peers agree, and some always run the cluster's rules.
 *
 * @param ready the living members that are ready
 * @param given announced digest of the rules in the cluster's state
 */
export function judgeRules(ready: readonly RulesRunner[], given: string | undefined): RulesVerdict {
  const clusters = ready.some(({ rules }) => rules !== undefined && rules === given)
    ? given
    : mostCommon(ready);
  const odd = ready.filter(({ rules }) => rules !== undefined && rules !== clusters);
  return { clusters, odd: odd.map(({ name }) => name).sort(compareText) };
}

function mostCommon(ready: readonly RulesRunner[]): string | undefined {
  const counts = new Map<string, number>();
  for (const { rules } of ready) {
    if (rules !== undefined) counts.set(rules, (counts.get(rules) ?? 0) + 1);
  }
  const most = Math.max(...counts.values());
  const [eldest] = ready
    .filter(({ rules }) => rules !== undefined && counts.get(rules) === most)
    .sort((a, b) => a.epoch - b.epoch || compareText(a.name, b.name));
  return eldest?.rules;
}

/** Follows whether this peer runs the cluster's rules, and since when it does not. */
export class RulesAgreement {
  #verdict: RulesVerdict = { clusters: undefined, odd: [] };
  #oddSinceMs = Infinity;

  get verdict(): RulesVerdict {
    return this.#verdict;
  }

  /** @param own announced digest of the rules that this peer runs */
  update(
    own: string,
    ready: readonly RulesRunner[],
    given: string | undefined,
    nowMs: number,
  ): void {
    this.#verdict = judgeRules(ready, given);
    const { clusters } = this.#verdict;
    const isOdd = clusters !== undefined && clusters !== own;
    this.#oddSinceMs = isOdd ? Math.min(this.#oddSinceMs, nowMs) : Infinity;
  }

  /** Whether this peer has run other rules than the cluster's for longer than that. */
  isOddFor(graceMs: number, nowMs: number): boolean {
    return nowMs - this.#oddSinceMs >= graceMs;
  }
}
