import { gossipLimits } from '../config/defaults.ts';

/**
 * The time in which this process ran. While it stood still (a busy event loop, a stopped process, a sleeping
 * machine) answers waited unread, so that time is nobody's silence: it is taken out, and all that was
 * running goes on with the time it had left. Timers that come late are put off once by a grace in which
 * what waits can be read.
 */
export class RunningTime {
  /** Outer time minus this is running time. */
  #lostMs = 0;
  #now: number;
  /** No timer runs before this running time. */
  #heldUntil = -Infinity;
  #isPutOff = false;

  constructor(outerNow: number) {
    this.#now = outerNow;
  }

  /** Running time; never goes back. */
  get now(): number {
    return this.#now;
  }

  /** False during the grace. */
  get mayRunTimers(): boolean {
    return this.#now >= this.#heldUntil;
  }

  /**
   * Moves on to an outer time. `dueAt` is the running time of the next timer. True when the process stood
   * still before.
   */
  advance(outerNow: number, dueAt: number | undefined): boolean {
    const wakeAt = Math.max(dueAt ?? Infinity, this.#heldUntil);
    // Woken at the time that was asked for, a rounding error must not make it too early.
    const least = outerNow >= wakeAt + this.#lostMs ? wakeAt : this.#now;
    const wanted = Math.max(this.#now, least, outerNow - this.#lostMs);
    const isLate = wanted - wakeAt > gossipLimits.timerLateMs;
    if (!isLate) this.#now = wanted;
    else if (this.#isPutOff) this.#now = Math.max(this.#now, wakeAt);
    else this.#putOff(wakeAt);
    this.#lostMs = outerNow - this.#now;
    return isLate;
  }

  /** Timers ran: the next late ones may be put off again. */
  timersRan(): void {
    this.#isPutOff = false;
  }

  /** The outer time at which a timer that is due at this running time can run. */
  wakeAt(dueAt: number): number {
    return Math.max(dueAt, this.#heldUntil) + this.#lostMs;
  }

  #putOff(wakeAt: number): void {
    this.#isPutOff = true;
    this.#now = Math.max(this.#now, wakeAt - gossipLimits.timerLateMs);
    this.#heldUntil = this.#now + gossipLimits.timerLateMs;
  }
}
