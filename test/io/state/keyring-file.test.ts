import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { gossipLimits, stateFolderLimits } from '../../../src/config/defaults.ts';
import { KeyringFile, type KeptKeys } from '../../../src/io/state/index.ts';
import { Counters } from '../../../src/pipeline/counters.ts';

const [first, second, third] = [16, 24, 32].map((size) => Buffer.alloc(size, size)) as [
  Buffer,
  Buffer,
  Buffer,
];

interface Given {
  readonly folder: string;
  readonly file: string;
  readonly counters: Counters;
  /** All that was logged. */
  readonly lines: string[];
  readonly create: (...configured: readonly Uint8Array[]) => KeyringFile;
}

function setUp(t: TestContext): Given {
  const folder = mkdtempSync(join(tmpdir(), 'sailring-keyring-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const counters = new Counters();
  const lines: string[] = [];
  const log = {
    error: (fields: object, message: string) => void lines.push(message, JSON.stringify(fields)),
  };
  return {
    folder,
    file: join(folder, 'gossip-keys'),
    counters,
    lines,
    create: (...configured) => new KeyringFile({ folder, configured, counters, log }),
  };
}

/** Buffers as text, for a difference that can be read. */
function shown(kept: KeptKeys): unknown {
  if (kept.kind === 'none') return kept.kind;
  return [kept.kind, ...kept.keys.map((key) => Buffer.from(key).toString('base64'))];
}

function text(key: Uint8Array): string {
  return Buffer.from(key).toString('base64');
}

describe('the file of the gossip keys', () => {
  it('gives the keys that were saved last, to the peer with the same configuration', async (t) => {
    const given = setUp(t);
    const one = given.create(first, second);
    assert.deepEqual(await one.load(), { kind: 'none' });
    assert.deepEqual(await Promise.all([one.save([first]), one.save([third, first])]), [
      true,
      true,
    ]);
    await one.close();
    const next = await given.create(first, second).load();
    assert.deepEqual(shown(next), ['kept', text(third), text(first)]);
    assert.equal(statSync(given.file).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(given.folder), ['gossip-keys']);
    assert.deepEqual(given.lines, []);
  });

  for (const [what, configured] of [
    ['another key', [third]],
    ['one key more', [first, second, third]],
    ['the keys in another order', [second, first]],
    ['no keys', []],
  ] as const) {
    it(`forgets what was kept when the configuration has ${what}`, async (t) => {
      const given = setUp(t);
      await given.create(first, second).save([third]);
      const next = await given.create(...configured).load();
      assert.deepEqual(shown(next), ['outdated', text(third)]);
      assert.deepEqual(readdirSync(given.folder), []);
      // Not even the configuration of before brings it back.
      assert.deepEqual(await given.create(first, second).load(), { kind: 'none' });
    });
  }

  it('has room for as many keys as a peer can have', async (t) => {
    const given = setUp(t);
    const keys = Array.from({ length: gossipLimits.keysMax }, (_, at) => Buffer.alloc(32, at + 1));
    await given.create(first).save(keys);
    assert.deepEqual(shown(await given.create(first).load()), ['kept', ...keys.map(text)]);
  });

  const damages: readonly (readonly [string, string, (file: string) => void])[] = [
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
        appendFileSync(file, `${text(first)}\n`);
      },
    ],
    [
      'another configuration written into it',
      'checksum',
      (file) => {
        const bytes = readFileSync(file, 'latin1');
        writeFileSync(
          file,
          bytes.replace(/origin ./u, (found) => (found.endsWith('0') ? 'origin 1' : 'origin 0')),
        );
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
        writeFileSync(file, readFileSync(file, 'latin1').replace('keys 1', 'keys 2'));
      },
    ],
    [
      'more than any keys take',
      'too-large',
      (file) => {
        writeFileSync(file, Buffer.alloc(16_384));
      },
    ],
  ];
  for (const [what, reason, damage] of damages) {
    it(`is reported and set aside when it has ${what}`, async (t) => {
      const given = setUp(t);
      await given.create(first).save([second, first]);
      damage(given.file);
      const bad = readFileSync(given.file);
      const next = given.create(first);
      assert.deepEqual(await next.load(), { kind: 'none' });
      assert.equal(given.counters.get('keyring_files', reason), 1);
      assert.match(given.lines[0]!, /^a file of gossip keys cannot be used and was set aside/u);
      assert.deepEqual(readdirSync(given.folder), ['gossip-keys.bad-1']);
      assert.deepEqual(readFileSync(`${given.file}.bad-1`), bad);
      for (const key of [first, second]) assert.ok(!given.lines.join().includes(text(key)));
      await next.save([third]);
      assert.deepEqual(shown(await given.create(first).load()), ['kept', text(third)]);
    });
  }

  it('is set aside when its keys are none, or none that can be used', async (t) => {
    const given = setUp(t);
    const tooMany = Array.from({ length: gossipLimits.keysMax + 1 }, () => first);
    for (const keys of [[], [Buffer.alloc(8)], tooMany]) {
      await given.create(first).save(keys);
      assert.deepEqual(await given.create(first).load(), { kind: 'none' });
    }
    assert.equal(given.counters.get('keyring_files', 'format'), 3);
  });

  it('stays whole where a crash left a half one beside it, and that is set aside', async (t) => {
    const given = setUp(t);
    await given.create(first).save([second]);
    writeFileSync(`${given.file}.new`, 'sailring-ke');
    assert.deepEqual(shown(await given.create(first).load()), ['kept', text(second)]);
    assert.equal(given.counters.get('keyring_files', 'half-written'), 1);
    assert.deepEqual(readdirSync(given.folder), ['gossip-keys', 'gossip-keys.bad-1']);
  });

  it('says when keys were not written, without a word of them, and tries again', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const given = setUp(t);
    const one = given.create(first);
    const obstacle = `${given.file}.new`;
    mkdirSync(obstacle);
    assert.equal(await one.save([second]), false);
    assert.equal(given.counters.get('keyring_files', 'write-failed'), 1);
    assert.match(given.lines[0]!, /not written; trying again/u);
    assert.ok(!given.lines.join().includes(text(second)));
    rmdirSync(obstacle);
    t.mock.timers.tick(stateFolderLimits.retryMinMs);
    while (given.counters.get('keyring_files', 'written') < 1) await turn();
    await one.close();
    assert.deepEqual(shown(await given.create(first).load()), ['kept', text(second)]);
  });

  it('stops the start with a remedy when the folder cannot be used', async (t) => {
    const given = setUp(t);
    writeFileSync(given.file, 'bad');
    for (let number = 1; number <= stateFolderLimits.setAsideMax; number++)
      mkdirSync(`${given.file}.bad-${number}/full`, { recursive: true });
    await assert.rejects(
      given.create(first).load(),
      /dataDir .* cannot be used: .*; name a folder/u,
    );
  });
});

/** Lets the file system answer. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
