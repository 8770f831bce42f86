import { rampUpLimits } from '../config/defaults.ts';

export interface RampUpSettings {
  /** Part of the weight with which an instance begins, and which each period adds; 1 is all at once. */
  readonly loadIncreaseFactor: number;
  /** 0 gives the whole share at once. */
  readonly periodMs: number;
}

/**
 * The share of its weight that an instance has on the ring: it grows in steps after the instance came
 * to a running cluster. The instance tells it to all, so that all put it on the ring alike.
 */
export class RampUp {
  readonly #settings: RampUpSettings;
  #beganAtMs: number | undefined;

  constructor(settings: RampUpSettings) {
    this.#settings = settings;
  }

  /** The instance gets its first step now. */
  begin(nowMs: number): void {
    this.#beganAtMs = nowMs;
  }

  /** The instance has its whole share, or none to grow. */
  end(): void {
    this.#beganAtMs = undefined;
  }

  /** From above 0 to 1. */
  share(nowMs: number): number {
    const { loadIncreaseFactor, periodMs } = this.#settings;
    if (this.#beganAtMs === undefined || periodMs === 0) return 1;
    const steps = 1 + Math.floor((nowMs - this.#beganAtMs) / periodMs);
    // What the sum of tenths is off by would be told to all.
    return Math.min(1, Math.round(steps * loadIncreaseFactor * 10_000) / 10_000);
  }

  /** When the share is to be told again; `Infinity` when it is whole. */
  nextMs(nowMs: number): number {
    if (this.#beganAtMs === undefined || this.share(nowMs) === 1) return Infinity;
    const { periodMs } = this.#settings;
    const stepMs = Math.ceil(rampUpLimits.stepMsMin / periodMs) * periodMs;
    const told = Math.floor((nowMs - this.#beganAtMs) / stepMs);
    return this.#beganAtMs + (told + 1) * stepMs;
  }
}

/**
 * Whether an instance that becomes ready comes to a running cluster: some ready one has run for longer
 * than those do that are started together.
 *
 * @param epochs starts of the processes of the other ready instances, in seconds
 */
export function joinsRunningCluster(epochs: Iterable<number>, nowSeconds: number): boolean {
  for (const epoch of epochs) {
    if ((nowSeconds - epoch) * 1_000 > rampUpLimits.togetherMs) return true;
  }
  return false;
}
