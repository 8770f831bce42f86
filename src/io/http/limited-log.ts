import { httpLimits } from '../../config/defaults.ts';
import type { HttpLog } from './listener-context.ts';

interface Kind {
  second: number;
  lines: number;
  leftOut: number;
}

/**
 * A log that a flood of failures does not flood: warnings and errors of one message are written
 * `httpLimits.logLinesPerSecond` times a second, and the next one then tells how many were left out.
 */
export class LimitedLog implements HttpLog {
  readonly #log: HttpLog;
  readonly #nowMs: () => number;
  /** By message; messages are literals of the code. */
  readonly #kinds = new Map<string, Kind>();

  constructor(log: HttpLog, nowMs: () => number) {
    this.#log = log;
    this.#nowMs = nowMs;
  }

  info(details: object, message: string): void {
    this.#log.info(details, message);
  }

  warn(details: object, message: string): void {
    const kind = this.#admitted(message);
    if (kind !== undefined) this.#log.warn(withLeftOut(details, kind), message);
  }

  error(details: object, message: string): void {
    const kind = this.#admitted(message);
    if (kind !== undefined) this.#log.error(withLeftOut(details, kind), message);
  }

  #admitted(message: string): Kind | undefined {
    let kind = this.#kinds.get(message);
    if (kind === undefined) {
      kind = { second: 0, lines: 0, leftOut: 0 };
      this.#kinds.set(message, kind);
    }
    const second = Math.floor(this.#nowMs() / 1_000);
    if (second !== kind.second) {
      kind.second = second;
      kind.lines = 0;
    }
    if (kind.lines >= httpLimits.logLinesPerSecond) {
      kind.leftOut++;
      return undefined;
    }
    kind.lines++;
    return kind;
  }
}

function withLeftOut(details: object, kind: Kind): object {
  if (kind.leftOut === 0) return details;
  const { leftOut } = kind;
  kind.leftOut = 0;
  return { ...details, leftOut };
}
