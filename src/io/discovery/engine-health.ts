type LogLine = (fields: object, message: string) => void;

export interface DiscoveryLog {
  readonly debug: LogLine;
  readonly info: LogLine;
  readonly warn: LogLine;
  readonly error: LogLine;
}

/** Says once that an engine is away and once that it is back, however often it was asked between. */
export class EngineHealth {
  readonly #engine: string;
  readonly #task: string;
  readonly #log: DiscoveryLog;
  #isAway = false;

  /** @param task what this peer wants of the engine, for the log */
  constructor(engine: string, task: string, log: DiscoveryLog) {
    this.#engine = engine;
    this.#task = task;
    this.#log = log;
  }

  failed(fault: string): void {
    const fields = { engine: this.#engine, fault };
    if (this.#isAway) this.#log.debug(fields, `${this.#task} fails still`);
    else this.#log.warn(fields, `${this.#task} failed; it is tried again for ever`);
    this.#isAway = true;
  }

  answered(): void {
    if (this.#isAway) this.#log.info({ engine: this.#engine }, `${this.#task} succeeds again`);
    this.#isAway = false;
  }
}
