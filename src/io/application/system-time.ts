/** The time of the system, as an embedded application's transactions take it. */
export const systemTime = {
  /** Milliseconds that never run backwards. */
  now: (): number => performance.now(),

  /** Calls back once at `atMs` of `now`; the result cancels. */
  schedule: (atMs: number, callback: () => void): (() => void) => {
    const timer = setTimeout(callback, Math.max(0, atMs - performance.now()));
    return () => clearTimeout(timer);
  },
} as const;
