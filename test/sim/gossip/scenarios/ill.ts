import { Judge } from '../judge.ts';
import type { GossipNetwork } from '../network.ts';
import { calm, lossy } from '../path.ts';
import type { SimulatedPeer } from '../peer.ts';
import { warmCluster, type ProfileChoice } from './warm.ts';

/** What is wrong with some members. */
export type Illness =
  /** They handle what arrives so much later. */
  | { readonly kind: 'slow'; readonly delayMs: number }
  /** They stand still for so long, once a minute. */
  | { readonly kind: 'pauses'; readonly pauseMs: number }
  /** That share of what is sent to them never arrives. */
  | { readonly kind: 'deaf'; readonly loss: number };

export interface IllParameters extends ProfileChoice {
  readonly size: number;
  readonly seed: number;
  readonly minutes: number;
  /** So many are ill. */
  readonly ill: number;
  readonly illness: Illness;
}

export interface IllFigures {
  readonly seed: number;
  /** Lives of healthy members declared dead by anybody, the ill ones included. */
  readonly falseDeaths: number;
  /** Views of healthy members in which a healthy one was dead. */
  readonly viewsHit: number;
  /** Lives of ill members declared dead. */
  readonly illDeaths: number;
}

/** Some members are ill, all others are well: nobody who is well may pay for it. */
export function runIll(parameters: IllParameters): IllFigures {
  const { seed, minutes, ill, illness } = parameters;
  const network = warmCluster(parameters);
  const patients = new Set(network.running().slice(0, ill));
  const well = new Judge(network, (peer) => !patients.has(peer));
  const sick = new Judge(network, (peer) => patients.has(peer));
  fallIll(network, patients, illness);
  network.run(minutes * 60_000);
  return {
    seed,
    falseDeaths: well.falseDeaths.size,
    viewsHit: well.viewsHit,
    illDeaths: sick.falseDeaths.size,
  };
}

function fallIll(
  network: GossipNetwork,
  patients: ReadonlySet<SimulatedPeer>,
  illness: Illness,
): void {
  switch (illness.kind) {
    case 'slow':
      for (const peer of patients) peer.receiveDelayMs = illness.delayMs;
      return;
    case 'deaf': {
      const path = lossy(illness.loss);
      network.path = (_, to) => (patients.has(to) ? path : calm);
      return;
    }
    case 'pauses':
      for (const peer of patients) pauseEachMinute(network, peer, illness.pauseMs);
      return;
  }
}

function pauseEachMinute(network: GossipNetwork, peer: SimulatedPeer, pauseMs: number): void {
  const { clock, random } = network;
  const atMs = random() * (60_000 - pauseMs);
  clock.after(atMs, () => {
    peer.pause();
    clock.after(pauseMs, () => {
      peer.resume();
    });
  });
  clock.after(60_000, () => {
    pauseEachMinute(network, peer, pauseMs);
  });
}
