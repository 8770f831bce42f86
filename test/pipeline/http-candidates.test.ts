import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { httpLimits } from '../../src/config/defaults.ts';
import { Candidates } from '../../src/pipeline/http-candidates.ts';
import { digestOf } from '../../src/pipeline/key.ts';
import type { ClusterView } from '../../src/pipeline/view.ts';
import { clusterView } from '../support/pipeline-parts.ts';

const five = clusterView('p1', {
  p1: 'ready',
  p2: 'ready',
  p3: 'ready',
  p4: 'ready',
  p5: 'ready',
});

describe('instances that may be asked in turn', () => {
  it('are those of the ring, the one that a stamp names before all others', () => {
    const candidates = new Candidates(3);
    const digest = digestOf('42');
    const order = five.ring.successors(digest, 5);
    assert.deepEqual(candidates.sticky(five, undefined, digest, 0), order.slice(0, 3));
    assert.deepEqual(candidates.sticky(five, order[0], digest, 0), order.slice(0, 3));
    assert.deepEqual(candidates.sticky(five, order[1], digest, 0), [order[1], order[0], order[2]]);
    assert.deepEqual(candidates.sticky(five, order[4], digest, 0), [order[4], order[0], order[1]]);
  });

  it('follow a change of the view, whatever was remembered of the one before', () => {
    const candidates = new Candidates(2);
    const digest = digestOf('42');
    const [owner] = candidates.sticky(five, undefined, digest, 0);
    const others = { p1: 'ready', p2: 'ready', p3: 'ready', p4: 'ready', p5: 'ready' } as const;
    const without = clusterView('p1', { ...others, [owner!]: 'draining' });
    assert.ok(!candidates.sticky(without, undefined, digest, 0).includes(owner!));
    assert.equal(candidates.sticky(five, undefined, digest, 0)[0], owner);
  });

  it('are the same for more keys than are remembered', () => {
    const remembering = new Candidates(2);
    for (let at = 0; at <= httpLimits.digestsOfCandidatesMax; at++) {
      remembering.sticky(five, undefined, String(at), 0);
    }
    for (const key of ['0', '7', String(httpLimits.digestsOfCandidatesMax)]) {
      const fresh = new Candidates(2).sticky(five, undefined, key, 0);
      assert.deepEqual(remembering.sticky(five, undefined, key, 0), fresh);
    }
  });

  describe('have, at a peer that may reach none of them, its own instance behind', () => {
    const digest = digestOf('42');
    const order = five.ring.successors(digest, 5);

    it('where a session begins with a key, unless it is among them', () => {
      for (const [at, self] of order.entries()) {
        const candidates = new Candidates(3);
        const named = order.slice(0, 3);
        const expected = at < 3 ? named : [...named, self];
        const view = { ...five, self };
        assert.deepEqual(candidates.byKey(view, digest), expected);
        assert.deepEqual(candidates.byKey(view, digest), expected, 'remembered');
      }
    });

    it('where suspect ones are passed over', () => {
      const doubts = new Map([[order[0]!, Infinity]]);
      for (const self of [order[0]!, order[4]!]) {
        const view = { ...five, self, doubts };
        const expected = [order[1], order[2], order[3], self];
        assert.deepEqual(new Candidates(3).byKey(view, digest), expected);
      }
    });

    it('where a session begins in turn', () => {
      const candidates = new Candidates(2);
      const roundRobin = { turn: 0 };
      const turns = [1, 2, 3, 4, 5, 6].map(() => candidates.next(five, roundRobin));
      assert.deepEqual(turns, [
        ['p1', 'p2'],
        ['p2', 'p3', 'p1'],
        ['p3', 'p4', 'p1'],
        ['p4', 'p5', 'p1'],
        ['p5', 'p1'],
        ['p1', 'p2'],
      ]);
    });

    it('but not where a session goes on: the own instance does not know it', () => {
      for (const self of order) {
        const candidates = new Candidates(2);
        const view = { ...five, self };
        candidates.byKey(view, digest);
        assert.deepEqual(candidates.sticky(view, undefined, digest, 0), order.slice(0, 2));
        assert.deepEqual(candidates.sticky(view, order[1], digest, 0), [order[1], order[0]]);
        assert.deepEqual(candidates.sticky(view, 'p3', '', 3), ['p3', 'p4']);
      }
    });

    it('unless that is not ready', () => {
      const others = { p1: 'ready', p2: 'ready', p3: 'ready' } as const;
      for (const status of ['joining', 'draining', 'disabled'] as const) {
        const view = clusterView('p4', { ...others, p4: status });
        const candidates = new Candidates(2);
        assert.deepEqual(candidates.byKey(view, digest), view.ring.successors(digest, 2));
        assert.deepEqual(candidates.next(view, { turn: 0 }), ['p1', 'p2']);
      }
      const stranger = { ...five, self: 'p9' };
      assert.deepEqual(new Candidates(2).next(stranger, { turn: 0 }), ['p1', 'p2']);
    });
  });

  describe('while some of them are suspect', () => {
    const digest = digestOf('42');
    const order = five.ring.successors(digest, 5);
    /** As a peer without an instance of its own sees it. */
    const suspecting = (...names: readonly string[]): ClusterView => ({
      ...five,
      self: 'p9',
      doubts: new Map(names.map((name) => [name, Infinity])),
    });

    it('are in ring order for a session that goes on, suspect or not', () => {
      const candidates = new Candidates(3);
      const view = suspecting(order[0]!);
      assert.deepEqual(candidates.sticky(view, undefined, digest, 0), order.slice(0, 3));
      assert.deepEqual(candidates.sticky(view, order[0], digest, 0), order.slice(0, 3));
    });

    it('are the others first for a session that begins with a key', () => {
      const candidates = new Candidates(3);
      const [first, second, third, fourth, fifth] = order as [string, ...string[]];
      assert.deepEqual(candidates.byKey(suspecting(), digest), [first, second, third]);
      assert.deepEqual(candidates.byKey(suspecting(first), digest), [second, third, fourth]);
      const four = suspecting(first, second!, third!, fifth!);
      assert.deepEqual(candidates.byKey(four, digest), [fourth, first, second]);
      assert.deepEqual(candidates.byKey(suspecting(...order), digest), [first, second, third]);
    });

    it('take their turn without them, and have them last', () => {
      const candidates = new Candidates(5);
      const roundRobin = { turn: 0 };
      const view = suspecting('p2', 'p4');
      const turns = [1, 2, 3, 4].map(() => candidates.next(view, roundRobin));
      assert.deepEqual(turns, [
        ['p1', 'p3', 'p5', 'p2', 'p4'],
        ['p3', 'p5', 'p1', 'p2', 'p4'],
        ['p5', 'p1', 'p3', 'p2', 'p4'],
        ['p1', 'p3', 'p5', 'p2', 'p4'],
      ]);
      const all = suspecting('p1', 'p2', 'p3', 'p4', 'p5');
      assert.deepEqual(candidates.next(all, { turn: 1 }), ['p2', 'p3', 'p4', 'p5', 'p1']);
    });
  });
});
