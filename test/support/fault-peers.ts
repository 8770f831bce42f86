import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { firstLine } from './cluster.ts';
import { Waiting } from './waiting.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const busy = fileURLToPath(new URL('fault-busy.ts', import.meta.url));

/** Whatever ends: a test, or a measurement. */
export type Owner = Pick<TestContext, 'after'>;

/** What a peer's log tells of a member. */
export interface MemberEvent {
  /** Milliseconds since 1970; all processes of the machine have one clock. */
  readonly atMs: number;
  readonly observer: string;
  readonly kind: 'joined' | 'left' | 'is suspected' | 'failed';
  readonly member: string;
  /** Who accused it. */
  readonly by: string | undefined;
}

/** What the logs of several peers tell of members and links, in the order in which it was read. */
export class Journal {
  readonly events: MemberEvent[] = [];
  /** Whom each peer has a link to. */
  readonly #links = new Map<string, Set<string>>();
  readonly #waiting = new Waiting();

  /** Takes a line of a peer's log. */
  take(line: string): void {
    const kind = /"msg":"a member (joined|left|is suspected|failed)"/u.exec(line)?.[1];
    if (kind !== undefined) {
      const { time, name, member, by } = JSON.parse(line) as Readonly<Record<string, string>>;
      this.events.push({
        atMs: Date.parse(time!),
        observer: name!,
        kind: kind as MemberEvent['kind'],
        member: member!,
        by,
      });
    }
    const link = /"msg":"link is (up|down)"/u.exec(line)?.[1];
    if (link !== undefined) {
      const { name = '', peer = '' } = JSON.parse(line) as Readonly<Record<string, string>>;
      if (link === 'up') this.linksOf(name).add(peer);
      else this.linksOf(name).delete(peer);
    }
    this.#waiting.look();
  }

  /** Names of the peers that this one has links to. */
  linksOf(name: string): Set<string> {
    const links = this.#links.get(name) ?? new Set();
    this.#links.set(name, links);
    return links;
  }

  /** Who was declared dead by whom since then, each pair once; `observers` limits whose word counts. */
  deaths(sinceMs: number, observers?: readonly string[]): string[] {
    const pairs = this.events
      .filter(({ kind, atMs }) => kind === 'failed' && atMs >= sinceMs)
      .filter(({ observer }) => observers?.includes(observer) ?? true)
      .map(({ observer, member }) => `${member} by ${observer}`);
    return [...new Set(pairs)].sort();
  }

  /** How many members this peer declared dead in its present life. */
  deathsSeenBy({ name, startedMs }: WatchedPeer): number {
    return this.events.filter(
      ({ kind, observer, atMs }) => kind === 'failed' && observer === name && atMs >= startedMs,
    ).length;
  }

  /** When each of these observers first told that of the member; undefined while one has not. */
  heard(
    kind: MemberEvent['kind'],
    member: string,
    observers: readonly string[],
    sinceMs: number,
  ): number[] | undefined {
    const times = observers.map(
      (observer) =>
        this.events.find(
          (event) =>
            event.kind === kind &&
            event.member === member &&
            event.observer === observer &&
            event.atMs >= sinceMs,
        )?.atMs,
    );
    return times.every((atMs) => atMs !== undefined) ? times : undefined;
  }

  /** Waits until that holds after some line of a log. */
  until(done: () => boolean, deadlineMs: number, word: string): Promise<void> {
    return this.#waiting.until(done, deadlineMs, word, () =>
      this.events
        .slice(-40)
        .map(({ atMs, observer, kind, member, by = '-' }) =>
          [new Date(atMs).toISOString(), observer, ':', member, kind, 'by', by].join(' '),
        )
        .join('\n'),
    );
  }
}

/** What `/status` tells, as far as faults matter. */
export interface SeenStatus {
  readonly members: readonly { readonly name: string; readonly state: string }[];
  readonly ring: {
    readonly version: string;
    readonly members: readonly { readonly name: string }[];
  };
}

export interface WatchedPeerOptions {
  readonly name: string;
  /** The configuration file; its `name` and `log` are set here. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly journal: Journal;
  /** How a program is started where the peer runs; by default as it is. */
  readonly command?: (program: string, args: readonly string[]) => [string, string[]];
  readonly adminToken?: string;
}

/** One peer as a process that can be killed, stopped and started again, and whose log is read. */
export class WatchedPeer {
  readonly name: string;
  /** Last lines of its log, of all its lives. */
  readonly lines: string[] = [];
  readonly #options: WatchedPeerOptions;
  readonly #file: string;
  #child: ChildProcess | undefined;
  #admin = '';
  #startedMs = 0;

  /** It is started by `start`; its process ends with the owner. */
  constructor(owner: Owner, options: WatchedPeerOptions) {
    this.name = options.name;
    this.#options = options;
    const folder = mkdtempSync(join(tmpdir(), 'sailring-fault-'));
    this.#file = join(folder, 'peer.yaml');
    const config = { ...options.config, name: options.name, log: { level: 'info' } };
    writeFileSync(this.#file, stringify(config));
    owner.after(async () => {
      await this.kill();
      rmSync(folder, { recursive: true, force: true });
    });
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** `host:port`; known when it has started. */
  get admin(): string {
    return this.#admin;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && !hasEnded(this.#child);
  }

  /** When its present process was started, in milliseconds since 1970. */
  get startedMs(): number {
    return this.#startedMs;
  }

  /** Starts it and waits until it is ready. */
  async start(): Promise<void> {
    const { command = unchanged } = this.#options;
    const args = [
      '--import',
      busy,
      main,
      'start',
      '-c',
      this.#file,
      '--json',
      '--exit-with-parent',
    ];
    // Many start at once: those after the first need not compile again.
    const env = { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache') };
    const [file, parameters] = command(process.execPath, args);
    const child = spawn(file, parameters, { stdio: ['pipe', 'pipe', 'pipe'], env });
    this.#child = child;
    this.#startedMs = Date.now();
    this.#options.journal.linksOf(this.name).clear();
    this.#readLog(child);
    const line = await firstLine(child);
    if (line === undefined)
      throw new Error(`${this.name} did not start:\n${this.lines.join('\n')}`);
    ({ admin: this.#admin } = JSON.parse(line) as { admin: string });
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** Ends it without a word to the others; resolves when the system knows it no more. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || hasEnded(child)) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  /** Resolves when it has ended, by whatever. */
  async ended(): Promise<void> {
    const child = this.#child;
    if (child === undefined || hasEnded(child)) return;
    await once(child, 'exit');
  }

  /** A page of its admin server; undefined while it does not answer. */
  async page(
    path: string,
    timeoutMs = 1_000,
  ): Promise<{ status: number; text: string } | undefined> {
    const { adminToken } = this.#options;
    const headers = adminToken === undefined ? {} : { authorization: `Bearer ${adminToken}` };
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      const response = await fetch(`http://${this.#admin}${path}`, { headers, signal });
      return { status: response.status, text: await response.text() };
    } catch {
      return undefined;
    }
  }

  async status(): Promise<SeenStatus | undefined> {
    const page = await this.page('/status');
    return page?.status === 200 ? (JSON.parse(page.text) as SeenStatus) : undefined;
  }

  #readLog(child: ChildProcess): void {
    let pending = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (pending + text).split('\n');
      pending = lines.pop() ?? '';
      for (const line of lines) {
        this.lines.push(line);
        this.#options.journal.take(line);
      }
      this.lines.splice(0, this.lines.length - 500);
    });
  }
}

function unchanged(program: string, args: readonly string[]): [string, string[]] {
  return [program, [...args]];
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** Whether a peer's view is all of these alive, and no more in its ring. */
export function sees(status: SeenStatus | undefined, names: readonly string[]): boolean {
  if (status === undefined) return false;
  const alive = status.members.filter(({ state }) => state === 'alive').map(({ name }) => name);
  const ring = status.ring.members.map(({ name }) => name);
  return isSame(alive, names) && isSame(ring, names);
}

/** Whether two lists hold the same, in whatever order. */
export function isSame(one: readonly string[], other: readonly string[]): boolean {
  return [...one].sort().join() === [...other].sort().join();
}
