import { readFileSync, readdirSync } from 'node:fs';

/**
 * Processor time that the threads of these processes and of all their descendants have used, in
 * seconds, exact to the nanosecond of the scheduler (`/proc/<pid>/task/<tid>/schedstat`).
 */
export function cpuSeconds(pids: readonly number[]): number {
  let nanoseconds = 0;
  for (const pid of pids.flatMap((root) => family(root))) {
    for (const thread of list(`/proc/${pid}/task`)) {
      nanoseconds += Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0]);
    }
  }
  return nanoseconds / 1e9;
}

/** Processor time of the whole machine, in seconds: everything but idle and waiting for disks. */
export function machineCpuSeconds(): number {
  const [, user, nice, system, , , irq, softIrq, steal] = read('/proc/stat')
    .split('\n', 1)[0]!
    .split(/\s+/)
    .map(Number);
  const ticks = user! + nice! + system! + irq! + softIrq! + steal!;
  return ticks / ticksPerSecond;
}

/** USER_HZ; the same on every Linux architecture that Node runs on. */
const ticksPerSecond = 100;

function family(root: number): readonly number[] {
  const children = list(`/proc/${root}/task`).flatMap((thread) =>
    read(`/proc/${root}/task/${thread}/children`).split(' ').filter(Boolean).map(Number),
  );
  return [root, ...children.flatMap((child) => family(child))];
}

// A process or thread may end between listing and reading; it then counts as nothing.
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function list(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
