import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { clusterLimits, stateFolderLimits } from '../../../src/config/defaults.ts';
import { StateFolder } from '../../../src/io/state/index.ts';
import { Counters } from '../../../src/pipeline/counters.ts';

const first = Buffer.from('{"first":true}');
const second = Buffer.from('{"second":true}');

interface Given {
  readonly folder: string;
  readonly counters: Counters;
  readonly lines: string[];
  readonly create: (peer?: string, cluster?: string) => StateFolder;
}

function setUp(t: TestContext): Given {
  const folder = join(mkdtempSync(join(tmpdir(), 'sailring-state-')), 'made');
  t.after(() => {
    rmSync(join(folder, '..'), { recursive: true });
  });
  const counters = new Counters();
  const lines: string[] = [];
  const line = (_fields: object, message: string): void => void lines.push(message);
  const log = { error: line, warn: line };
  return {
    folder,
    counters,
    lines,
    create: (peer = 'peer-1', cluster = 'blue') =>
      new StateFolder({ folder, peer, cluster, counters, log }),
  };
}

/** Saves a state as a peer that then ends. */
async function saved({ create }: Given, state: Uint8Array): Promise<void> {
  const one = create();
  await one.open();
  assert.equal(await one.save(state), true);
  await one.close();
}

/** What the next peer finds. */
async function found({ create }: Given): Promise<Buffer | undefined> {
  const next = create();
  const state = await next.open();
  await next.close();
  return state && Buffer.from(state);
}

describe('the folder of the cluster state', () => {
  it('is made, and gives the last state that was saved', async (t) => {
    const given = setUp(t);
    const one = given.create();
    assert.equal(await one.open(), undefined);
    const saves = [one.save(first), one.save(first), one.save(second)];
    assert.deepEqual(await Promise.all(saves), [true, true, true]);
    // The first write had begun; what waited behind it was written at once, as its last state.
    assert.equal(given.counters.get('state_files', 'written'), 2);
    await one.close();
    assert.deepEqual(await found(given), second);
    assert.deepEqual(readdirSync(given.folder), ['cluster-state']);
    assert.deepEqual(given.lines, []);
  });

  const damages: readonly (readonly [
    what: string,
    reason: string,
    damage: (file: string) => void,
  ])[] = [
    [
      'a flipped bit',
      'checksum',
      (file) => {
        const bytes = readFileSync(file);
        bytes[bytes.length - 3]! ^= 1;
        writeFileSync(file, bytes);
      },
    ],
    [
      'a lost end',
      'checksum',
      (file) => {
        writeFileSync(file, readFileSync(file).subarray(0, -4));
      },
    ],
    [
      'a grown end',
      'checksum',
      (file) => {
        appendFileSync(file, ' ');
      },
    ],
    [
      'another owner written into it',
      'checksum',
      (file) => {
        writeFileSync(file, readFileSync(file, 'latin1').replace('peer-1', 'peer-2'), 'latin1');
      },
    ],
    [
      'no bytes',
      'format',
      (file) => {
        writeFileSync(file, '');
      },
    ],
    [
      'a later format',
      'format',
      (file) => {
        writeFileSync(file, readFileSync(file, 'latin1').replace('state 1', 'state 2'), 'latin1');
      },
    ],
    [
      'more than a state can have',
      'too-large',
      (file) => {
        writeFileSync(file, Buffer.alloc(clusterLimits.mergedStateBytesMax + 1_025));
      },
    ],
  ];
  for (const [what, reason, damage] of damages) {
    it(`reports and sets aside a file with ${what}`, async (t) => {
      const given = setUp(t);
      await saved(given, first);
      const file = join(given.folder, 'cluster-state');
      damage(file);
      const bad = readFileSync(file);
      assert.equal(await found(given), undefined);
      assert.equal(given.counters.get('state_files', reason), 1);
      assert.match(given.lines.join(), /^a file of the cluster state cannot be used/);
      assert.deepEqual(readFileSync(join(given.folder, 'cluster-state.bad-1')), bad);
      await saved(given, second);
      assert.deepEqual(await found(given), second);
    });
  }

  it('keeps the whole file where a crash left a half one beside it, and sets that aside', async (t) => {
    const given = setUp(t);
    await saved(given, first);
    writeFileSync(join(given.folder, 'cluster-state.new'), 'sailring-st');
    assert.deepEqual(await found(given), first);
    assert.equal(given.counters.get('state_files', 'half-written'), 1);
    assert.deepEqual(readdirSync(given.folder), ['cluster-state', 'cluster-state.bad-1']);
  });

  it('keeps so many bad files, the latest ones', async (t) => {
    const given = setUp(t);
    await saved(given, first);
    const file = join(given.folder, 'cluster-state');
    for (let number = 0; number <= stateFolderLimits.setAsideMax; number++) {
      writeFileSync(file, `bad ${number}`);
      utimesSync(file, 1_000 + number, 1_000 + number);
      await found(given);
    }
    const names = readdirSync(given.folder).filter((name) => name.includes('bad'));
    const texts = names.map((name) => readFileSync(join(given.folder, name), 'utf8')).sort();
    assert.deepEqual(texts, ['bad 1', 'bad 2', 'bad 3', 'bad 4', 'bad 5']);
  });

  for (const [peer, cluster] of [
    ['peer-2', 'blue'],
    ['peer-1', 'green'],
  ]) {
    it(`is not opened by ${peer} of ${cluster} when peer-1 of blue owns it`, async (t) => {
      const given = setUp(t);
      await saved(given, first);
      const stranger = given.create(peer, cluster);
      await assert.rejects(
        stranger.open(),
        /belongs to peer peer-1 of cluster blue; give each peer/,
      );
      assert.deepEqual(await found(given), first);
    });
  }

  it('is not opened twice at a time', async (t) => {
    const given = setUp(t);
    const one = given.create();
    await one.open();
    await assert.rejects(given.create().open(), /is in use: the process \d+ \(peer peer-1\)/);
    await one.close();
    assert.equal(await found(given), undefined);
  });

  it('is taken over from a process that was killed', async (t) => {
    const given = setUp(t);
    mkdirSync(given.folder);
    const module = new URL('../../../src/io/state/index.ts', import.meta.url).href;
    const program = `
      import { StateFolder } from ${JSON.stringify(module)};
      const folder = ${JSON.stringify(given.folder)};
      await new StateFolder({ folder, peer: 'peer-1', cluster: 'blue' }).open();
      console.log('open');
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    await assert.rejects(given.create().open(), new RegExp(`process ${child.pid} `));
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.equal(await found(given), undefined);
  });

  const leftovers: readonly (readonly [what: string, text: string])[] = [
    ['nothing', ''],
    ['no holder', '{"pid":-1}'],
    ['a process id that another program has now', `{"pid":${process.pid},"started":"1"}`],
  ];
  for (const [what, text] of leftovers) {
    it(`is taken over when the lock of a crash holds ${what}`, async (t) => {
      const given = setUp(t);
      mkdirSync(given.folder);
      writeFileSync(join(given.folder, 'lock'), text);
      assert.equal(await found(given), undefined);
    });
  }

  it('is refused with a remedy when it cannot be used', async (t) => {
    const given = setUp(t);
    writeFileSync(given.folder, 'a file');
    await assert.rejects(given.create().open(), /dataDir .* cannot be used: .*; name a folder/);
    rmSync(given.folder);
    mkdirSync(join(given.folder, 'cluster-state'), { recursive: true });
    await assert.rejects(given.create().open(), /dataDir .* cannot be used: .*; name a folder/);
    // What was refused leaves no lock behind.
    rmdirSync(join(given.folder, 'cluster-state'));
    assert.equal(await found(given), undefined);
  });

  it('says when a state was not written, and tries again until it is', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const given = setUp(t);
    const one = given.create();
    await one.open();
    const obstacle = join(given.folder, 'cluster-state.new');
    mkdirSync(obstacle);
    assert.equal(await one.save(first), false);
    assert.equal(given.counters.get('state_files', 'write-failed'), 1);
    assert.match(given.lines.join(), /was not written; trying again/);
    t.mock.timers.tick(stateFolderLimits.retryMinMs);
    while (given.counters.get('state_files', 'write-failed') < 2) await turn();
    rmdirSync(obstacle);
    // Twice the pause after the second failure.
    t.mock.timers.tick(stateFolderLimits.retryMinMs);
    assert.equal(given.counters.get('state_files', 'written'), 0);
    t.mock.timers.tick(stateFolderLimits.retryMinMs);
    while (given.counters.get('state_files', 'written') < 1) await turn();
    await one.close();
    assert.deepEqual(await found(given), first);
  });
});

/** Lets the file system answer. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
