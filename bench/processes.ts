import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { delimiter, join } from 'node:path';
import { existsSync } from 'node:fs';

/** Core of the program under test and core of the load. */
export const subjectCore = 0;
export const loadCore = 1;

/** A program that a measurement started. */
export interface Started {
  readonly pid: number;
  /** Resolves when the program has ended; with its exit code, or null after a signal. */
  readonly ended: Promise<number | null>;
  hasEnded(): boolean;
  /** What it has printed so far on both streams, the last 64 KiB. */
  output(): string;
  /** Resolves with the line of standard output that begins with `start`; rejects when it ends before. */
  line(start: string): Promise<string>;
  /** Ends it, by force after two seconds. */
  stop(): Promise<void>;
}

const outputBytesMax = 65_536;
const stopWithinMs = 2_000;
const live = new Set<number>();
// Whatever ends the measurement, nothing that it started stays behind.
process.on('exit', () => {
  for (const pid of live) signalGroup(pid, 'SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));

/** Path of a program, or undefined. The sbin folders are searched even when PATH lacks them. */
export function findProgram(name: string): string | undefined {
  return [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}

const taskset = findProgram('taskset');

/** Whether load and program under test get a core each. */
export function canPin(): boolean {
  return taskset !== undefined && availableParallelism() > loadCore;
}

/** Starts a program on one core where the machine can pin. */
export function startProgram(
  program: string,
  parameters: readonly string[],
  core: number,
  environment: Readonly<Record<string, string>> = {},
): Started {
  const [file, first] =
    canPin() && taskset !== undefined
      ? [taskset, ['-c', String(core), program]]
      : [program, [] as string[]];
  const child = spawn(file, [...first, ...parameters], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
    // A group of its own, so that its children end with it.
    detached: true,
  });
  const pid = child.pid;
  let output = '';
  let lines = '';
  const listeners = new Set<() => void>();
  const wake = (): void => {
    for (const listener of [...listeners]) listener();
  };
  child.stdout.setEncoding('latin1').on('data', (text: string) => {
    lines = (lines + text).slice(-outputBytesMax);
    output = (output + text).slice(-outputBytesMax);
    wake();
  });
  child.stderr.setEncoding('latin1').on('data', (text: string) => {
    output = (output + text).slice(-outputBytesMax);
  });
  let hasEnded = false;
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      hasEnded = true;
      if (pid !== undefined) live.delete(pid);
      resolve(code);
      wake();
    });
  });
  if (pid === undefined) throw new Error(`${program} could not be started`);
  live.add(pid);
  return {
    pid,
    ended,
    hasEnded: () => hasEnded,
    output: () => output,
    line: (start) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = lines.split('\n').find((line) => line.startsWith(start));
          if (found === undefined && !hasEnded) return;
          listeners.delete(look);
          if (found === undefined) reject(new Error(`${program} ended:\n${output}`));
          else resolve(found);
        };
        listeners.add(look);
        look();
      }),
    stop: async () => {
      if (hasEnded) return;
      signalGroup(pid, 'SIGTERM');
      const force = setTimeout(() => {
        signalGroup(pid, 'SIGKILL');
      }, stopWithinMs);
      await ended;
      clearTimeout(force);
      // A group's children may outlive its first process for a moment.
      signalGroup(pid, 'SIGKILL');
    },
  };
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
