import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves after the time, or as soon as `signal` aborts. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** The pause after so many tries in vain: doubling from `leastMs` up to `mostMs`, half of it by chance. */
export function backoffMs(tries: number, leastMs: number, mostMs: number): number {
  return Math.min(mostMs, leastMs * 2 ** Math.min(tries - 1, 30)) * (0.5 + Math.random() / 2);
}
