import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { cliLimits } from '../config/defaults.ts';
import { programFile } from './package.ts';

/** How a process ended, in words. */
export type PeerEnd = string;

/**
 * One peer as a process of its own. Its standard input is a pipe that ends with this process, however
 * this process ends, and the peer stops then; so none survives.
 */
export class PeerProcess {
  readonly name: string;
  /** Resolves when the process is gone. */
  readonly ended: Promise<PeerEnd>;
  /** Resolves when the peer listens; rejects when it ended before. */
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;

  constructor(name: string, configFile: string) {
    this.name = name;
    const start = ['start', '--config', configFile, '--json', '--exit-with-parent'];
    this.#child = spawn(process.execPath, [...process.execArgv, programFile(), ...start], {
      stdio: ['pipe', 'pipe', 'inherit'],
      // Ctrl-C reaches this process alone, which then stops all in order.
      detached: true,
    });
    this.#child.stdin?.on('error', () => {
      // The peer is gone already; `ended` says so.
    });
    this.ended = this.#end();
    this.ready = this.#ready();
    // A failed start is told by whoever waits; without one it is no defect.
    this.ready.catch(() => undefined);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Tells the peer to drain and to stop then; `ended` tells when it has. */
  drain(): void {
    this.#child.kill('SIGTERM');
  }

  /** Lets the peer stop and ends it when that takes too long. */
  async stop(): Promise<void> {
    const killer = setTimeout(() => {
      this.kill();
    }, cliLimits.stopTimeoutMs);
    this.#child.stdin?.end();
    await this.ended;
    clearTimeout(killer);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async #end(): Promise<PeerEnd> {
    try {
      const [code, signal] = (await once(this.#child, 'exit')) as [number | null, string | null];
      return signal === null ? `ended with exit code ${code ?? 0}` : `was ended by ${signal}`;
    } catch (error) {
      return `could not be started: ${String(error)}`;
    }
  }

  async #ready(): Promise<void> {
    const { stdout } = this.#child;
    if (stdout === null) throw new Error('a peer process needs its standard output');
    const lines = createInterface({ input: stdout });
    // The one line that a peer writes there says that it is ready.
    const first = once(lines, 'line').then(() => 'ready' as const);
    const outcome = await Promise.race([first, this.ended]);
    if (outcome !== 'ready') throw new Error(`${this.name} did not start: it ${outcome}`);
  }
}
