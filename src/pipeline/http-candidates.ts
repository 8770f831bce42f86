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

  /** @param attemptsMax at least 1; how many are named at most */
  constructor(attemptsMax: number) {
    this.#attemptsMax = attemptsMax;
  }

  /**
   * @param first asked before all others; undefined: the owner of the digest
   * @param keyDigest empty: others are taken in rotation instead of ring order
   */
  sticky(view: ClusterView, first: string | undefined, keyDigest: string, turn: number): string[] {
    const candidates = first === undefined ? [] : [first];
    const others =
      keyDigest === ''
        ? this.#rotation(view, turn)
        : view.ring.successors(keyDigest, this.#attemptsMax + 1);
    for (const name of others) {
      if (candidates.length >= this.#attemptsMax) break;
      const isReady = view.instances.get(name)?.status === 'ready';
      if (isReady && !candidates.includes(name)) candidates.push(name);
    }
    return candidates;
  }

  /** The next ready instance and those behind it; takes the turn. */
  next(view: ClusterView, roundRobin: RoundRobin): string[] {
    const candidates = this.#rotation(view, roundRobin.turn);
    const ready = this.#readyIn(view).length;
    roundRobin.turn = ready === 0 ? 0 : (roundRobin.turn + 1) % ready;
    return candidates;
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
      const ready = [...view.instances.values()].filter(({ status }) => status === 'ready');
      this.#ready = ready.map(({ name }) => name).sort();
    }
    return this.#ready;
  }
}
