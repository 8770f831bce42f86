import { httpLimits } from '../config/defaults.ts';
import { own } from './generations.ts';
import { isSuspect, trustedFirst } from './locate.ts';
import type { ClusterView } from './view.ts';

/** Turn of a round robin; kept by whoever makes the journey, one for each listener's peer. */
export interface RoundRobin {
  turn: number;
}

/** Whether an instance may go on serving a session that carries its stamp. */
export function servesItsSessions(view: ClusterView, instance: string): boolean {
  const status = view.instances.get(instance)?.status;
  return status !== undefined && status !== 'disabled';
}

/**
 * Names the instances that may be asked in turn; what begins something asks suspect ones last. Behind them
 * it has the peer's own instance, for a peer that cannot reach them. A session that goes on has not: better
 * refused than brought where nobody knows it.
 */
export class Candidates {
  readonly #attemptsMax: number;
  #view: ClusterView | undefined;
  /** Undefined: it is not ready. */
  #own: string | undefined;
  #ready: ReadonlySet<string> = new Set();
  /** Those that take their turn: all that are ready, but for the suspect ones while others are left. */
  #inTurn: readonly string[] = [];
  #lastChoice: readonly string[] = [];
  /** Sessions of one key ask again and again. */
  #ofDigest = new Map<string, readonly string[]>();
  /** The same of sessions that begin. */
  #ofNewDigest = new Map<string, readonly string[]>();

  /** @param attemptsMax at least 1; how many are named at most, the own instance behind them not counted */
  constructor(attemptsMax: number) {
    this.#attemptsMax = attemptsMax;
  }

  /**
   * For a session that goes on: suspect or not, its instance keeps it.
   *
   * @param first asked before all others; undefined: the owner of the digest
   * @param keyDigest empty: others are taken in rotation instead of ring order
   */
  sticky(
    view: ClusterView,
    first: string | undefined,
    keyDigest: string,
    turn: number,
  ): readonly string[] {
    this.#look(view);
    const others = keyDigest === '' ? this.#rotation(turn) : this.#inRingOrder(view, keyDigest);
    if (first === undefined || first === others[0]) return others;
    const behind = others.filter((name) => name !== first);
    return [first, ...behind.slice(0, this.#attemptsMax - 1)];
  }

  /** For a session that begins with a key: its owner, or the next one that is not suspect. */
  byKey(view: ClusterView, keyDigest: string): readonly string[] {
    this.#look(view);
    if (this.#lastChoice.length === 0) return this.#withOwn(this.#inRingOrder(view, keyDigest));
    const names = this.#remembered(this.#ofNewDigest, keyDigest, () =>
      trustedFirst(keyDigest, view, this.#attemptsMax + 1),
    );
    return this.#withOwn(names);
  }

  /** The next ready instance and those behind it; takes the turn. */
  next(view: ClusterView, roundRobin: RoundRobin): readonly string[] {
    this.#look(view);
    const candidates = this.#rotation(roundRobin.turn);
    const count = this.#inTurn.length;
    roundRobin.turn = count === 0 ? 0 : (roundRobin.turn + 1) % count;
    return this.#withOwn(candidates);
  }

  #withOwn(names: readonly string[]): readonly string[] {
    const own = this.#own;
    return own === undefined || names.includes(own) ? names : [...names, own];
  }

  #inRingOrder(view: ClusterView, keyDigest: string): readonly string[] {
    return this.#remembered(this.#ofDigest, keyDigest, () =>
      view.ring.successors(keyDigest, this.#attemptsMax + 1),
    );
  }

  #remembered(
    known: Map<string, readonly string[]>,
    keyDigest: string,
    find: () => readonly string[],
  ): readonly string[] {
    let names = known.get(keyDigest);
    if (names === undefined) {
      names = find()
        .filter((name) => this.#ready.has(name))
        .slice(0, this.#attemptsMax);
      if (known.size >= httpLimits.digestsOfCandidatesMax) known.clear();
      known.set(own(keyDigest), names);
    }
    return names;
  }

  #rotation(turn: number): string[] {
    const inTurn = this.#inTurn;
    const count = Math.min(inTurn.length, this.#attemptsMax);
    const names: string[] = [];
    for (let at = 0; at < count; at++) names.push(inTurn[(turn + at) % inTurn.length]!);
    for (const name of this.#lastChoice) if (names.length < this.#attemptsMax) names.push(name);
    return names;
  }

  /** Sorted, so that all peers go round in the same order; derived once for each view. */
  #look(view: ClusterView): void {
    if (this.#view === view) return;
    this.#view = view;
    this.#ofDigest.clear();
    this.#ofNewDigest.clear();
    const ready = [...view.instances.values()].filter(({ status }) => status === 'ready');
    const names = ready.map(({ name }) => name).sort();
    const trusted = names.filter((name) => !isSuspect(name, view));
    this.#ready = new Set(names);
    this.#own = this.#ready.has(view.self) ? view.self : undefined;
    this.#inTurn = trusted.length === 0 ? names : trusted;
    this.#lastChoice = trusted.length === 0 ? [] : names.filter((name) => isSuspect(name, view));
  }
}
