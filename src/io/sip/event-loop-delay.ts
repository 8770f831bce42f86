import { performance } from 'node:perf_hooks';
import { eventLoopLimits } from '../../config/defaults.ts';

/** Where time comes from. */
export interface LoopClock {
  /** Milliseconds that never run backwards. */
  nowMs(): number;
  /** Milliseconds that the event loop has waited for work so far. */
  idleMs(): number;
  /** Milliseconds of the processor that the event loop's thread has used so far. */
  usedMs(): number;
}

const machine: LoopClock = {
  nowMs: () => performance.now(),
  idleMs: () => performance.eventLoopUtilization().idle,
  usedMs: () => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1_000;
  },
};

/**
 * Tells whether this process has more work than it can do. Two things say so: a timer that is late,
 * because one turn of the event loop takes long; and a loop that has not rested for long, because a
 * UDP socket gives only a few datagrams a turn, however many are waiting. One long pause is no
 * overload, and what was overloaded must be calm for a while before it is not.
 *
 * Both count only the time in which this thread had a processor: on a machine that is busy with other
 * programs, asleep or stopped, all timers are late, but refusing calls would give nothing back. A
 * process that never gets enough of a processor for its work never rests, and so is told later.
 */
export class EventLoopDelay {
  readonly #limitMs: number;
  readonly #clock: LoopClock;
  #timer: NodeJS.Timeout | undefined;
  #lastMs = 0;
  #lastIdleMs = 0;
  #lastUsedMs = 0;
  #busyMs = 0;
  /** Samples in a row that speak against the present state. */
  #contrary = 0;
  #isOverloaded = false;

  /** @param overload a delay above its `eventLoopDelayMs` is overload; with 0 nothing is */
  constructor(overload: { readonly eventLoopDelayMs: number }, clock: LoopClock = machine) {
    this.#limitMs = overload.eventLoopDelayMs;
    this.#clock = clock;
  }

  get isOverloaded(): boolean {
    return this.#isOverloaded;
  }

  /** Begins to measure; does not keep the process alive. */
  start(): void {
    if (this.#limitMs === 0 || this.#timer !== undefined) return;
    this.#lastMs = this.#clock.nowMs();
    this.#lastIdleMs = this.#clock.idleMs();
    this.#lastUsedMs = this.#clock.usedMs();
    this.#timer = setInterval(() => this.#sample(), eventLoopLimits.sampleIntervalMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#isOverloaded = false;
    this.#busyMs = 0;
    this.#contrary = 0;
  }

  #sample(): void {
    const nowMs = this.#clock.nowMs();
    const idleMs = this.#clock.idleMs();
    const totalUsedMs = this.#clock.usedMs();
    const elapsedMs = nowMs - this.#lastMs;
    const usedMs = totalUsedMs - this.#lastUsedMs;
    const hasRested = idleMs - this.#lastIdleMs >= elapsedMs * eventLoopLimits.idleShareMin;
    this.#busyMs = hasRested ? 0 : this.#busyMs + usedMs;
    this.#lastMs = nowMs;
    this.#lastIdleMs = idleMs;
    this.#lastUsedMs = totalUsedMs;
    this.#judge(Math.min(elapsedMs - eventLoopLimits.sampleIntervalMs, usedMs));
  }

  #judge(lateMs: number): void {
    const limitMs = this.#isOverloaded ? this.#limitMs / 2 : this.#limitMs;
    const isAbove = lateMs > limitMs || this.#busyMs > limitMs * eventLoopLimits.busyFactor;
    if (isAbove === this.#isOverloaded) {
      this.#contrary = 0;
      return;
    }
    const { samplesToEnter, samplesToLeave } = eventLoopLimits;
    this.#contrary++;
    if (this.#contrary < (this.#isOverloaded ? samplesToLeave : samplesToEnter)) return;
    this.#isOverloaded = isAbove;
    this.#contrary = 0;
  }
}
