import { Judge } from '../judge.ts';
import { lossy } from '../path.ts';
import { warmCluster, type ProfileChoice } from './warm.ts';

export interface WeatherParameters extends ProfileChoice {
  readonly size: number;
  readonly seed: number;
  readonly minutes: number;
  /** Share of packets lost on every path. */
  readonly loss: number;
}

export interface WeatherFigures {
  readonly seed: number;
  readonly falseDeaths: number;
  readonly falseSuspicions: number;
  /** False deaths an hour and member. */
  readonly deathsPerHour: number;
  /** Sent by each member, a second. */
  readonly bytesPerSecond: number;
}

/** Every path loses packets, nobody is ill. */
export function runWeather(parameters: WeatherParameters): WeatherFigures {
  const { seed, size, minutes, loss } = parameters;
  const network = warmCluster(parameters);
  const judge = new Judge(network);
  network.path = () => path;
  const path = lossy(loss);
  const sent = (): number => network.running().reduce((sum, peer) => sum + peer.sentBytes, 0);
  const before = sent();
  network.run(minutes * 60_000);
  return {
    seed,
    falseDeaths: judge.falseDeaths.size,
    falseSuspicions: judge.falseSuspicions.size,
    deathsPerHour: judge.falseDeaths.size / (size * (minutes / 60)),
    bytesPerSecond: (sent() - before) / size / (minutes * 60),
  };
}
