import { Judge } from '../judge.ts';
import { warmCluster, type ProfileChoice } from './warm.ts';

export interface ThirdParameters extends ProfileChoice {
  readonly size: number;
  readonly seed: number;
}

export interface ThirdFigures {
  readonly seed: number;
  readonly agreedMs: number;
  readonly falseDeaths: number;
}

/** A third of the cluster ends at one moment, machines and all. */
export function runThird(parameters: ThirdParameters): ThirdFigures {
  const { seed, size } = parameters;
  const network = warmCluster(parameters);
  const judge = new Judge(network);
  const gone = network.running().slice(0, Math.floor(size / 3));
  for (const peer of gone) network.crash(peer, 'host');
  const agreedMs = network.runUntil(
    () => gone.every(({ name }) => network.allSee(name, 'dead')),
    60_000,
  );
  network.run(5_000);
  return { seed, agreedMs, falseDeaths: judge.falseDeaths.size };
}
