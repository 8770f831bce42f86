import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { AdminServer, type PeerStatus } from '../../src/admin/index.ts';
import { runProgram } from '../../src/cli/program.ts';
import { Counters } from '../../src/pipeline/counters.ts';
import { SharedPages } from '../support/shared-pages.ts';

interface Given {
  readonly pages: SharedPages;
  /** Runs a command against the peer. */
  readonly run: (...args: string[]) => Promise<{ exitCode: number; out: string; err: string }>;
  /** Writes a file and gives its path. */
  readonly file: (text: string | Buffer) => string;
}

async function setUp(t: TestContext): Promise<Given> {
  const pages = new SharedPages();
  const source = {
    status: (): PeerStatus => assert.fail(),
    counters: new Counters(),
    drain: () => undefined,
    undrain: () => undefined,
    routes: pages.routes,
  };
  const config = { listen: { address: '127.0.0.1', port: 0 } };
  const server = new AdminServer(config, source, () => undefined);
  const admin = await server.start();
  t.after(() => server.stop());
  const folder = mkdtempSync(join(tmpdir(), 'sailring-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  return {
    pages,
    async run(...args) {
      const [written, complained]: [string[], string[]] = [[], []];
      const exitCode = await runProgram([...args, '--admin', `http://${admin}`], {
        out: (text) => void written.push(text),
        err: (text) => void complained.push(text),
        readStdin: () => Promise.resolve(Buffer.alloc(0)),
      });
      return { exitCode, out: written.join(''), err: complained.join('') };
    },
    file(text) {
      const path = join(folder, 'rules.xml');
      writeFileSync(path, text);
      return path;
    },
  };
}

describe('sailring rules', () => {
  it('gives rules to the cluster, shows them and takes them away', async (t) => {
    const { pages, run, file } = await setUp(t);
    const set = await run('rules', 'set', file('good'));
    assert.deepEqual([set.exitCode, set.err], [0, '']);
    assert.match(set.out, /^all peers run the rules abc; cluster state \S{8}\n$/);
    assert.equal(pages.state.rules?.text, 'good');
    pages.running = { source: 'cluster', digest: 'x', clusters: 'y', odd: ['p2'], isOverdue: true };
    assert.equal(
      (await run('rules', 'show')).out,
      [
        'the peer runs rules x of the cluster',
        'the cluster runs y',
        'others than the cluster run at p2',
        'the peer is not ready for that',
        '',
        'good',
        '',
      ].join('\n'),
    );
    assert.deepEqual(JSON.parse((await run('rules', 'show', '--json')).out), {
      ...pages.running,
      text: 'good',
    });
    assert.equal((await run('rules', 'clear')).exitCode, 0);
    assert.equal(pages.state.rules, undefined);
  });

  it('prints the faults of a file under its name, and of one that is not there', async (t) => {
    const { pages, run, file } = await setUp(t);
    const path = file('bad');
    const refused = await run('rules', 'set', path);
    assert.equal(refused.exitCode, 1);
    assert.ok(refused.err.includes(`\n${path}:3:5: error: bad\n`), refused.err);
    const missing = await run('rules', 'set', `${path}.none`);
    assert.equal(missing.exitCode, 1);
    assert.match(missing.err, /cannot read .*none: ENOENT/);
    assert.equal(pages.state.clock, 0);
  });

  it('says when the peer could not write them down', async (t) => {
    const { pages, run, file } = await setUp(t);
    pages.stored = 'failed';
    const set = await run('rules', 'set', file('good'));
    assert.equal(set.exitCode, 0);
    assert.match(set.err, /could not write it to its disk/);
  });
});

describe('sailring instance', () => {
  it('enables, drains, disables, weighs and forgets', async (t) => {
    const { pages, run } = await setUp(t);
    const steps: readonly (readonly [args: string[], decided: unknown])[] = [
      [['drain', 'peer-1'], { status: 'draining' }],
      [['weight', 'peer-1', '0.5'], { status: 'draining', weight: 0.5 }],
      [
        ['disable', 'peer-1', '--timeout', '60'],
        { status: 'disabled', weight: 0.5, quiesceMs: 60_000 },
      ],
      [['disable', 'peer-1'], { status: 'disabled', weight: 0.5 }],
      [['enable', 'peer-1'], { status: 'enabled', weight: 0.5 }],
      [['weight', 'peer-1', 'default'], { status: 'enabled' }],
      [['forget', 'peer-1'], undefined],
    ];
    for (const [args, decided] of steps) {
      const { exitCode, err } = await run('instance', ...args);
      assert.deepEqual([exitCode, err], [0, ''], args.join(' '));
      assert.deepEqual(pages.state.instance('peer-1'), decided, args.join(' '));
    }
  });

  it('lists what was decided', async (t) => {
    const { run } = await setUp(t);
    const drained = await run('instance', 'drain', 'peer-22', '--create');
    assert.equal(drained.out, 'peer-22 is draining\n');
    await run('instance', 'weight', 'peer-1', '2');
    assert.equal(
      (await run('instance', 'list')).out,
      [
        'instance  gossip  status  weight  decided',
        'peer-1    alive   ready   1       enabled, weight 2',
        'peer-22   -       -       -       draining',
        '',
      ].join('\n'),
    );
  });

  const refused: readonly (readonly [args: string[], says: RegExp])[] = [
    [['drain', 'peer-9'], /refused \(404\): no member and no decision is called peer-9/],
    [['weight', 'peer-1', '0'], /Use 0\.1 to 100, or default/],
    [['weight', 'peer-1', 'much'], /Use 0\.1 to 100, or default/],
    [['disable', 'peer-1', '--timeout', '-1'], /Use whole seconds/],
    [['forget', 'peer-1'], /refused \(404\)/],
  ];
  for (const [args, says] of refused) {
    it(`refuses ${args.join(' ')}`, async (t) => {
      const { pages, run } = await setUp(t);
      const { exitCode, err } = await run('instance', ...args);
      assert.equal(exitCode, 1);
      assert.match(err, says);
      assert.equal(pages.state.clock, 0);
    });
  }
});

describe('sailring policy', () => {
  it('is set, shown and taken away', async (t) => {
    const { pages, run } = await setUp(t);
    const set = await run('policy', 'set', '--algorithm', 'round-robin');
    assert.deepEqual([set.exitCode, set.err], [0, '']);
    assert.match(set.out, /^all peers use round-robin; cluster state \S{8}\n$/);
    assert.deepEqual(pages.state.policy, { algorithm: 'round-robin' });
    assert.equal((await run('policy', 'show')).out, 'all peers use round-robin\n');
    assert.deepEqual(JSON.parse((await run('policy', 'show', '--json')).out), {
      policy: { algorithm: 'round-robin' },
    });
    const clear = await run('policy', 'clear');
    assert.deepEqual([clear.exitCode, clear.err], [0, '']);
    assert.match(clear.out, /^each peer uses the algorithm of its configuration; cluster state /);
    assert.deepEqual(pages.state.policy, {});
    assert.equal(
      (await run('policy', 'show')).out,
      'nothing is decided: each peer uses sip.algorithm of its configuration\n',
    );
  });

  it('answers changes as JSON, and says when the peer could not write them down', async (t) => {
    const { pages, run } = await setUp(t);
    pages.stored = 'failed';
    const set = await run('policy', 'set', '--algorithm', 'consistent-hash', '--json');
    assert.equal(set.exitCode, 0);
    assert.deepEqual(JSON.parse(set.out), {
      policy: { algorithm: 'consistent-hash' },
      clock: 1,
      digest: pages.state.digest.slice(0, 8),
      stored: 'failed',
    });
    assert.match(set.err, /could not write it to its disk/);
  });

  it('is refused with the reason of the peer', async (t) => {
    const { pages, run } = await setUp(t);
    pages.fault = 'entries-full';
    const { exitCode, out, err } = await run('policy', 'set', '--algorithm', 'round-robin');
    assert.deepEqual([exitCode, out], [1, '']);
    assert.match(err, /^sailring: error: .* refused \(507\): .* 4096 entries/);
  });

  const refused: readonly (readonly [args: string[], says: RegExp])[] = [
    [['set'], /required option '--algorithm <name>' not specified/],
    [['set', '--algorithm', 'any'], /Allowed choices are consistent-hash, round-robin/],
    [['show', 'algorithm'], /too many arguments/],
  ];
  for (const [args, says] of refused) {
    it(`refuses ${args.join(' ')}`, async (t) => {
      const { pages, run } = await setUp(t);
      const { exitCode, err } = await run('policy', ...args);
      assert.equal(exitCode, 1);
      assert.match(err, says);
      assert.equal(pages.state.clock, 0);
    });
  }
});
