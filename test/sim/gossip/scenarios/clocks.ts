import { Judge } from '../judge.ts';
import { label, tags, warmCluster, type ProfileChoice } from './warm.ts';

export interface ClocksParameters extends ProfileChoice {
  readonly size: number;
  readonly seed: number;
  /** How far the clocks are off or jump. */
  readonly offMs: number;
}

export interface ClocksFigures {
  readonly seed: number;
  /** From the restart of one found dead, its wall clock behind, until every view is whole. */
  readonly backMs: number;
  /** Lives declared dead after the clock of one that runs has jumped ahead. */
  readonly falseDeaths: number;
}

/** The wall clock of a machine is set back while a peer is down; then the clock of another one jumps. */
export function runClocks(parameters: ClocksParameters): ClocksFigures {
  const { seed, offMs } = parameters;
  const network = warmCluster(parameters);
  const [gone, jumper] = network.running();
  network.crash(gone!);
  network.runUntil(() => network.allSee(gone!.name, 'dead'), 30_000);
  const { name, endpoint } = gone!;
  const { address: host, port } = jumper!.endpoint;
  network.add(name, { label, tags, endpoint, seeds: [{ host, port }], wallClockOffMs: -offMs });
  const backMs = network.runUntil(() => network.isWhole(), 30_000);
  const judge = new Judge(network);
  jumper!.jumpAhead(offMs);
  network.run(30_000);
  return { seed, backMs, falseDeaths: judge.falseDeaths.size };
}
