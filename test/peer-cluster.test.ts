import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import type { Logger } from 'pino';
import { parseConfig } from '../src/config/index.ts';
import { keyId } from '../src/gossip/index.ts';
import type { Links } from '../src/io/link/index.ts';
import { ClusterSide, type LivingMember, type SharedState } from '../src/peer-cluster.ts';
import { Counters } from '../src/pipeline/counters.ts';

/** What a peer shares, as a test wants it. */
class Shared implements SharedState {
  state: Uint8Array = new Uint8Array(0);
  isWhole = true;
  living: readonly LivingMember[] = [];
  readonly receivedStates: string[] = [];
  /** Called whenever somebody asks whether the peer has caught up. */
  onAsked: () => void = () => undefined;
  onChange: () => void = () => undefined;

  bytes(): Uint8Array {
    return this.state;
  }

  isCaughtUp(): boolean {
    this.onAsked();
    return this.isWhole;
  }

  weight(): number | undefined {
    return 2.5;
  }

  received(bytes: Uint8Array): void {
    this.receivedStates.push(Buffer.from(bytes).toString());
  }

  membersChanged(living: readonly LivingMember[]): void {
    this.living = living;
    this.onChange();
  }
}

interface Given {
  readonly side: ClusterSide;
  readonly shared: Shared;
  readonly counters: Counters;
  readonly lines: string[];
  /** What the log said beside each line, as JSON. */
  readonly fields: string[];
  readonly links: { isUp: (name: string) => boolean };
  /** Resolves when it holds; looked at with each line of the log and each change of members. */
  until(holds: () => boolean): Promise<void>;
}

/** Gossip on loopback; links that are up at once. */
async function start(
  t: TestContext,
  name: string,
  seeds: readonly string[],
  more: object = {},
): Promise<Given> {
  const parsed = parseConfig(
    JSON.stringify({
      name,
      gossip: { listen: { address: '127.0.0.1', port: 0 }, seeds },
      sip: { listeners: [{ transport: 'udp' }] },
      stamps: { keys: [{ id: 'test', secret: 'a secret of the tests alone' }] },
      application: { kind: 'embedded', module: 'demo' },
      ...more,
    }),
    'test.yaml',
  );
  assert.ok(parsed.ok, JSON.stringify(parsed));
  const links = { setPeers: () => undefined, isUp: () => true };
  const [counters, shared, lines] = [new Counters(), new Shared(), [] as string[]];
  const news = new EventEmitter();
  const fields: string[] = [];
  const tell = (more: object, line: string): void => {
    lines.push(line);
    fields.push(JSON.stringify(more));
    news.emit('change');
  };
  const side = new ClusterSide({
    config: parsed.config,
    log: { debug: tell, info: tell, warn: tell, error: tell } as unknown as Logger,
    counters,
    epoch: 1_700_000_000,
    links: () => links as unknown as Links,
    shared,
    places: () => ({
      link: '127.0.0.1:1',
      sipInternal: '127.0.0.1:2',
      sipTransport: 'UDP',
      applications: [],
      stateDigest: 'digest',
    }),
  });
  t.after(() => side.stop());
  shared.state = Buffer.from(`state of ${name}`);
  await side.start();
  shared.onChange = () => news.emit('change');
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await once(news, 'change');
  };
  return { side, shared, counters, lines, fields, links, until };
}

/** Whether a promise has settled once all that was due has run. */
function settled(promise: Promise<void>): Promise<boolean> {
  const later = new Promise<boolean>((resolve) => setImmediate(resolve, false));
  return Promise.race([promise.then(() => true), later]);
}

describe('a peer that joins', () => {
  it('brings its state with it, gets that of the others, and waits until it has caught up', async (t) => {
    const one = await start(t, 'one', []);
    one.side.announce('ready');
    const two = await start(t, 'two', [`127.0.0.1:${one.side.port}`]);
    two.shared.isWhole = false;
    const asked = new Promise<void>((resolve) => {
      two.shared.onAsked = resolve;
    });
    const joined = two.side.joined();
    await asked;
    assert.equal(await settled(joined), false);
    assert.ok(two.shared.receivedStates.includes('state of one'));
    assert.ok(one.shared.receivedStates.includes('state of two'));
    assert.deepEqual(two.shared.living.map(({ name }) => name).sort(), ['one', 'two']);
    const [{ announced }] = two.shared.living.filter(({ name }) => name === 'one') as [
      LivingMember,
    ];
    assert.deepEqual([announced.weight, announced.stateDigest], [2.5, 'digest']);
    two.shared.isWhole = true;
    // A state that brings nothing new is enough.
    one.side.syncWith('two');
    await joined;
    assert.deepEqual(two.counters.entries().get('cluster_state'), undefined);
  });

  it('waits no longer than it does for the others, and tells', async (t) => {
    const one = await start(t, 'one', []);
    const two = await start(t, 'two', [`127.0.0.1:${one.side.port}`]);
    two.shared.isWhole = false;
    await two.side.joined();
    assert.equal(two.counters.get('cluster_state', 'not-caught-up'), 1);
    assert.ok(two.lines.some((line) => line.includes('newer state of the cluster')));
  });
});

describe('a peer that is cut off', () => {
  it('is in the minority while it suspects most of the others, and until its links to them are back', async (t) => {
    const cluster = { cluster: { name: 'minority', minority: 'unready' } };
    const one = await start(t, 'one', [], cluster);
    const seeds = [`127.0.0.1:${one.side.port}`];
    const others = await Promise.all(
      ['two', 'three'].map((name) => start(t, name, seeds, cluster)),
    );
    await Promise.all(others.map(({ side }) => side.joined()));
    assert.equal(one.side.minority, undefined);
    for (const { side } of others) await side.stop();
    await one.until(() => one.lines.includes('less than half of the cluster is in sight'));
    assert.equal(one.side.minority, 'unready');
    const states = one.side.members().map(({ state }) => state);
    assert.ok(states.includes('suspect'), 'not all of them had to be dead for that');
    let isLinked = false;
    one.links.isUp = () => isLinked;
    await Promise.all(['two', 'three'].map((name) => start(t, name, seeds, cluster)));
    await one.until(() => one.side.members().every(({ state }) => state === 'alive'));
    assert.equal(one.side.minority, 'unready');
    isLinked = true;
    one.side.peerUp();
    assert.equal(one.side.minority, undefined);
  });

  it('does not wait for ever for links that do not come', async (t) => {
    const one = await start(t, 'one', []);
    const seeds = [`127.0.0.1:${one.side.port}`];
    const others = await Promise.all(['two', 'three'].map((name) => start(t, name, seeds)));
    await Promise.all(others.map(({ side }) => side.joined()));
    for (const { side } of others) await side.stop();
    await one.until(() => one.lines.includes('less than half of the cluster is in sight'));
    one.links.isUp = () => false;
    for (const name of ['two', 'three']) await start(t, name, seeds);
    await one.until(() => one.lines.includes('at least half of the cluster is in sight again'));
    assert.equal(one.side.minority, undefined);
  });
});

describe('the gossip keys of a peer', () => {
  const [configured, installed, edited] = [1, 2, 3].map((byte) => Buffer.alloc(32, byte)) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  const ids = ({ side }: Given): string[] => (side.keys.list() ?? []).map(({ id }) => id);
  const gossip = (...keys: readonly Buffer[]): object => ({
    listen: { address: '127.0.0.1', port: 0 },
    keys: keys.map((key) => key.toString('base64')),
  });

  /** Replaces the configured key as an operator does; what members answered that did not do it. */
  async function rotate({ side: { keys } }: Given): Promise<string[]> {
    const steps = [
      await keys.change('install', installed),
      await keys.change('use', installed),
      await keys.change('remove', configured),
    ];
    const answers = steps.flatMap((step) => [...step.answers.values()]);
    assert.equal(answers.length, 3);
    return answers.filter(({ isDone }) => !isDone).map(({ message }) => message);
  }

  async function folderOf(t: TestContext): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'sailring-keys-'));
    t.after(() => rm(folder, { recursive: true }));
    return folder;
  }

  it('outlast a restart in dataDir, until the configuration has others', async (t) => {
    const dataDir = await folderOf(t);
    const before = await start(t, 'one', [], { dataDir, gossip: gossip(configured) });
    assert.deepEqual(await rotate(before), []);
    await before.side.stop();
    const after = await start(t, 'one', [], { dataDir, gossip: gossip(configured) });
    assert.deepEqual(ids(after), [keyId(installed)]);
    assert.ok(after.lines.some((line) => line.startsWith('gossip uses keys changed at run time')));
    await after.side.stop();
    const other = await start(t, 'one', [], { dataDir, gossip: gossip(edited) });
    assert.deepEqual(ids(other), [keyId(edited)]);
    assert.ok(other.lines.some((line) => line.startsWith('gossip.keys was edited')));
    const logged = [before, after, other].flatMap(({ fields }) => fields).join();
    for (const key of [configured, installed, edited])
      assert.ok(!logged.includes(key.toString('base64')) && !logged.includes(key.toString('hex')));
    assert.ok(logged.includes(keyId(installed)), 'the log names keys by their ids');
  });

  it('may become those of the configuration, without a word', async (t) => {
    const dataDir = await folderOf(t);
    const before = await start(t, 'one', [], { dataDir, gossip: gossip(configured) });
    assert.deepEqual(await rotate(before), []);
    await before.side.stop();
    const after = await start(t, 'one', [], { dataDir, gossip: gossip(installed) });
    assert.deepEqual(ids(after), [keyId(installed)]);
    assert.ok(!after.lines.some((line) => line.includes('gossip.keys')), after.lines.join());
  });

  it('end with the process without dataDir', async (t) => {
    const before = await start(t, 'one', [], { gossip: gossip(configured) });
    assert.deepEqual(await rotate(before), []);
    await before.side.stop();
    const after = await start(t, 'one', [], { gossip: gossip(configured) });
    assert.deepEqual(ids(after), [keyId(configured)]);
  });

  it('are reported as not changed when they cannot be kept', async (t) => {
    const dataDir = await folderOf(t);
    const one = await start(t, 'one', [], { dataDir, gossip: gossip(configured) });
    await mkdir(join(dataDir, 'gossip-keys.new'));
    const fault = 'done, but not on the disk: see the log';
    assert.deepEqual(await rotate(one), [fault, fault, fault]);
    const { answers } = await one.side.keys.ask();
    assert.equal(answers.get('one')?.isDone, true, 'they can be listed all the same');
  });
});
