import { readFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';

/** Whether the system tells what memory a process has. */
export const tellsMemory: boolean = existsSync('/proc/self/status');

/** Resident memory of a process in MiB: now, and the most it ever had. */
export async function residentMiB(pid: number): Promise<{ now: number; peak: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number => {
    const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
    if (kib === undefined) throw new Error(`process ${pid} does not tell its ${name}`);
    return Number(kib) / 1024;
  };
  return { now: field('VmRSS'), peak: field('VmHWM') };
}
