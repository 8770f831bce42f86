import { PeerProcess, type PeerEnd } from './peer-process.ts';

/** One peer of `sailring cluster`: the same configuration, in one process after another. */
export class ClusterMember {
  readonly name: string;
  /** Resolves when a process is gone that was not restarted. */
  readonly ended: Promise<PeerEnd>;
  readonly #configFile: string;
  #process: PeerProcess;
  /** The process that is being replaced, and what replaces it. */
  #leaving: { readonly process: PeerProcess; readonly next: Promise<PeerProcess> } | undefined;

  constructor(name: string, configFile: string) {
    this.name = name;
    this.#configFile = configFile;
    this.#process = new PeerProcess(name, configFile);
    this.ended = this.#end();
  }

  get pid(): number {
    return this.#process.pid;
  }

  get isRunning(): boolean {
    return this.#process.isRunning;
  }

  /** Resolves when the peer listens; rejects when it ended before. */
  get ready(): Promise<void> {
    return this.#process.ready;
  }

  /** Drains the process, waits for its end and starts another. Resolves when that listens. */
  async restart(): Promise<void> {
    const before = this.#process;
    const { promise: next, resolve } = Promise.withResolvers<PeerProcess>();
    this.#leaving = { process: before, next };
    before.drain();
    await before.ended;
    this.#process = new PeerProcess(this.name, this.#configFile);
    resolve(this.#process);
    await this.#process.ready;
  }

  /** Lets the peer stop and ends it when that takes too long. */
  async stop(): Promise<void> {
    await this.#process.stop();
  }

  kill(): void {
    this.#process.kill();
  }

  async #end(): Promise<PeerEnd> {
    let current = this.#process;
    for (;;) {
      const how = await current.ended;
      if (this.#leaving?.process !== current) return how;
      current = await this.#leaving.next;
    }
  }
}
