import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { ScenarioName, Scenarios } from './scenarios/index.ts';

export interface Assignment {
  readonly scenario: ScenarioName;
  readonly parameters: unknown;
}

export type Report =
  { readonly figures: unknown; readonly cpuMs: number } | { readonly error: unknown };

interface Job extends Assignment {
  readonly done: (report: Report) => void;
}

/** Large clusters live long: a small nursery would have them moved again and again. */
const resourceLimits = { maxYoungGenerationSizeMb: 192 };

/** Runs scenarios on all processors: each run stands alone, so the order does not matter. */
export class Crew {
  readonly #waiting: Job[] = [];
  readonly #idle: Worker[] = [];
  readonly #working = new Map<Worker, Job>();
  readonly #cpuMs = new Map<ScenarioName, number>();

  constructor() {
    for (let i = 0; i < availableParallelism(); i++) {
      const worker = new Worker(new URL('./crew-member.ts', import.meta.url), { resourceLimits });
      worker.on('message', (report: Report) => {
        this.#finish(worker, report);
      });
      worker.on('error', (error) => {
        this.#finish(worker, { error });
      });
      this.#idle.push(worker);
    }
  }

  /** Processor time of what ended, in words. */
  get cost(): string {
    const parts = [...this.#cpuMs].map(([name, ms]) => `${name} ${(ms / 1_000).toFixed(0)} s`);
    return `processor time: ${parts.join(', ')}`;
  }

  /** Figures in the order of the parameters. Rejects when a run throws. */
  async run<N extends ScenarioName>(
    scenario: N,
    all: readonly Scenarios[N]['parameters'][],
  ): Promise<readonly Scenarios[N]['figures'][]> {
    const reports = await Promise.all(
      all.map((parameters) => {
        const { promise, resolve } = Promise.withResolvers<Report>();
        this.#waiting.push({ scenario, parameters, done: resolve });
        this.#assign();
        return promise;
      }),
    );
    return reports.map((report) => {
      if ('error' in report) throw report.error;
      this.#cpuMs.set(scenario, (this.#cpuMs.get(scenario) ?? 0) + report.cpuMs);
      return report.figures as Scenarios[N]['figures'];
    });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#idle, ...this.#working.keys()].map((worker) => worker.terminate()));
  }

  #assign(): void {
    while (this.#idle.length > 0 && this.#waiting.length > 0) {
      const worker = this.#idle.pop()!;
      const job = this.#waiting.shift()!;
      this.#working.set(worker, job);
      const { scenario, parameters } = job;
      worker.postMessage({ scenario, parameters } satisfies Assignment);
    }
  }

  #finish(worker: Worker, report: Report): void {
    const job = this.#working.get(worker);
    this.#working.delete(worker);
    this.#idle.push(worker);
    job?.done(report);
    this.#assign();
  }
}
