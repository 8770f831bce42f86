import { cpus } from 'node:os';
import { median, medianOfPairs } from './rounds.ts';
import type { Figures, Round, Subject } from './rounds.ts';

/** A figure with a goal: a ratio of two subjects inside one round. */
export interface Goal {
  readonly name: string;
  readonly subject: string;
  readonly base: string;
  readonly figure: (subject: Figures, base: Figures) => number;
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** How a measurement is printed. */
export interface ReportShape {
  /** What is counted: packets or requests. */
  readonly unit: 'packet' | 'request';
  /** Subjects that the others are divided by, and a short word for each. */
  readonly bases: readonly (readonly [subject: string, word: string])[];
  readonly goals: readonly Goal[];
}

/** The tables of a measurement, in Markdown. */
export function report(
  subjects: readonly Subject[],
  rounds: readonly Round[],
  shape: ReportShape,
): string {
  const head = [
    'subject',
    `${shape.unit}s/s`,
    `CPU µs a ${shape.unit}`,
    ...shape.bases.flatMap(([, word]) => [`rate ÷ ${word}`, `CPU ÷ ${word}`]),
    'failed',
    'rounds',
  ];
  const rows = subjects.map((subject) => {
    if (subject.missing !== undefined) return [subject.name, subject.missing];
    const runs = rounds.flatMap((round) => round.get(subject.name) ?? []);
    return [
      subject.name,
      grouped(median(runs.map((run) => run.rate))),
      decimal(median(runs.map((run) => run.cpuUs)), 1),
      ...shape.bases.flatMap(([base]) => [
        decimal(
          medianOfPairs(rounds, subject.name, base, (a, b) => a.rate / b.rate),
          2,
        ),
        decimal(
          medianOfPairs(rounds, subject.name, base, (a, b) => a.cpuUs / b.cpuUs),
          2,
        ),
      ]),
      String(runs.reduce((sum, run) => sum + run.failed, 0)),
      String(runs.length),
    ];
  });
  const goals = shape.goals.map((goal) => {
    const value = medianOfPairs(rounds, goal.subject, goal.base, goal.figure);
    return [goal.name, decimal(value, 2), limitText(goal), verdict(goal, value)];
  });
  return `${table(head, rows)}\n\n${table(['goal', 'measured', 'wanted', 'verdict'], goals)}\n`;
}

/** One line on the machine, for a table that is kept. */
export function machineLine(versions: readonly string[]): string {
  const [first] = cpus();
  const cores = `${cpus().length} cores, ${first?.model.trim() ?? 'unknown processor'}`;
  return [cores, `Node ${process.versions.node}`, ...versions].join('; ');
}

function limitText(goal: Goal): string {
  return goal.atLeast === undefined ? `≤ ${String(goal.atMost)}` : `≥ ${goal.atLeast}`;
}

function verdict(goal: Goal, value: number): string {
  if (Number.isNaN(value)) return 'not measured';
  const isMet = value >= (goal.atLeast ?? -Infinity) && value <= (goal.atMost ?? Infinity);
  return isMet ? 'met' : 'missed';
}

function grouped(value: number): string {
  return Number.isNaN(value) ? '–' : Math.round(value).toLocaleString('en-GB');
}

function decimal(value: number, digits: number): string {
  return Number.isNaN(value) ? '–' : value.toFixed(digits);
}

/** A table in Markdown. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((text, column) =>
    Math.max(3, text.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}
