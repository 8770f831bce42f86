import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { announcedDigest, ClusterState } from '../src/cluster/index.ts';
import { clusterLimits } from '../src/config/defaults.ts';
import { serializeStateFile } from '../src/io/state/state-file.ts';
import { StateSide } from '../src/peer-state.ts';
import { Counters } from '../src/pipeline/counters.ts';

interface Given {
  readonly side: StateSide;
  readonly counters: Counters;
  /** What was told to the rest of the peer, in order. */
  readonly told: unknown[];
  readonly lines: string[];
  readonly pass: (ms: number) => void;
}

function given(t: TestContext, dataDir?: string, hasJoined = true): Given {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let nowMs = 0;
  t.mock.method(performance, 'now', () => nowMs);
  const told: unknown[] = [];
  const lines: string[] = [];
  const tell = (_fields: object, line: string): void => void lines.push(line);
  const counters = new Counters();
  const side = new StateSide({
    config: {
      name: 'a',
      cluster: { name: 'blue', minority: 'serve', mixedRulesGraceMs: 0 },
      ...(dataDir === undefined ? {} : { dataDir }),
    },
    log: { info: tell, warn: tell, error: tell },
    counters,
    random: () => 0,
    hasJoined: () => hasJoined,
    gossip: () => ({
      shareState: () => void told.push('share'),
      syncWith: (name) => void told.push(`sync ${name}`),
    }),
    onFlags: (flags) => void told.push({ flags }),
    onRules: (rules) => void told.push({ rules }),
    onPolicy: (policy) => void told.push({ policy }),
  });
  t.after(() => side.stop());
  const pass = (ms: number): void => {
    nowMs += ms;
    t.mock.timers.tick(ms);
  };
  return { side, counters, told, lines, pass };
}

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'sailring-state-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  return folder;
}

/** A state that another peer has. */
function foreign(change: (state: ClusterState) => void): { bytes: Uint8Array; digest: string } {
  const state = new ClusterState('z');
  change(state);
  return { bytes: state.bytes, digest: announcedDigest(state.digest) };
}

describe('what a peer does with the state that all share', () => {
  it('takes up its own changes, shares them, and goes to the instance concerned', async (t) => {
    const { side, told } = given(t);
    assert.deepEqual(await side.setRules({ format: 'xml', text: 'x' }), {
      ok: true,
      stored: 'memory',
    });
    await side.setPolicy({ algorithm: 'round-robin' });
    await side.setInstance('b', { status: 'disabled' });
    await side.setInstance('a', { status: 'draining' });
    assert.deepEqual(told, [
      { rules: { format: 'xml', text: 'x' } },
      'share',
      { policy: { algorithm: 'round-robin' } },
      'share',
      'share',
      'sync b',
      { flags: { status: 'draining' } },
      'share',
    ]);
    assert.deepEqual(side.policy, { algorithm: 'round-robin' });
    assert.deepEqual(side.flags, { status: 'draining' });
  });

  it('takes up what others bring, once', async (t) => {
    const { side, told, counters } = given(t);
    const { bytes } = foreign((state) => {
      state.setInstance('a', { status: 'enabled', weight: 3 });
      state.setInstance('b', { status: 'disabled' });
    });
    side.received(bytes);
    side.received(bytes);
    assert.deepEqual(told, [{ flags: { status: 'enabled', weight: 3 } }, 'share']);
    assert.equal(counters.get('cluster_state', 'merged'), 1);
    await side.setInstance('a', undefined);
    assert.deepEqual(told.slice(2), [{ flags: undefined }, 'share']);
  });

  it('asks a member that announces another state, until it has it', (t) => {
    const { side, told, pass } = given(t);
    const { bytes, digest } = foreign((state) => state.setPolicy({ algorithm: 'round-robin' }));
    side.membersChanged([{ name: 'z', digest }]);
    assert.equal(side.isCaughtUp, false);
    pass(1);
    assert.deepEqual(told, ['sync z']);
    pass(clusterLimits.syncRetryMs);
    assert.deepEqual(told, ['sync z', 'sync z']);
    side.received(bytes);
    assert.equal(side.isCaughtUp, true);
    told.length = 0;
    pass(10 * clusterLimits.syncRetryMs);
    assert.deepEqual(told, []);
  });

  it('is content with an older state, too, and asks no more', async (t) => {
    const { side, told, pass } = given(t);
    const { bytes, digest } = foreign((state) => state.setPolicy({ algorithm: 'round-robin' }));
    side.received(bytes);
    await side.setPolicy(undefined);
    const { digest: other } = foreign((state) => state.setPolicy({}));
    side.membersChanged([
      { name: 'y', digest },
      { name: 'z', digest: other },
    ]);
    assert.equal(side.isCaughtUp, false);
    side.received(foreign((state) => state.setPolicy({})).bytes);
    assert.equal(side.isCaughtUp, true);
    told.length = 0;
    pass(10 * clusterLimits.syncRetryMs);
    assert.deepEqual(told, []);
  });

  it('reports a state that it cannot take in, once, and does not ask for it again', (t) => {
    const { side, told, lines, counters, pass } = given(t);
    const bytes = Buffer.from('{"format":2}');
    side.received(bytes);
    side.received(bytes);
    assert.equal(counters.get('cluster_state', 'other-format'), 1);
    assert.deepEqual(lines, ['a state of the cluster could not be taken in']);
    pass(10 * clusterLimits.syncRetryMs);
    assert.deepEqual(told, []);
  });

  it('refuses a change above a limit, and tells nobody', async (t) => {
    const { side, told, counters } = given(t);
    const text = 'x'.repeat(clusterLimits.stateBytesMax);
    assert.deepEqual(await side.setRules({ format: 'xml', text }), {
      ok: false,
      fault: 'bytes-full',
    });
    assert.deepEqual(told, []);
    assert.equal(counters.get('cluster_state', 'bytes-full'), 1);
  });

  it('decides nothing before it knows what was decided', async (t) => {
    const { side, told, counters } = given(t, undefined, false);
    const outcome = await side.setInstance('a', { status: 'enabled' });
    assert.deepEqual(outcome, { ok: false, fault: 'joining' });
    assert.deepEqual([side.flags, side.status.clock], [undefined, 0]);
    assert.deepEqual(told, []);
    assert.equal(counters.get('cluster_state', 'joining'), 1);
  });

  it('keeps the file of a state that it cannot take in', async (t) => {
    const folder = folderOf(t);
    const file = join(folder, 'cluster-state');
    const later = serializeStateFile({ cluster: 'blue', peer: 'a' }, Buffer.from('{"format":2}'));
    writeFileSync(file, later);
    const { side, counters } = given(t, folder);
    await side.start();
    assert.deepEqual(readFileSync(`${file}.bad-1`), later);
    assert.equal(counters.get('state_files', 'other-format'), 1);
  });

  it('takes up what it kept when it starts', async (t) => {
    const folder = folderOf(t);
    const before = given(t, folder).side;
    await before.start();
    assert.deepEqual(await before.setInstance('a', { status: 'disabled' }), {
      ok: true,
      stored: 'disk',
    });
    before.received(foreign((state) => state.setPolicy({ algorithm: 'round-robin' })).bytes);
    await before.stop();
    t.mock.reset();
    const { side, told } = given(t, folder);
    await side.start();
    assert.equal(side.announced, before.announced);
    assert.deepEqual(told, [
      { policy: { algorithm: 'round-robin' } },
      { flags: { status: 'disabled' } },
      'share',
    ]);
  });

  it('does not start without a folder that it can write', async (t) => {
    const folder = folderOf(t);
    // Nothing can be written in the place of a folder.
    mkdirSync(join(folder, 'cluster-state.new'));
    for (let number = 1; number <= 5; number++) {
      mkdirSync(join(folder, `cluster-state.bad-${number}`, 'full'), { recursive: true });
    }
    await assert.rejects(given(t, folder).side.start(), /dataDir .* cannot be used/);
  });

  it('says that a change is not on the disk, and is right again later', async (t) => {
    const folder = folderOf(t);
    const { side, counters, pass } = given(t, folder);
    await side.start();
    mkdirSync(join(folder, 'cluster-state.new'));
    const outcome = await side.setPolicy({ algorithm: 'round-robin' });
    assert.deepEqual(outcome, { ok: true, stored: 'failed' });
    rmdirSync(join(folder, 'cluster-state.new'));
    pass(1_000);
    while (counters.get('state_files', 'written') < 2) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(counters.get('state_files', 'write-failed'), 1);
  });
});
