import { httpLimits } from '../config/defaults.ts';
import { own } from './generations.ts';
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

/** Names the instances that may be asked in turn. */
export class Candidates {
  readonly #attemptsMax: number;
  #view: ClusterView | undefined;
  #ready: readonly string[] = [];
  /** Sessions of one key ask again and again. */
  #ofDigest = new Map<string, readonly string[]>();

  /** @param attemptsMax at least 1; how many are named at most */
  constructor(attemptsMax: number) {
    this.#attemptsMax = attemptsMax;
  }

  /**
   * @param first asked before all others; undefined: the owner of the digest
   * @param keyDigest empty: others are taken in rotation instead of ring order
   */
  sticky(
    view: ClusterView,
    first: string | undefined,
    keyDigest: string,
    turn: number,
  ): readonly string[] {
    const others =
      keyDigest === '' ? this.#rotation(view, turn) : this.#inRingOrder(view, keyDigest);
    if (first === undefined || first === others[0]) return others;
    const behind = others.filter((name) => name !== first);
    return [first, ...behind.slice(0, this.#attemptsMax - 1)];
  }

  /** The next ready instance and those behind it; takes the turn. */
  next(view: ClusterView, roundRobin: RoundRobin): readonly string[] {
    const candidates = this.#rotation(view, roundRobin.turn);
    const ready = this.#readyIn(view).length;
    roundRobin.turn = ready === 0 ? 0 : (roundRobin.turn + 1) % ready;
    return candidates;
  }

  #inRingOrder(view: ClusterView, keyDigest: string): readonly string[] {
    const readyInView = this.#readyIn(view);
    let names = this.#ofDigest.get(keyDigest);
    if (names === undefined) {
      const successors = view.ring.successors(keyDigest, this.#attemptsMax + 1);
      names = successors.filter((name) => readyInView.includes(name)).slice(0, this.#attemptsMax);
      if (this.#ofDigest.size >= httpLimits.digestsOfCandidatesMax) this.#ofDigest.clear();
      this.#ofDigest.set(own(keyDigest), names);
    }
    return names;
  }

  #rotation(view: ClusterView, turn: number): string[] {
    const ready = this.#readyIn(view);
    const count = Math.min(ready.length, this.#attemptsMax);
    const names: string[] = [];
    for (let at = 0; at < count; at++) names.push(ready[(turn + at) % ready.length]!);
    return names;
  }

  /** Sorted, so that all peers go round in the same order; derived once for each view. */
  #readyIn(view: ClusterView): readonly string[] {
    if (this.#view !== view) {
      this.#view = view;
      this.#ofDigest.clear();
      const ready = [...view.instances.values()].filter(({ status }) => status === 'ready');
      this.#ready = ready.map(({ name }) => name).sort();
    }
    return this.#ready;
  }
}
