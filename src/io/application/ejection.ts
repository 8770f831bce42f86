import type { EjectionConfig } from '../../config/config.ts';

/**
 * How a request may go to the server.
 *
 * - `normal`: as long as nothing is known against the server
 * - `trial`: alone, after a pause; what becomes of it decides
 * - `last`: the server is ejected, but nobody else is left to ask
 */
export type Admission = 'normal' | 'trial' | 'last';

/** Who wants to know of changes; called before the request that caused them goes on. */
export interface EjectionWatcher {
  /** No requests for so long; called again for each further pause. */
  ejected(pauseMs: number, isFirst: boolean): void;
  trial(): void;
  returned(): void;
}

/**
 * Whether one server gets requests: one that has failed some of them in a row gets none for a while, then a
 * single one as a trial; another when that one has told nothing for `maxMs` (a client may take its time with a
 * body). A failed trial doubles the pause. After a return the next pause is half as long as the last one, and
 * as long as the first one when the server has been well for `maxMs`.
 *
 * A failure is a request without connection or without any response. Requests that their asker gave up, or
 * that never got a connection because all were in use, say nothing about the server.
 *
 * Every request that {@link admit} lets through ends in exactly one call of {@link answered}, {@link failed}
 * or {@link unjudged}. Times are milliseconds of a monotonic clock; a coarse one will do.
 */
export class Ejection {
  readonly #config: EjectionConfig;
  readonly #watcher: EjectionWatcher;
  #failures = 0;
  #isEjected = false;
  #pauseMs: number;
  /** Of the pause, or of the trial. */
  #untilMs = 0;
  #returnedAtMs = 0;

  constructor(config: EjectionConfig, watcher: EjectionWatcher) {
    this.#config = config;
    this.#watcher = watcher;
    this.#pauseMs = Math.min(config.baseMs, config.maxMs);
  }

  get isEjected(): boolean {
    return this.#isEjected;
  }

  /**
   * @param isLastOffer nobody else will be asked: better a server that may fail than none
   * @returns undefined: the request is refused, others may serve it
   */
  admit(nowMs: number, isLastOffer: boolean): Admission | undefined {
    if (!this.#isEjected) return 'normal';
    if (nowMs >= this.#untilMs) {
      this.#untilMs = nowMs + this.#config.maxMs;
      this.#watcher.trial();
      return 'trial';
    }
    return isLastOffer ? 'last' : undefined;
  }

  /** A response has begun. Those of requests from before the ejection do not end it. */
  answered(admission: Admission, nowMs: number): void {
    if (!this.#isEjected) {
      this.#failures = 0;
    } else if (admission !== 'normal') {
      this.#isEjected = false;
      this.#failures = 0;
      this.#returnedAtMs = nowMs;
      this.#watcher.returned();
    }
  }

  failed(admission: Admission, nowMs: number): void {
    if (this.#isEjected) {
      if (admission === 'trial') this.#eject(this.#pauseMs * 2, nowMs);
      return;
    }
    this.#failures++;
    const { failures, baseMs, maxMs } = this.#config;
    if (failures === 0 || this.#failures < failures) return;
    const isForgotten = nowMs - this.#returnedAtMs >= maxMs;
    this.#eject(isForgotten ? baseMs : Math.max(baseMs, this.#pauseMs / 2), nowMs);
  }

  /** The request ended without telling anything about the server. */
  unjudged(admission: Admission): void {
    if (admission === 'trial' && this.#isEjected) this.#untilMs = 0;
  }

  #eject(pauseMs: number, nowMs: number): void {
    const isFirst = !this.#isEjected;
    this.#isEjected = true;
    this.#pauseMs = Math.min(pauseMs, this.#config.maxMs);
    this.#untilMs = nowMs + this.#pauseMs;
    this.#watcher.ejected(this.#pauseMs, isFirst);
  }
}

export interface EjectionNews {
  readonly config: { readonly host: string; readonly port: number };
  readonly counters: { count(name: string, reason: string): void };
  readonly log: { warn(details: object, message: string): void };
}

/** Counts what happens, and logs each change once. */
export function tellEjection({ config, counters, log }: EjectionNews): EjectionWatcher {
  const { host, port } = config;
  return {
    ejected: (pauseMs, isFirst) => {
      if (!isFirst) return;
      counters.count('http_upstream', 'ejected');
      log.warn(
        { host, port, pauseMs },
        'Upstream HTTP server keeps failing: requests go elsewhere',
      );
    },
    trial: () => {
      counters.count('http_upstream', 'trial');
    },
    returned: () => {
      counters.count('http_upstream', 'returned');
      log.warn({ host, port }, 'Upstream HTTP server responds: it gets requests again');
    },
  };
}
