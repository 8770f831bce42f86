import { httpLimits } from '../../config/defaults.ts';
import type { ListenerContext } from './listener-context.ts';

/** What a connection waits for; each has its time-out. */
export type Activity = 'idle' | 'head' | 'body' | 'response' | 'write' | 'tunnel' | 'linger';

/**
 * One deadline of a connection, looked at by the listener's sweep. Setting it costs an addition,
 * no timer.
 */
export class ConnectionClock {
  readonly #context: ListenerContext;
  #activity: Activity | undefined;
  #deadlineMs = 0;
  #writableBytes = 0;

  constructor(context: ListenerContext) {
    this.#context = context;
  }

  /**
   * Says what the connection waits for now; undefined: nothing that has a limit. The time of the
   * same activity runs on, except that what comes through a body or a tunnel (`isNew`) adds to it.
   *
   * @param newBytes how much of a body came: it earns time at the least rate, and never more than that
   *   of a whole pause, so that a body that drips ends too
   */
  set(
    activity: Activity | undefined,
    isNew = false,
    newBytes: number = Number.MAX_SAFE_INTEGER,
  ): void {
    if (activity !== this.#activity) {
      this.#activity = activity;
      if (activity !== undefined) this.#start(activity);
    } else if (isNew && activity === 'body') {
      const earnedMs = (newBytes * 1_000) / httpLimits.bodyBytesPerSecondMin;
      const latestMs = this.#context.nowMs + this.#timeoutMs(activity);
      this.#deadlineMs = Math.min(latestMs, this.#deadlineMs + earnedMs);
    } else if (isNew && activity === 'tunnel') {
      this.#start(activity);
    }
  }

  /** @param writableBytes bytes not yet taken by the client: while they change, it does read */
  expired(writableBytes: number): Activity | undefined {
    const activity = this.#activity;
    if (activity === undefined || this.#context.nowMs < this.#deadlineMs) return undefined;
    if (activity === 'write' && writableBytes !== this.#writableBytes) {
      this.#writableBytes = writableBytes;
      this.#start(activity);
      return undefined;
    }
    this.#activity = undefined;
    return activity;
  }

  #start(activity: Activity): void {
    this.#deadlineMs = this.#context.nowMs + this.#timeoutMs(activity);
  }

  #timeoutMs(activity: Activity): number {
    const { timeouts } = this.#context;
    switch (activity) {
      case 'idle':
        return timeouts.idleMs;
      case 'head':
        return timeouts.headMs;
      case 'body':
        return timeouts.bodyMs;
      case 'response':
        return timeouts.responseMs;
      case 'write':
        return timeouts.writeMs;
      case 'tunnel':
        return timeouts.tunnelIdleMs === 0 ? Infinity : timeouts.tunnelIdleMs;
      case 'linger':
        return timeouts.lingerMs;
    }
  }
}
