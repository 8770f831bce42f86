import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CatchUp } from '../../src/cluster/index.ts';
import { clusterLimits } from '../../src/config/defaults.ts';

/** Chance that gives these numbers in turn, again and again. */
function chance(...numbers: readonly number[]): () => number {
  let turn = 0;
  return () => numbers[turn++ % numbers.length]!;
}

class Known {
  readonly digests = new Set<string>(['ours']);

  includes(digest: string): boolean {
    return this.digests.has(digest);
  }
}

const four = ['a', 'b', 'c', 'd'].map((name) => ({ name, digest: 'ours' }));
const ahead = (...names: readonly string[]): { name: string; digest: string }[] =>
  four.map(({ name, digest }) => ({ name, digest: names.includes(name) ? 'new' : digest }));

describe('catching up', () => {
  it('asks nobody while all announce what it has', () => {
    const catchUp = new CatchUp(new Known(), chance(0.5));
    catchUp.membersChanged(four, 0);
    assert.equal(catchUp.isCaughtUp, true);
    assert.equal(catchUp.dueMs, Infinity);
    assert.equal(catchUp.due(1_000), undefined);
  });

  it('asks one of those ahead, after a pause that grows with the cluster', () => {
    const catchUp = new CatchUp(new Known(), chance(0.5, 0.99));
    catchUp.membersChanged(ahead('b'), 100);
    assert.equal(catchUp.isCaughtUp, false);
    const pauseMs = 0.5 * 4 * clusterLimits.syncSpreadPerMemberMs;
    assert.equal(catchUp.dueMs, 100 + pauseMs);
    assert.equal(catchUp.due(100), undefined);
    // Others have the news by then, and may be asked as well; the pause does not begin anew.
    catchUp.membersChanged(ahead('b', 'd'), 101);
    assert.equal(catchUp.dueMs, 100 + pauseMs);
    assert.equal(catchUp.due(100 + pauseMs), 'd');
  });

  it('waits no longer than the limit in a cluster of any size', () => {
    const catchUp = new CatchUp(new Known(), chance(0.999));
    const many = Array.from({ length: 4_000 }, (_, at) => ({ name: `p${at}`, digest: 'new' }));
    catchUp.membersChanged(many, 0);
    assert.ok(catchUp.dueMs < clusterLimits.syncSpreadMaxMs);
    assert.ok(catchUp.dueMs > clusterLimits.syncSpreadMaxMs / 2);
  });

  it('asks again while it is behind, and stops once it has what is announced', () => {
    const known = new Known();
    const catchUp = new CatchUp(known, chance(0));
    catchUp.membersChanged(ahead('a', 'b'), 0);
    assert.equal(catchUp.due(0), 'a');
    assert.equal(catchUp.dueMs, clusterLimits.syncRetryMs);
    assert.equal(catchUp.due(clusterLimits.syncRetryMs), 'a');
    known.digests.add('new');
    catchUp.stateChanged(clusterLimits.syncRetryMs);
    assert.equal(catchUp.isCaughtUp, true);
    assert.equal(catchUp.dueMs, Infinity);
  });

  it('is caught up when the only one ahead is gone', () => {
    const catchUp = new CatchUp(new Known(), chance(0));
    catchUp.membersChanged(ahead('a'), 0);
    catchUp.membersChanged(four.slice(1), 1);
    assert.equal(catchUp.due(10_000), undefined);
    assert.equal(catchUp.isCaughtUp, true);
  });
});
