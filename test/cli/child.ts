import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { programFile } from '../../src/cli/package.ts';

/** The program as a process of its own. */
export class Child {
  readonly process: ChildProcessWithoutNullStreams;
  /** Resolves to the first line on standard output, or to undefined when it ended without one. */
  readonly firstLine: Promise<string | undefined>;
  /** Resolves when the process and all that inherited its outputs are gone. */
  readonly closed: Promise<{ code: number | null; signal: string | null }>;
  out = '';
  err = '';

  constructor(t: TestContext, args: readonly string[], env: Record<string, string> = {}) {
    this.process = spawn(process.execPath, [programFile(), ...args], {
      env: { ...process.env, ...env },
    });
    this.process.stdout.on('data', (chunk: Buffer) => (this.out += chunk.toString()));
    this.process.stderr.on('data', (chunk: Buffer) => (this.err += chunk.toString()));
    this.closed = once(this.process, 'close').then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as string | null,
    }));
    const lines = createInterface({ input: this.process.stdout });
    this.firstLine = Promise.race([
      once(lines, 'line').then(([line]) => line as string),
      this.closed.then(() => undefined),
    ]);
    t.after(async () => {
      this.process.kill('SIGKILL');
      await this.closed;
    });
  }

  /** Waits until standard error has a line that fits. */
  async complains(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.err)) await once(this.process.stderr, 'data');
  }
}
