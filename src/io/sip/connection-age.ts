import type { TransportContext } from './transport-context.ts';

/** When a connection was made and used, and so when it is to be closed. */
export class ConnectionAge {
  readonly #context: TransportContext;
  readonly #openedMs: number;
  #activeMs: number;
  #messageMs: number;

  constructor(context: TransportContext) {
    this.#context = context;
    this.#openedMs = context.now();
    this.#activeMs = this.#openedMs;
    this.#messageMs = this.#openedMs;
  }

  /** Notes a sign of life. */
  active(): number {
    this.#activeMs = this.#context.now();
    return this.#activeMs;
  }

  /** Notes a message, in either direction. */
  message(): void {
    this.#messageMs = this.active();
  }

  /**
   * Why it is to be closed now. Its lifetime spreads clients over the peers again after one came
   * back, so it need not be exact: it waits for a moment in which no transaction is likely to run.
   */
  overdue(nowMs: number): 'idle' | 'lifetime' | undefined {
    const { connections, limits } = this.#context;
    if (nowMs - this.#activeMs > connections.idleMs) return 'idle';
    const overMs = nowMs - this.#openedMs - connections.lifetimeMs;
    if (connections.lifetimeMs === 0 || overMs <= 0) return undefined;
    const isQuiet = nowMs - this.#messageMs >= limits.quietMs;
    return isQuiet || overMs > limits.lifetimeGraceMs ? 'lifetime' : undefined;
  }
}
