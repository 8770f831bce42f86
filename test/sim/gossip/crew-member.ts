import { parentPort } from 'node:worker_threads';
import type { Assignment, Report } from './crew.ts';
import { scenarios } from './scenarios/index.ts';

parentPort!.on('message', ({ scenario, parameters }: Assignment) => {
  const run = scenarios[scenario] as (given: unknown) => unknown;
  const before = process.threadCpuUsage();
  let report: Report;
  try {
    report = { figures: run(parameters), cpuMs: cpuMsSince(before) };
  } catch (error) {
    report = { error };
  }
  parentPort!.postMessage(report);
});

function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1_000;
}
