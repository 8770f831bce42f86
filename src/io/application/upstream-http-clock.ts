import type { UpstreamHttpTimeoutsConfig } from '../../config/config.ts';

/** What a connection to the upstream server waits for; each has its time-out. */
export type UpstreamActivity = 'connect' | 'response' | 'body' | 'tunnel' | 'idle';

/** One deadline of a connection to the upstream server, looked at by the pool's sweep: no timer. */
export class UpstreamHttpClock {
  readonly #timeouts: UpstreamHttpTimeoutsConfig;
  readonly #time: { nowMs(): number };
  #activity: UpstreamActivity = 'connect';
  #deadlineMs: number;

  /** Waits for the connection. @param time of a clock that never goes back; a coarse one will do */
  constructor(timeouts: UpstreamHttpTimeoutsConfig, time: { nowMs(): number }) {
    this.#timeouts = timeouts;
    this.#time = time;
    this.#deadlineMs = time.nowMs() + timeouts.connectMs;
  }

  get activity(): UpstreamActivity {
    return this.#activity;
  }

  /** What is waited for has lasted too long. */
  get isOver(): boolean {
    return this.#time.nowMs() >= this.#deadlineMs;
  }

  /** Says what the connection waits for from now on. */
  wait(activity: UpstreamActivity): void {
    this.#activity = activity;
    this.#deadlineMs = this.#time.nowMs() + this.#timeoutMs(activity);
  }

  /** Something moved: the same activity has its whole time again. */
  restart(): void {
    this.wait(this.#activity);
  }

  #timeoutMs(activity: UpstreamActivity): number {
    switch (activity) {
      case 'connect':
        return this.#timeouts.connectMs;
      case 'response':
        return this.#timeouts.responseMs;
      case 'body':
        return this.#timeouts.bodyMs;
      case 'tunnel':
        // The asker's peer knows how long it may be silent.
        return Infinity;
      case 'idle':
        return this.#timeouts.idleMs;
    }
  }
}
