import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { judgeRules, RulesAgreement, type RulesRunner } from '../../src/cluster/index.ts';

/** `name:epoch:rules`, without rules where a member tells none. */
function runners(...texts: readonly string[]): RulesRunner[] {
  return texts.map((text) => {
    const [name = '', epoch, rules] = text.split(':');
    return { name, epoch: Number(epoch), rules };
  });
}

describe('whose rules are the cluster’s', () => {
  const cases: readonly (readonly [
    why: string,
    ready: readonly string[],
    given: string | undefined,
    clusters: string | undefined,
    odd: readonly string[],
  ])[] = [
    ['nobody is ready', [], undefined, undefined, []],
    ['nobody tells', ['a:1', 'b:2'], undefined, undefined, []],
    ['all run the same', ['a:1:x', 'b:2:x'], undefined, 'x', []],
    ['most members decide', ['a:1:y', 'b:2:x', 'c:3:x'], undefined, 'x', ['a']],
    ['of two halves the one with the eldest', ['a:5:y', 'b:2:x'], undefined, 'x', ['a']],
    ['of equal age the first name', ['b:1:x', 'a:1:y'], undefined, 'y', ['b']],
    ['what was given to the cluster', ['a:1:y', 'b:2:x', 'c:3:x'], 'y', 'y', ['b', 'c']],
    ['what was given, but nobody can run', ['a:1:y', 'b:2:x', 'c:3:x'], 'z', 'x', ['a']],
    ['silence is no vote', ['a:1', 'b:2:x'], undefined, 'x', []],
  ];
  for (const [why, ready, given, clusters, odd] of cases) {
    it(why, () => assert.deepEqual(judgeRules(runners(...ready), given), { clusters, odd }));
  }

  it('never finds all odd, and finds the same in any order', () => {
    const runner = fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
      epoch: fc.integer({ min: 1, max: 3 }),
      rules: fc.option(fc.constantFrom('x', 'y', 'z'), { nil: undefined }),
    });
    const ready = fc.uniqueArray(runner, { selector: ({ name }) => name, minLength: 1 });
    const given = fc.option(fc.constantFrom('x', 'y', 'w'), { nil: undefined });
    fc.assert(
      fc.property(ready, given, (members, rules) => {
        const verdict = judgeRules(members, rules);
        assert.ok(verdict.odd.length < members.length);
        assert.deepEqual(judgeRules([...members].reverse(), rules), verdict);
      }),
    );
  });
});

describe('how long a peer runs other rules than the cluster', () => {
  const graceMs = 1_000;

  it('counts from when they began to differ, until they are the same again', () => {
    const agreement = new RulesAgreement();
    const mixed = runners('a:1:x', 'b:2:x', 'c:3:y');
    agreement.update('y', runners('a:1:x'), undefined, 100);
    agreement.update('y', mixed, undefined, 600);
    agreement.update('y', mixed, undefined, 1_000);
    assert.deepEqual(agreement.verdict, { clusters: 'x', odd: ['c'] });
    assert.equal(agreement.isOddFor(graceMs, 1_099), false);
    assert.equal(agreement.isOddFor(graceMs, 1_100), true);
    agreement.update('x', runners('a:1:x', 'c:3:x'), undefined, 1_200);
    assert.equal(agreement.isOddFor(graceMs, 9_000), false);
    agreement.update('z', runners('a:1:x'), undefined, 9_000);
    assert.equal(agreement.isOddFor(graceMs, 9_999), false);
    assert.equal(agreement.isOddFor(graceMs, 10_000), true);
  });

  it('never begins for those that run what the cluster does, or know nobody else', () => {
    const agreement = new RulesAgreement();
    agreement.update('x', runners('a:1:x', 'b:2:x', 'c:3:y'), undefined, 0);
    assert.equal(agreement.isOddFor(graceMs, 1e9), false);
    agreement.update('x', [], undefined, 0);
    assert.equal(agreement.isOddFor(graceMs, 1e9), false);
  });
});
