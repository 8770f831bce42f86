import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { quorumLimits } from '../../src/config/defaults.ts';
import { Quorum, type CountedMember } from '../../src/ring/index.ts';

const { lostTogetherMs } = quorumLimits;
const letters = 'abcdefghij';

/** Members by letter, all alive but for those named. */
function members(count: number, dead = '', left = ''): CountedMember[] {
  return Array.from(letters.slice(0, count)).map((name) => ({
    name,
    state: dead.includes(name) ? 'dead' : left.includes(name) ? 'left' : 'alive',
  }));
}

function quorumOf(count: number): Quorum {
  const quorum = new Quorum();
  quorum.update(members(count), 0);
  return quorum;
}

describe('Quorum', () => {
  it('is lost with more than half of the members at once, and back with them', () => {
    const quorum = quorumOf(5);
    quorum.update(members(5, 'de'), 1_000);
    assert.deepEqual([quorum.inSight, quorum.size, quorum.isMinority], [3, 5, false]);
    quorum.update(members(5, 'cde'), 2_000);
    assert.deepEqual([quorum.inSight, quorum.size, quorum.isMinority], [2, 5, true]);
    quorum.update(members(5, 'de'), 3_000);
    assert.equal(quorum.isMinority, false);
  });

  it('is kept by exactly half, so by one of two', () => {
    for (const [count, dead] of [
      [4, 'cd'],
      [2, 'b'],
    ] as const) {
      const quorum = quorumOf(count);
      quorum.update(members(count, dead), 1_000);
      assert.equal(quorum.isMinority, false);
    }
  });

  it('does not count who left, nor who was dead before it came', () => {
    const quorum = quorumOf(5);
    quorum.update(members(5, '', 'bcde'), 1_000);
    assert.deepEqual([quorum.size, quorum.isMinority], [1, false]);
    const late = new Quorum();
    late.update(members(5, 'bcde'), 0);
    assert.deepEqual([late.size, late.isMinority], [1, false]);
  });

  it('does not count a suspect as in sight, and misses nobody for a suspicion', () => {
    const quorum = quorumOf(5);
    const suspected = (names: string): CountedMember[] =>
      members(5).map(({ name }) => ({ name, state: names.includes(name) ? 'suspect' : 'alive' }));
    quorum.update(suspected('de'), 1_000);
    assert.deepEqual([quorum.inSight, quorum.size, quorum.isMinority], [3, 5, false]);
    quorum.update(suspected('cde'), 1_100);
    assert.deepEqual([quorum.inSight, quorum.size, quorum.isMinority], [2, 5, true]);
    quorum.update(suspected('d'), 1_200);
    assert.deepEqual([quorum.inSight, quorum.size, quorum.isMinority], [4, 5, false]);
  });

  it('learns nobody from a suspicion', () => {
    const quorum = new Quorum();
    const [first, ...others] = members(5);
    const heard = others.map(({ name }) => ({ name, state: 'suspect' as const }));
    quorum.update([first!, ...heard], 0);
    assert.deepEqual([quorum.inSight, quorum.size, quorum.isMinority], [1, 1, false]);
  });

  it('forgets losses that lie far enough apart: the cluster became smaller', () => {
    const quorum = quorumOf(5);
    const gone = ['e', 'de', 'cde', 'bcde'];
    gone.forEach((dead, at) => {
      quorum.update(members(5, dead), (at + 1) * (lostTogetherMs + 1));
      assert.equal(quorum.isMinority, false, dead);
    });
  });

  it('counts losses within the time', () => {
    const quorum = quorumOf(5);
    quorum.update(members(5, 'e'), 1_000);
    quorum.update(members(5, 'de'), 1_000 + lostTogetherMs / 2);
    quorum.update(members(5, 'cde'), 1_000 + lostTogetherMs);
    assert.equal(quorum.isMinority, true);
  });

  it('stays lost as long as the others are away, until they are forgotten or said good-bye', () => {
    for (const after of [members(2), members(5, '', 'cde')]) {
      const quorum = quorumOf(5);
      quorum.update(members(5, 'cde'), 1_000);
      quorum.update(members(5, 'cde'), 1_000 + 10 * lostTogetherMs);
      assert.equal(quorum.isMinority, true);
      quorum.update(after, 2_000 + 10 * lostTogetherMs);
      assert.deepEqual([quorum.size, quorum.isMinority], [2, false]);
    }
  });

  it('is never lost on both sides of a partition, whichever way news of it comes', () => {
    const sides = fc
      .integer({ min: 1, max: 10 })
      .chain((count) =>
        fc.tuple(
          fc.constant(count),
          fc.subarray(Array.from(letters.slice(0, count))),
          fc.integer(),
        ),
      );
    fc.assert(
      fc.property(sides, ([count, side, seed]) => {
        const all = Array.from(letters.slice(0, count));
        const minorities = [side, all.filter((name) => !side.includes(name))].filter((seen) => {
          if (seen.length === 0) return false;
          const quorum = quorumOf(count);
          const lost = all.filter((name) => !seen.includes(name));
          const turned = seed % 2 === 0 ? lost : lost.toReversed();
          turned.forEach((_, at) => {
            quorum.update(members(count, turned.slice(0, at + 1).join('')), at + 1);
          });
          assert.equal(quorum.isMinority, seen.length * 2 < count);
          quorum.update(members(count), 2 * lostTogetherMs);
          assert.equal(quorum.isMinority, false);
          return seen.length * 2 < count;
        });
        assert.ok(minorities.length < 2);
      }),
    );
  });
});
