import { Judge } from '../judge.ts';
import type { SimulatedPeer } from '../peer.ts';
import { warmCluster, type ProfileChoice } from './warm.ts';

export interface SideParameters extends ProfileChoice {
  readonly size: number;
  /** So many of them are cut off together. */
  readonly side: number;
  readonly seed: number;
}

export interface SideFigures {
  readonly seed: number;
  /** From the cut until all on the small side hold all others for dead; Infinity: not within a minute. */
  readonly sideMs: number;
  /** The same on the other side. */
  readonly restMs: number;
  /** Views in which somebody of the own side was dead. */
  readonly viewsHit: number;
}

/** A few are cut off together: how soon do they know that nobody else is left to them? */
export function runSide(parameters: SideParameters): SideFigures {
  const { seed, side } = parameters;
  const network = warmCluster(parameters);
  const peers = network.running();
  const few = peers.slice(0, side);
  const rest = peers.slice(side);
  const judges = [few, rest].map((own) => new Judge(network, (peer) => own.includes(peer)));
  const know = (who: readonly SimulatedPeer[], gone: readonly SimulatedPeer[]): boolean =>
    who.every(({ view }) => gone.every(({ name }) => network.views.holds(view, name, 'dead')));
  network.partition(few, rest);
  const start = network.nowMs;
  let [sideMs, restMs] = [Infinity, Infinity];
  network.runUntil(() => {
    const tookMs = network.nowMs - start;
    if (know(few, rest)) sideMs = Math.min(sideMs, tookMs);
    if (know(rest, few)) restMs = Math.min(restMs, tookMs);
    return sideMs + restMs < Infinity;
  }, 60_000);
  const viewsHit = judges.reduce((sum, judge) => sum + judge.viewsHit, 0);
  return { seed, sideMs, restMs, viewsHit };
}
