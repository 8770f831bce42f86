import { canPin } from './processes.ts';
import { cpuSeconds, machineCpuSeconds } from './cpu.ts';

/** What one run of one subject gave. */
export interface Figures {
  /** Packets or requests that came through, a second. */
  readonly rate: number;
  /** Processor time of the subject, all its processes together, for each of them, in microseconds. */
  readonly cpuUs: number;
  /** Dialogs or requests that failed or got lost. */
  readonly failed: number;
  /** Cores that programs other than subject and load used meanwhile. A round with much of it is worth little. */
  readonly foreignCores: number;
}

/** Something to measure. */
export interface Subject {
  readonly name: string;
  /** Why it cannot run here, in words for the report; undefined when it can. */
  readonly missing: string | undefined;
  measure(): Promise<Figures>;
}

/** One round: figures by the subject's name. Subjects that failed are absent. */
export type Round = ReadonlyMap<string, Figures>;

/** Tells what happens while it happens; a line. */
export type Progress = (line: string) => void;

/**
 * Measures all subjects in turn, again and again (A B C, A B C), so that a slow drift of the machine
 * meets all of them alike. Ratios are to be taken inside a round.
 */
export async function runRounds(
  subjects: readonly Subject[],
  count: number,
  progress: Progress,
): Promise<readonly Round[]> {
  for (const subject of subjects) {
    if (subject.missing !== undefined) progress(`${subject.name}: left out, ${subject.missing}`);
  }
  if (!canPin()) progress('no taskset or a single core: load and subject share what there is');
  const rounds: Round[] = [];
  for (let number = 1; number <= count; number++) {
    const round = new Map<string, Figures>();
    for (const subject of subjects) {
      if (subject.missing !== undefined) continue;
      try {
        const figures = await subject.measure();
        round.set(subject.name, figures);
        progress(`round ${number}: ${subject.name}: ${describe(figures)}`);
      } catch (error) {
        progress(`round ${number}: ${subject.name}: ${String(error)}`);
      }
    }
    rounds.push(round);
  }
  return rounds;
}

function describe(figures: Figures): string {
  const rate = Math.round(figures.rate).toString();
  const foreign =
    figures.foreignCores > 0.1 ? `, ${figures.foreignCores.toFixed(2)} cores foreign` : '';
  return `${rate}/s, ${figures.cpuUs.toFixed(1)} µs, ${figures.failed} failed${foreign}`;
}

/** Starts to account processor time; the function it returns tells what was used since. */
export function startAccounting(
  subject: readonly number[],
  load: readonly number[],
): () => { readonly subjectSeconds: number; readonly foreignCores: number } {
  const all = [...subject, ...load, process.pid];
  const [subjectBefore, oursBefore, machineBefore, timeBefore] = [
    cpuSeconds(subject),
    cpuSeconds(all),
    machineCpuSeconds(),
    performance.now(),
  ];
  return () => {
    const elapsedSeconds = (performance.now() - timeBefore) / 1_000;
    const machine = machineCpuSeconds() - machineBefore;
    const ours = cpuSeconds(all) - oursBefore;
    return {
      subjectSeconds: cpuSeconds(subject) - subjectBefore,
      foreignCores: Math.max(0, machine - ours) / elapsedSeconds,
    };
  };
}

/** Middle value; the mean of the two middle ones of an even number; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted.length >> 1;
  if (sorted.length === 0) return NaN;
  return sorted.length % 2 === 1 ? sorted[upper]! : (sorted[upper - 1]! + sorted[upper]!) / 2;
}

/** Median over the rounds of a figure made from two subjects of the same round; NaN when they never met. */
export function medianOfPairs(
  rounds: readonly Round[],
  a: string,
  b: string,
  figure: (a: Figures, b: Figures) => number,
): number {
  return median(
    rounds.flatMap((round) => {
      const [ofA, ofB] = [round.get(a), round.get(b)];
      return ofA === undefined || ofB === undefined ? [] : [figure(ofA, ofB)];
    }),
  );
}
