import { writeFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { residentMiB } from './memory.ts';

/** How one process' memory changed while something ran, in MiB. */
export interface MemoryGrowth {
  readonly name: string;
  /** Resident before. */
  readonly baselineMiB: number;
  /** The most that was seen, or that the system saw where it can be asked for it. */
  readonly peakMiB: number;
  /** Highest resident size of each tenth of the time, to tell a plateau from a leak. */
  readonly tenthsMiB: readonly number[];
}

interface Watched {
  readonly name: string;
  readonly pid: number;
}

const sampleIntervalMs = 100;

/** Samples the resident memory of processes while `work` runs. */
export async function memoryGrowth(
  processes: readonly Watched[],
  work: () => Promise<unknown>,
): Promise<MemoryGrowth[]> {
  const baselines = await Promise.all(processes.map(({ pid }) => baselineOf(pid)));
  const samples = processes.map((): number[] => []);
  const done = new AbortController();
  const sampled = sample(processes, samples, done.signal);
  try {
    await work();
  } finally {
    done.abort();
    await sampled;
  }
  return Promise.all(
    processes.map(async ({ name, pid }, at) => {
      const { now, isPeakReset } = baselines[at]!;
      const seen = samples[at]!;
      const { peak } = await residentMiB(pid);
      const peakMiB = isPeakReset ? peak : Math.max(now, ...seen);
      return { name, baselineMiB: now, peakMiB, tenthsMiB: tenthsOf(seen) };
    }),
  );
}

/** Linux forgets the peak of a process when asked so (proc(5), clear_refs); not every container allows it. */
async function baselineOf(pid: number): Promise<{ now: number; isPeakReset: boolean }> {
  const isPeakReset = await writeFile(`/proc/${pid}/clear_refs`, '5').then(
    () => true,
    () => false,
  );
  const { now, peak } = await residentMiB(pid);
  return { now, isPeakReset: isPeakReset && peak - now < 1 };
}

async function sample(
  processes: readonly Watched[],
  samples: readonly number[][],
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    for (const [at, { pid }] of processes.entries())
      samples[at]!.push((await residentMiB(pid)).now);
    await pause(sampleIntervalMs, undefined, { signal }).catch(() => undefined);
  }
}

function tenthsOf(samples: readonly number[]): number[] {
  const size = Math.max(1, Math.ceil(samples.length / 10));
  const tenths: number[] = [];
  for (let at = 0; at < samples.length; at += size)
    tenths.push(Math.max(...samples.slice(at, at + size)));
  return tenths;
}
