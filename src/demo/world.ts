import { randomUUID } from 'node:crypto';

/** What the demo takes from the world; tests bring their own. */
export interface DemoWorld {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls back once after `delayMs`; returns how to cancel that. */
  schedule(delayMs: number, callback: () => void): () => void;
  /** A random UUID. */
  newId(): string;
}

/** The real clock; its timers do not keep the process alive. */
export const realWorld: DemoWorld = {
  now: () => Date.now(),
  schedule: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs).unref();
    return () => {
      clearTimeout(timer);
    };
  },
  newId: () => randomUUID(),
};
