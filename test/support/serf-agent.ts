import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { freeSipPorts } from './free-port.ts';
import { findTool } from './tools.ts';
import { Waiting } from './waiting.ts';

/** A member as `serf members` shows it. */
export interface SerfMember {
  readonly name: string;
  readonly addr: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly status: 'alive' | 'leaving' | 'left' | 'failed';
  readonly protocol: { readonly min: number; readonly max: number; readonly version: number };
}

/** What one command of serf printed, and how it ended. */
export interface SerfAnswer {
  readonly code: number;
  readonly output: string;
}

const address = '127.0.0.1';

/** Many start at once, on a machine with few processors. */
const startMs = 30_000;

/** A real serf agent on loopback, watched by its log and by serf's own commands. */
export class SerfAgent {
  readonly name: string;
  readonly port: number;
  readonly log: string[] = [];
  readonly #rpcPort: number;
  readonly #process: ChildProcess;
  readonly #lines = new Waiting();
  /** Looks only when the members changed: each look is a run of `serf members`. */
  readonly #changes = new Waiting();
  #hasEnded = false;

  private constructor(name: string, port: number, rpcPort: number, args: readonly string[]) {
    this.name = name;
    this.port = port;
    this.#rpcPort = rpcPort;
    this.#process = spawn(
      findTool('serf')!,
      [
        'agent',
        `-node=${name}`,
        `-bind=${address}:${port}`,
        `-rpc-addr=${address}:${rpcPort}`,
        '-log-level=debug',
        ...args,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    for (const stream of [this.#process.stdout!, this.#process.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.log.push(line.trim());
        this.#lines.look();
        if (line.includes('EventMember')) this.#changes.look();
      });
    }
    this.#process.on('exit', () => {
      this.#hasEnded = true;
      this.#lines.look();
      this.#changes.look();
    });
  }

  /** Starts an agent; `args` are further options of `serf agent`. It ends with the test. */
  static async start(
    t: TestContext,
    name: string,
    args: readonly string[] = [],
  ): Promise<SerfAgent> {
    const [port, rpcPort] = await freeSipPorts(2);
    const agent = new SerfAgent(name, port!, rpcPort!, args);
    t.after(() => agent.kill());
    const isUp = (): boolean => agent.said('Serf agent starting').length > 0;
    await agent.#until(agent.#lines, isUp, 'it runs', startMs);
    return agent;
  }

  get seed(): string {
    return `${address}:${this.port}`;
  }

  /** Runs a command of serf against this agent. */
  run(command: string, ...args: readonly string[]): Promise<SerfAnswer> {
    const all = [command, `-rpc-addr=${address}:${this.#rpcPort}`, ...args];
    return new Promise((resolve) => {
      execFile(findTool('serf')!, all, (error, stdout, stderr) => {
        const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : 1;
        resolve({ code, output: `${stdout}${stderr}` });
      });
    });
  }

  async members(): Promise<readonly SerfMember[]> {
    const { code, output } = await this.run('members', '-format=json');
    if (code !== 0) throw new Error(`serf members at ${this.name}: ${output}`);
    return (JSON.parse(output) as { members: readonly SerfMember[] }).members;
  }

  async member(name: string): Promise<SerfMember | undefined> {
    return (await this.members()).find((member) => member.name === name);
  }

  /** Settles once the process does something. */
  async answers(): Promise<void> {
    await this.members();
  }

  /** Waits until `serf members` shows the member so. */
  async sees(name: string, status: SerfMember['status'], deadlineMs = 10_000): Promise<void> {
    await this.shows(
      name,
      (member) => member?.status === status,
      `${name} is ${status}`,
      deadlineMs,
    );
  }

  /** Waits until `serf members` shows of the member what is asked for. */
  async shows(
    name: string,
    fits: (member: SerfMember | undefined) => boolean,
    word: string,
    deadlineMs = 10_000,
  ): Promise<void> {
    await this.#until(this.#changes, async () => fits(await this.member(name)), word, deadlineMs);
  }

  async #until(
    waiting: Waiting,
    done: () => boolean | Promise<boolean>,
    word: string,
    deadlineMs: number,
  ): Promise<void> {
    await waiting.until(
      () => {
        if (this.#hasEnded) throw new Error(`${this.name} ended:\n${this.log.join('\n')}`);
        return done();
      },
      deadlineMs,
      `${this.name}: ${word}`,
      () => this.log.slice(-20).join('\n'),
    );
  }

  /** Lines of the log that hold the text. */
  said(text: string): readonly string[] {
    return this.log.filter((line) => line.includes(text));
  }

  /** Warnings and errors but those about its own end: an agent that meets only agents has none. */
  complaints(): readonly string[] {
    return this.log.filter(
      (line) => /\[(WARN|ERR|ERROR)\]/u.test(line) && !line.includes('Serf shutdown detected'),
    );
  }

  signal(name: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    this.#process.kill(name);
  }

  /** Ends it without a word to the others. */
  async kill(): Promise<void> {
    if (this.#hasEnded) return;
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGKILL');
    await ended;
  }
}
