import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pipelineLimits } from '../../src/config/defaults.ts';
import { digestOf } from '../../src/pipeline/key.ts';
import {
  locateHeir,
  locateInTurn,
  locateKey,
  locateKnown,
  locateNew,
  locateStamped,
  successorsOf,
} from '../../src/pipeline/locate.ts';
import type { ClusterView } from '../../src/pipeline/view.ts';
import { clusterView } from '../support/pipeline-parts.ts';

const names = ['a', 'b', 'c', 'd', 'e'];
const five = Object.fromEntries(names.map((name) => [name, 'ready' as const]));
const digest = digestOf('42');
const key = { kind: 'key', digest, reason: 'rule' } as const;
const order = clusterView('a', five).ring.successors(digest, names.length);

/** A view with suspect instances, by their place in ring order. */
function suspecting(...places: readonly number[]): ClusterView {
  const doubts = new Map(places.map((place) => [order[place]!, Infinity]));
  return clusterView('a', five, { doubts });
}

describe('What begins', () => {
  it('goes to the owner of its key while nobody suspects that one', () => {
    for (const view of [suspecting(), suspecting(1, 2)]) {
      const located = locateNew(key, view);
      assert.deepEqual([located.instance, located.doubtedUntilMs], [order[0], 0]);
    }
  });

  it('goes to the first on the ring that is not suspect, and that is doubtful', () => {
    for (const [view, expected] of [
      [suspecting(0), order[1]],
      [suspecting(0, 1), order[2]],
      [suspecting(0, 1, 2, 3), order[4]],
    ] as const) {
      const located = locateNew(key, view);
      assert.deepEqual([located.instance, located.doubtedUntilMs], [expected, Infinity]);
    }
  });

  it('goes to the owner when all are suspect', () => {
    assert.equal(locateNew(key, suspecting(0, 1, 2, 3, 4)).instance, order[0]);
  });

  it('goes to the owner that was suspect, but is doubtful for a time', () => {
    const view = clusterView('a', five, { doubts: new Map([[order[0]!, 7_000]]) });
    const located = locateNew(key, view);
    assert.deepEqual([located.instance, located.doubtedUntilMs], [order[0], 7_000]);
  });

  it('has nobody on an empty ring, whoever is suspect', () => {
    const view = clusterView('a', {}, { doubts: new Map([['b', Infinity]]) });
    assert.equal(locateNew(key, view).instance, undefined);
    assert.equal(locateInTurn(digest, view, 3).instance, undefined);
  });

  it('tries suspect ones last when its instance cannot be reached', () => {
    const view = suspecting(1);
    const successors = successorsOf(locateNew(key, view), view).filter((name) => name !== 'a');
    assert.deepEqual(successors, [order[2], order[3]]);
    const few = suspecting(1, 2, 3, 4);
    const doubtful = successorsOf(locateNew(key, few), few).filter((name) => name !== 'a');
    assert.deepEqual(doubtful, [order[1], order[2]]);
    assert.equal(successors.length, pipelineLimits.candidatesMax - 1);
  });

  it('has the own instance left when none of those that are tried can be reached', () => {
    for (const self of names) {
      const view = clusterView(self, five);
      const at = order.indexOf(self);
      const others = order.slice(1, pipelineLimits.candidatesMax);
      const own = at >= pipelineLimits.candidatesMax ? [self] : [];
      assert.deepEqual(successorsOf(locateNew(key, view), view), [...others, ...own]);
      const away = clusterView(self, { ...five, [self]: 'draining' });
      const located = locateNew(key, away);
      assert.ok(!successorsOf(located, away).includes(self));
    }
  });

  it('passes suspect ones over when it goes in turn', () => {
    const doubts = new Map([
      ['b', Infinity],
      ['c', Infinity],
      ['d', 7_000],
    ]);
    const view = clusterView('a', five, { doubts });
    const turns = names.map((_, turn) => locateInTurn(digest, view, turn).instance);
    assert.deepEqual(turns, ['a', 'd', 'd', 'd', 'e']);
    const all = clusterView('a', five, { doubts: new Map(names.map((name) => [name, Infinity])) });
    assert.equal(locateInTurn(digest, all, 1).instance, 'b');
  });
});

describe('What belongs to something', () => {
  const view = suspecting(0);
  const owner = order[0]!;
  const stamp = { bekey: digest, beroute: owner };

  it('stays with its instance, suspect or not', () => {
    const gone = { bekey: digest, beroute: 'gone' };
    for (const located of [
      locateStamped(stamp, view),
      locateHeir(gone, view, false),
      locateHeir(stamp, view, true),
      locateKnown({ instance: owner, keyDigest: digest }, view),
      locateKey(key, view),
    ]) {
      assert.deepEqual([located?.instance, located?.doubtedUntilMs], [owner, 0]);
    }
  });

  it('goes on to its heirs in ring order, suspect or not', () => {
    const doubted = suspecting(1);
    const located = locateStamped(stamp, doubted)!;
    assert.deepEqual(successorsOf(located, doubted), [order[1], order[2]]);
  });
});
