import { runClocks, type ClocksFigures, type ClocksParameters } from './clocks.ts';
import { runCycle, type CycleFigures, type CycleParameters } from './cycle.ts';
import { runIll, type IllFigures, type IllParameters } from './ill.ts';
import { runJoins, type JoinsFigures, type JoinsParameters } from './joins.ts';
import { runPartition, type PartitionFigures, type PartitionParameters } from './partition.ts';
import { runRolling, type RollingFigures, type RollingParameters } from './rolling.ts';
import { runSide, type SideFigures, type SideParameters } from './side.ts';
import { runStrangers, type StrangersFigures, type StrangersParameters } from './strangers.ts';
import { runThird, type ThirdFigures, type ThirdParameters } from './third.ts';
import { runWeather, type WeatherFigures, type WeatherParameters } from './weather.ts';

interface Run<P, F> {
  readonly parameters: P;
  readonly figures: F;
}

/** What each scenario takes and gives. */
export interface Scenarios {
  readonly clocks: Run<ClocksParameters, ClocksFigures>;
  readonly cycle: Run<CycleParameters, CycleFigures>;
  readonly ill: Run<IllParameters, IllFigures>;
  readonly joins: Run<JoinsParameters, JoinsFigures>;
  readonly partition: Run<PartitionParameters, PartitionFigures>;
  readonly rolling: Run<RollingParameters, RollingFigures>;
  readonly side: Run<SideParameters, SideFigures>;
  readonly strangers: Run<StrangersParameters, StrangersFigures>;
  readonly third: Run<ThirdParameters, ThirdFigures>;
  readonly weather: Run<WeatherParameters, WeatherFigures>;
}

export type ScenarioName = keyof Scenarios;

export const scenarios: {
  readonly [N in ScenarioName]: (parameters: Scenarios[N]['parameters']) => Scenarios[N]['figures'];
} = {
  clocks: runClocks,
  cycle: runCycle,
  ill: runIll,
  joins: runJoins,
  partition: runPartition,
  rolling: runRolling,
  side: runSide,
  strangers: runStrangers,
  third: runThird,
  weather: runWeather,
};
