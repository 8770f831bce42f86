import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { discoveryLimits } from '../../../src/config/defaults.ts';
import { endpointText, type Seed } from '../../../src/gossip/index.ts';
import type { DiscoveryLog } from '../../../src/io/discovery/engine-health.ts';
import type { Rendezvous, RendezvousPeer } from '../../../src/io/discovery/rendezvous.ts';
import { Counters } from '../../../src/pipeline/counters.ts';

/** What a rendezvous is made with. */
export interface Surroundings {
  readonly self: RendezvousPeer;
  readonly counters: Counters;
  readonly log: DiscoveryLog;
}

/** One kind of rendezvous, and what its engine can be made to do. */
export interface RendezvousKind {
  create(surroundings: Surroundings): Rendezvous;
  /** Makes the engine list these and no others. Nobody needs to be there. */
  list(seeds: readonly Seed[]): Promise<void>;
}

/** One whose engine can be away. */
export interface EngineKind extends RendezvousKind {
  kill(): Promise<void>;
  revive(): Promise<void>;
  /** It takes what is sent and answers nothing. */
  hang(): void;
  wake(): void;
}

/** One in whose engine peers list themselves. */
export interface RegistryKind extends EngineKind {
  /** It loses all that it was told. */
  lose(): Promise<void>;
}

export const ourself: RendezvousPeer = peerAt(1);

export function peerAt(at: number): RendezvousPeer {
  const endpoint = { address: `10.1.${Math.floor(at / 250)}.${(at % 250) + 1}`, port: 7946 };
  return { name: `peer-${at}`, epoch: 1_790_000_000 + at, endpoint };
}

export function seedAt(at: number): Seed {
  const { address, port } = peerAt(at).endpoint;
  return { host: address, port };
}

/** Tells when something was logged so many times as failed. */
export class WatchedLog implements DiscoveryLog {
  readonly lines: string[] = [];
  readonly #waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  #failures = 0;

  debug(fields: object, message: string): void {
    this.#line('debug', fields, message);
  }

  info(fields: object, message: string): void {
    this.#line('info', fields, message);
  }

  warn(fields: object, message: string): void {
    this.#line('warn', fields, message);
  }

  error(fields: object, message: string): void {
    this.#line('error', fields, message);
  }

  /** Resolves after so many further failures. */
  failures(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ count: this.#failures + count, resolve });
    });
  }

  #line(level: string, fields: object, message: string): void {
    this.lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
    if (!('fault' in fields)) return;
    this.#failures++;
    for (const { count, resolve } of this.#waiting) if (this.#failures >= count) resolve();
  }
}

/** What one peer does at a rendezvous; ends with the test. */
export class Visit {
  readonly counters: Counters = new Counters();
  readonly log: WatchedLog = new WatchedLog();
  readonly rendezvous: Rendezvous;
  readonly #stop = new AbortController();
  readonly #lists: AsyncIterator<readonly Seed[]>;

  constructor(t: TestContext, kind: RendezvousKind, self: RendezvousPeer, isRegistered = true) {
    this.rendezvous = kind.create({ self, counters: this.counters, log: this.log });
    if (isRegistered) this.rendezvous.register();
    this.#lists = this.rendezvous.discover(this.#stop.signal)[Symbol.asyncIterator]();
    t.after(() => this.stop());
  }

  /** The next list; undefined at the end. */
  async next(): Promise<readonly string[] | undefined> {
    const next = await this.#lists.next();
    return next.done === true ? undefined : texts(next.value);
  }

  /** Reads on until a list names these and, of others, only ourselves. */
  async untilListed(seeds: readonly Seed[]): Promise<void> {
    const wanted = texts(seeds).join();
    for (;;) {
      const found = await this.next();
      assert.ok(found !== undefined, 'the lists ended');
      if (found.filter((text) => text !== endpointText(ourself.endpoint)).join() === wanted) return;
    }
  }

  abort(): void {
    this.#stop.abort();
  }

  async stop(): Promise<void> {
    this.abort();
    await this.rendezvous.withdraw();
  }
}

function texts(seeds: readonly Seed[]): readonly string[] {
  return seeds.map(({ host, port }) => endpointText({ address: host, port })).sort();
}

/** Whether it is settled by now. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const open = Symbol('open');
  const first = await Promise.race([promise, Promise.resolve(open)]);
  return first !== open;
}

/** Gives undefined where the engine is not installed. */
type Open<Kind> = (t: TestContext) => Promise<Kind | undefined>;
type Check<Kind> = (t: TestContext, kind: Kind) => Promise<void>;

function checks<Kind>(title: string, open: Open<Kind>, rules: Record<string, Check<Kind>>): void {
  describe(title, () => {
    for (const [rule, check] of Object.entries(rules)) {
      it(rule, { timeout: 30_000 }, async (t) => {
        const kind = await open(t);
        if (kind !== undefined) await check(t, kind);
      });
    }
  });
}

/** What every rendezvous owes. */
export function rendezvousContract(name: string, open: Open<RendezvousKind>): void {
  checks(`rendezvous by ${name}`, open, {
    'lists who is listed, also those who are dead, and again when that changes': listing,
    'names IPv6 peers': addressing,
    'lists at most 256': fullness,
    'ends when it is told to, and can be withdrawn without having begun': ending,
  });
}

/** What it owes besides, when its engine can be away. */
export function engineContract(name: string, open: Open<EngineKind>): void {
  checks(`the engine of ${name}`, open, {
    'is waited for when it is away at the start': awayAtStart,
    'lists nobody while it is away, and goes on when it is back': awayLater,
    'holds nothing up when it never answers': hanging,
  });
}

/** What it owes besides, when peers list themselves in its engine. */
export function registryContract(name: string, open: Open<RegistryKind>): void {
  checks(`registering by ${name}`, open, {
    'is tried before the first look, so that of two that start together one sees the other': first,
    'shows a peer to the others until it withdraws': registering,
    'is done again when the engine lost everything': losing,
    'is withdrawn from an engine that never answers by running out': withdrawing,
  });
}

async function listing(t: TestContext, kind: RendezvousKind): Promise<void> {
  await kind.list([seedAt(2), seedAt(3)]);
  const visit = new Visit(t, kind, ourself);
  await visit.untilListed([seedAt(2), seedAt(3)]);
  await kind.list([seedAt(3), seedAt(4)]);
  await visit.untilListed([seedAt(3), seedAt(4)]);
  await kind.list([]);
  await visit.untilListed([]);
}

async function addressing(t: TestContext, kind: RendezvousKind): Promise<void> {
  const seeds = [{ host: '2001:db8::7', port: 7946 }];
  await kind.list(seeds);
  await new Visit(t, kind, ourself).untilListed(seeds);
}

async function fullness(t: TestContext, kind: RendezvousKind): Promise<void> {
  const { seedsMax } = discoveryLimits;
  await kind.list(Array.from({ length: seedsMax + 5 }, (_, at) => seedAt(at + 10)));
  const visit = new Visit(t, kind, ourself, false);
  assert.equal((await visit.next())?.length, seedsMax);
}

async function ending(t: TestContext, kind: RendezvousKind): Promise<void> {
  await kind.list([seedAt(2)]);
  const visit = new Visit(t, kind, ourself, false);
  assert.deepEqual(await visit.next(), texts([seedAt(2)]));
  const last = visit.next();
  visit.abort();
  assert.equal(await last, undefined);
  await visit.rendezvous.withdraw();
}

async function awayAtStart(t: TestContext, kind: EngineKind): Promise<void> {
  await kind.list([seedAt(2)]);
  await kind.kill();
  const visit = new Visit(t, kind, ourself);
  const first = visit.next();
  await visit.log.failures(4);
  assert.equal(await isSettled(first), false);
  await kind.revive();
  await first;
  await visit.untilListed([seedAt(2)]);
}

async function awayLater(t: TestContext, kind: EngineKind): Promise<void> {
  await kind.list([seedAt(2)]);
  const visit = new Visit(t, kind, ourself);
  await visit.untilListed([seedAt(2)]);
  await kind.kill();
  const failed = visit.log.failures(4);
  // What was asked before the end may still come.
  let last = visit.next();
  while (await Promise.race([last.then(() => true), failed.then(() => false)])) last = visit.next();
  assert.equal(await isSettled(last), false);
  await kind.revive();
  assert.ok((await last)?.includes(endpointText(peerAt(2).endpoint)));
  assert.equal(visit.log.lines.filter((line) => line.startsWith('error')).length, 0);
}

async function hanging(t: TestContext, kind: EngineKind): Promise<void> {
  await kind.list([seedAt(2)]);
  kind.hang();
  const visit = new Visit(t, kind, ourself);
  const first = visit.next();
  await visit.log.failures(2);
  assert.equal(await isSettled(first), false);
  kind.wake();
  await first;
  await visit.untilListed([seedAt(2)]);
}

async function first(t: TestContext, kind: RegistryKind): Promise<void> {
  const visit = new Visit(t, kind, ourself);
  assert.deepEqual(await visit.next(), [endpointText(ourself.endpoint)]);
}

async function registering(t: TestContext, kind: RegistryKind): Promise<void> {
  const observer = new Visit(t, kind, ourself, false);
  await observer.untilListed([]);
  const other = new Visit(t, kind, peerAt(2));
  await observer.untilListed([seedAt(2)]);
  await other.stop();
  await observer.untilListed([]);
}

async function losing(t: TestContext, kind: RegistryKind): Promise<void> {
  const observer = new Visit(t, kind, ourself, false);
  new Visit(t, kind, peerAt(2));
  await observer.untilListed([seedAt(2)]);
  await kind.lose();
  await observer.untilListed([seedAt(2)]);
}

async function withdrawing(t: TestContext, kind: RegistryKind): Promise<void> {
  const visit = new Visit(t, kind, peerAt(2));
  await visit.untilListed([seedAt(2)]);
  kind.hang();
  await visit.stop();
  kind.wake();
  await new Visit(t, kind, ourself, false).untilListed([]);
}
