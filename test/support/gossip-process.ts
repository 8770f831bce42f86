import { fork, type ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { KeyAnswer, Member } from '../../src/gossip/index.ts';
import { freeSipPorts } from './free-port.ts';
import { Waiting } from './waiting.ts';

const main = fileURLToPath(new URL('gossip-process-main.ts', import.meta.url));

export interface GossipProcessConfig {
  readonly name: string;
  readonly port: number;
  readonly label?: string;
  readonly seeds?: readonly string[];
  readonly profile?: 'fast' | 'lan' | 'wan';
  /** Base64. */
  readonly keys?: readonly string[];
  readonly tags?: Readonly<Record<string, string>>;
}

/** What the process is told to do. */
export type GossipOrder =
  | { readonly kind: 'leave' }
  | { readonly kind: 'setUserState'; readonly base64: string }
  | { readonly kind: 'setTags'; readonly tags: Readonly<Record<string, string>> }
  | { readonly kind: 'counts'; readonly name: string }
  | {
      readonly kind: 'keys';
      readonly operation: 'install' | 'use' | 'remove' | 'list';
      /** Base64; not read for `list`. */
      readonly key: string;
    };

/** What the process tells. */
export type GossipReport =
  | { readonly kind: 'members'; readonly members: readonly Member[] }
  | { readonly kind: 'log'; readonly line: string }
  | { readonly kind: 'userState'; readonly bytes: number; readonly digest: string }
  | { readonly kind: 'done'; readonly id: number; readonly value?: unknown };

type ReportOf<K extends GossipReport['kind']> = Extract<GossipReport, { kind: K }>;

const address = '127.0.0.1';

/** Many start at once, on a machine with few processors. */
const startMs = 30_000;

/** A gossip agent of ours in a process of its own, so that it can be killed and stopped for real. */
export class GossipProcess {
  readonly name: string;
  readonly port: number;
  readonly log: string[] = [];
  readonly reports: GossipReport[] = [];
  members: readonly Member[] = [];
  readonly #process: ChildProcess;
  readonly #waiting = new Waiting();
  readonly #orders = new Map<number, (value: unknown) => void>();
  #nextOrder = 0;
  #hasEnded = false;

  private constructor(config: GossipProcessConfig) {
    this.name = config.name;
    this.port = config.port;
    // Many start at once: those after the first need not compile again.
    const env = { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache') };
    this.#process = fork(main, [JSON.stringify(config)], { serialization: 'advanced', env });
    this.#process.on('message', (report: GossipReport) => {
      this.#take(report);
      this.#waiting.look();
    });
    this.#process.on('exit', () => {
      this.#hasEnded = true;
      this.#waiting.look();
    });
  }

  /** Starts one that listens on a free port, or on that of a former one. It ends with the test. */
  static async start(
    t: Pick<TestContext, 'after'>,
    name: string,
    config: Omit<GossipProcessConfig, 'name' | 'port'> & { readonly port?: number } = {},
  ): Promise<GossipProcess> {
    const port = config.port ?? (await freeSipPorts(1))[0]!;
    const peer = new GossipProcess({ ...config, name, port });
    t.after(() => peer.kill());
    await peer.until(() => peer.members.length > 0, 'it listens', startMs);
    return peer;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get seed(): string {
    return `${address}:${this.port}`;
  }

  state(name: string): Member['state'] | undefined {
    return this.members.find((member) => member.name === name)?.state;
  }

  /** Settles once the process does something. */
  async answers(): Promise<void> {
    await this.counts('gossip_drops');
  }

  /** Waits until this peer holds the member for that. */
  async sees(name: string, state: Member['state'], deadlineMs = 10_000): Promise<void> {
    await this.until(() => this.state(name) === state, `${name} is ${state}`, deadlineMs);
  }

  async until(done: () => boolean, word: string, deadlineMs = 10_000): Promise<void> {
    await this.#waiting.until(
      () => {
        if (this.#hasEnded) throw new Error(`${this.name} ended while waiting: ${word}`);
        return done();
      },
      deadlineMs,
      `${this.name}: ${word}`,
      () => this.log.slice(-20).join('\n'),
    );
  }

  all<K extends GossipReport['kind']>(kind: K): readonly ReportOf<K>[] {
    return this.reports.filter((report): report is ReportOf<K> => report.kind === kind);
  }

  /** Lines of the log that hold the text. */
  said(text: string): readonly string[] {
    return this.log.filter((line) => line.includes(text));
  }

  /** Tells all that it goes, and ends. */
  async leave(): Promise<void> {
    await this.#order({ kind: 'leave' });
  }

  async setUserState(bytes: Uint8Array): Promise<void> {
    await this.#order({ kind: 'setUserState', base64: Buffer.from(bytes).toString('base64') });
  }

  async setTags(tags: Readonly<Record<string, string>>): Promise<void> {
    await this.#order({ kind: 'setTags', tags });
  }

  /** What was counted under a name, by reason. */
  async counts(name: string): Promise<Readonly<Record<string, number>>> {
    return (await this.#order({ kind: 'counts', name })) as Record<string, number>;
  }

  /** An operation on the keys of all members. */
  async keys(
    operation: 'install' | 'use' | 'remove' | 'list',
    key = '',
  ): Promise<{ readonly answers: Readonly<Record<string, KeyAnswer>>; readonly of: number }> {
    const value = await this.#order({ kind: 'keys', operation, key });
    return value as { answers: Record<string, KeyAnswer>; of: number };
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

  #order(order: GossipOrder): Promise<unknown> {
    const id = this.#nextOrder++;
    return new Promise((resolve) => {
      this.#orders.set(id, resolve);
      this.#process.send({ id, order });
    });
  }

  #take(report: GossipReport): void {
    if (report.kind === 'log') this.log.push(report.line);
    else if (report.kind === 'members') this.members = report.members;
    else if (report.kind === 'done') {
      this.#orders.get(report.id)?.(report.value);
      this.#orders.delete(report.id);
    } else this.reports.push(report);
  }
}
