import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import type { Logger } from 'pino';
import { clusterLimits } from '../src/config/defaults.ts';
import type { Config } from '../src/config/index.ts';
import { RulesSide } from '../src/peer-rules.ts';
import { Counters } from '../src/pipeline/counters.ts';
import { section, sip } from './dcr/request.ts';

const rule = (header: string): string =>
  section('sip', `<header name="${header}" return="request.${header}"><exist/></header>`);
const message = sip('INVITE sip:a@b SIP/2.0\nRoom: red\nTeam: blue\nCall-ID: 1');

interface Given {
  readonly side: RulesSide;
  readonly counters: Counters;
  readonly lines: readonly string[];
  readonly replaced: { times: number };
}

/** A peer whose configuration names a file of these rules. */
function given(t: TestContext, text: string | undefined): Given {
  const folder = mkdtempSync(join(tmpdir(), 'sailring-rules-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const file = join(folder, 'own.xml');
  if (text !== undefined) writeFileSync(file, text);
  const lines: string[] = [];
  const replaced = { times: 0 };
  const tell = (_fields: object, line: string): void => void lines.push(line);
  const counters = new Counters();
  const side = new RulesSide({
    config: {
      rules: text === undefined ? {} : { file },
      cluster: { name: 'c', minority: 'serve', mixedRulesGraceMs: 0 },
    } as unknown as Config,
    log: { info: tell, warn: tell, error: tell } as unknown as Logger,
    counters,
    onReplaced: () => {
      replaced.times++;
    },
  });
  t.after(() => {
    side.close();
  });
  return { side, counters, lines, replaced };
}

describe('the rules that a peer runs', () => {
  it('are those of the cluster before those of its file, and its file’s again without them', async (t) => {
    const { side, replaced, lines } = given(t, rule('Room'));
    await side.start();
    const own = side.digest;
    assert.deepEqual([side.status().source, replaced.times], ['file', 0]);
    const keyOfRoom = side.keys.sip(message, 't', 'c');
    side.take(rule('Team'));
    assert.equal(side.status().source, 'cluster');
    assert.notEqual(side.digest, own);
    assert.notDeepEqual(side.keys.sip(message, 't', 'c'), keyOfRoom);
    assert.equal(replaced.times, 1);
    side.take(undefined);
    assert.deepEqual([side.status().source, side.digest], ['file', own]);
    assert.deepEqual(side.keys.sip(message, 't', 'c'), keyOfRoom);
    assert.equal(replaced.times, 2);
    assert.deepEqual(lines, ['other rules run now', 'other rules run now']);
  });

  it('are not replaced by the same ones, wherever they come from', async (t) => {
    const { side, replaced } = given(t, rule('Room'));
    await side.start();
    const { digest } = side;
    side.take(rule('Room'));
    const { keys } = side;
    side.take(rule('Room'));
    assert.equal(side.keys, keys);
    assert.deepEqual([side.status().source, side.digest, replaced.times], ['cluster', digest, 0]);
  });

  it('stay when those of the cluster cannot be loaded here, and that is told', async (t) => {
    const { side, counters, lines, replaced } = given(t, rule('Room'));
    await side.start();
    const { keys } = side;
    side.take('<rules-of-a-later-version/>');
    assert.equal(side.keys, keys);
    assert.equal(replaced.times, 0);
    assert.equal(counters.get('rules', 'refused'), 1);
    assert.deepEqual(lines, ['this peer cannot load the rules of the cluster and keeps its own']);
    // Others can: this peer is the odd one.
    side.membersChanged([
      { name: 'a', epoch: 1, rules: 'later' },
      { name: 'b', epoch: 2, rules: side.digest },
      { name: 'c', epoch: 3, rules: side.digest },
    ]);
    assert.deepEqual(side.status().odd, ['a']);
  });

  it('may be none', (t) => {
    const { side } = given(t, undefined);
    assert.deepEqual([side.digest, side.keys.hasRules], ['none', false]);
    side.take(rule('Room'));
    assert.equal(side.keys.hasRules, true);
    side.take(undefined);
    assert.deepEqual([side.digest, side.keys.hasRules], ['none', false]);
  });

  it('are judged by the digest of what the cluster was given, once anybody runs it', (t) => {
    const { side } = given(t, undefined);
    side.take(rule('Room'));
    const others = ['b', 'c'].map((name, at) => ({ name, epoch: at, rules: 'others' }));
    side.membersChanged([{ name: 'a', epoch: 9, rules: side.digest }, ...others]);
    const { clusters, odd, isOverdue } = side.status();
    assert.deepEqual([clusters, odd, isOverdue], [side.digest, ['b', 'c'], false]);
    side.take(undefined);
    side.membersChanged([{ name: 'a', epoch: 9, rules: 'none' }, ...others]);
    assert.deepEqual(side.status(), {
      source: 'none',
      digest: 'none',
      clusters: 'others',
      odd: ['a'],
      isOverdue: true,
    });
  });

  it('are told to differ once when that lasts, and to be the same again', (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let nowMs = 0;
    t.mock.method(performance, 'now', () => nowMs);
    const pass = (ms: number): void => {
      nowMs += ms;
      t.mock.timers.tick(ms);
    };
    const { side, lines, counters } = given(t, undefined);
    const same = { name: 'a', epoch: 1, rules: 'none' };
    const mixed = [same, { name: 'b', epoch: 2, rules: 'x' }];
    side.membersChanged(mixed);
    pass(clusterLimits.mixedRulesNoticeMs - 1);
    side.membersChanged([same]);
    pass(clusterLimits.mixedRulesNoticeMs);
    assert.deepEqual(lines, []);
    side.membersChanged(mixed);
    side.membersChanged([...mixed, { name: 'c', epoch: 3, rules: 'x' }, { ...same, name: 'd' }]);
    pass(clusterLimits.mixedRulesNoticeMs);
    pass(clusterLimits.mixedRulesNoticeMs);
    assert.equal(counters.get('rules', 'mixed'), 1);
    side.membersChanged([same]);
    assert.deepEqual(lines, [
      'peers run other rules than the cluster; after the grace time they are not ready',
      'all peers run the same rules again',
    ]);
  });

  it('are checked without being run', async (t) => {
    const { side, replaced } = given(t, rule('Room'));
    await side.start();
    assert.deepEqual(side.check(rule('Team'), 'x'), []);
    assert.match(side.check('<x/>', 'my.xml').join(), /^my\.xml:1:\d+: error: /);
    assert.equal(replaced.times, 0);
  });
});
