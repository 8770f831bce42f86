import type { Member } from '../../src/gossip/index.ts';
import { GossipAgent, type GossipAgentOptions } from '../../src/io/gossip/index.ts';
import { Counters } from '../../src/pipeline/counters.ts';

/** An agent whose changes and counts can be waited for. */
export class Watched {
  readonly agent: GossipAgent;
  readonly counters: WatchedCounters;
  changes = 0;
  #waiting: { readonly done: () => boolean; readonly resolve: () => void }[] = [];

  constructor(name: string, options: Partial<GossipAgentOptions> = {}) {
    this.counters = new WatchedCounters(() => {
      this.#look();
    });
    const quiet = (): void => undefined;
    this.agent = new GossipAgent({
      name,
      epoch: 1_767_225_600,
      label: 'test',
      listen: { address: '127.0.0.1', port: 0 },
      seeds: [],
      profile: 'fast',
      tags: {},
      counters: this.counters,
      onChange: () => {
        this.changes++;
        this.#look();
      },
      log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
      ...options,
    });
    started.push(this.agent);
  }

  get seed(): string {
    return `127.0.0.1:${this.agent.port}`;
  }

  member(name: string): Member | undefined {
    return this.agent.members().find((member) => member.name === name);
  }

  /** Settles when a change or a count makes `done` true. */
  async until(done: () => boolean): Promise<void> {
    if (done()) return;
    await new Promise<void>((resolve) => this.#waiting.push({ done, resolve }));
  }

  async sees(name: string, state: Member['state']): Promise<void> {
    await this.until(() => this.member(name)?.state === state);
  }

  #look(): void {
    const ready = this.#waiting.filter(({ done }) => done());
    this.#waiting = this.#waiting.filter((waiting) => !ready.includes(waiting));
    for (const { resolve } of ready) resolve();
  }
}

class WatchedCounters extends Counters {
  readonly #onCount: () => void;

  constructor(onCount: () => void) {
    super();
    this.#onCount = onCount;
  }

  override count(name: string, reason: string, by = 1): void {
    super.count(name, reason, by);
    this.#onCount();
  }
}

const started: GossipAgent[] = [];

/** Stops all agents that were made. */
export async function stopAgents(): Promise<void> {
  await Promise.all(started.splice(0).map((agent) => agent.stop()));
}
