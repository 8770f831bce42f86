import { constants } from 'node:os';
import { cliLimits } from '../config/defaults.ts';

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

const signals: readonly StopSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * Resolves at the first signal to stop. A second one calls `again`; one that comes right after the
 * first is taken for the same key press, which npm passes on once more.
 */
export function stopSignal(again: (exitCode: number) => void): Promise<StopSignal> {
  return new Promise((resolve) => {
    let firstAtMs: number | undefined;
    for (const signal of signals)
      process.on(signal, () => {
        const nowMs = performance.now();
        if (firstAtMs === undefined) {
          firstAtMs = nowMs;
          resolve(signal);
        } else if (nowMs - firstAtMs >= cliLimits.signalRepeatMs) {
          again(128 + constants.signals[signal]);
        }
      });
  });
}
