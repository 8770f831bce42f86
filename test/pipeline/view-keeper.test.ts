import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ringChangeLimits, transactionLimits } from '../../src/config/defaults.ts';
import type { Member } from '../../src/gossip/index.ts';
import { ViewKeeper } from '../../src/pipeline/view-keeper.ts';
import { announcementTags, type Announcement } from '../../src/pipeline/view.ts';

const { quietMs, waitMsMax } = ringChangeLimits;

function member(
  name: string,
  overrides: Partial<Announcement> = {},
  state: Member['state'] = 'alive',
): Member {
  const tags = announcementTags({
    epoch: 1,
    status: 'ready',
    weight: 1,
    link: `${name}:7947`,
    sipInternal: `${name}:5090`,
    sipTransport: 'UDP',
    applications: [],
    ...overrides,
  });
  return { name, state, tags, address: '10.0.0.1', port: 7946, incarnation: 1 };
}

/** Peer `a`, ready, with others. */
function keeperOf(...others: readonly Member[]): ViewKeeper {
  const keeper = new ViewKeeper('a', 0);
  keeper.membersChanged([member('a'), ...others], 0);
  return keeper;
}

function ringOf({ view }: ViewKeeper): readonly string[] {
  return view.ring.members.map(({ name }) => name);
}

describe('ViewKeeper', () => {
  it('puts the first instances on the ring at once', () => {
    const keeper = new ViewKeeper('a', 0);
    assert.deepEqual(ringOf(keeper), []);
    keeper.membersChanged([member('a', { status: 'joining' }), member('b'), member('c')], 0);
    assert.deepEqual(ringOf(keeper), ['b', 'c']);
    assert.equal(keeper.dueMs, Infinity);
  });

  it('shows who comes at once, and puts them on the ring together', () => {
    const keeper = keeperOf(member('b'));
    const { ring, unsettledUntilMs } = keeper.view;
    keeper.membersChanged([member('a'), member('b'), member('c')], 1_000);
    keeper.membersChanged([member('a'), member('b'), member('c'), member('d')], 1_050);
    assert.deepEqual([...keeper.view.instances.keys()], ['a', 'b', 'c', 'd']);
    assert.equal(keeper.view.ring, ring);
    assert.equal(keeper.view.unsettledUntilMs, unsettledUntilMs);
    assert.equal(keeper.dueMs, 1_050 + quietMs);
    keeper.catchUp(keeper.dueMs);
    assert.deepEqual(ringOf(keeper), ['a', 'b', 'c', 'd']);
    assert.equal(keeper.view.pastRings[0]?.ring, ring);
    assert.equal(keeper.view.unsettledUntilMs, 1_050 + quietMs + transactionLimits.timeoutMs);
    assert.equal(keeper.dueMs, Infinity);
  });

  it('waits no longer for news that changes nothing on the ring', () => {
    const keeper = keeperOf(member('b'));
    keeper.membersChanged([member('a'), member('b'), member('c')], 1_000);
    keeper.membersChanged(
      [member('a'), member('b', {}, 'suspect'), member('c'), member('d', { status: 'joining' })],
      1_000 + quietMs / 2,
    );
    assert.equal(keeper.dueMs, 1_000 + quietMs);
    assert.equal(keeper.view.doubts.get('b'), Infinity);
  });

  it('takes who is gone off the ring at once', () => {
    for (const gone of [
      [],
      [member('b', {}, 'dead')],
      [member('b', {}, 'left')],
      [member('b', { status: 'draining' })],
      [member('b', { status: 'disabled' })],
    ]) {
      const keeper = keeperOf(member('b'), member('c'));
      keeper.membersChanged([member('a'), member('c'), ...gone], 1_000);
      assert.deepEqual(ringOf(keeper), ['a', 'c']);
    }
  });

  it('makes one ring for many that go at the same time', () => {
    const others = ['b', 'c', 'd', 'e'].map((name) => member(name));
    const keeper = keeperOf(...others);
    for (let gone = 1; gone <= 4; gone++) {
      keeper.membersChanged([member('a'), ...others.slice(gone)], 1_000 + gone);
      // Whoever is gone gets nothing meanwhile: it is no instance any more.
      assert.equal(keeper.view.instances.size, 5 - gone);
    }
    assert.deepEqual(ringOf(keeper), ['a', 'c', 'd', 'e']);
    assert.equal(keeper.dueMs, 1_001 + quietMs);
    keeper.catchUp(keeper.dueMs);
    assert.deepEqual(ringOf(keeper), ['a']);
  });

  it('lets nothing wait that this peer says of itself', () => {
    const keeper = keeperOf(member('b'));
    const steps: Partial<Announcement>[] = [
      { weight: 2 },
      { share: 0.5 },
      { status: 'draining' },
      { status: 'ready' },
    ];
    for (const [at, step] of steps.entries()) {
      keeper.membersChanged([member('a', step), member('b')], at);
      const { weight = 1, share = 1, status = 'ready' } = step;
      const own = keeper.view.ring.members.find(({ name }) => name === 'a');
      assert.equal(own?.weight, status === 'ready' ? weight * share : undefined);
    }
  });

  it('forgets a change that was undone before the ring followed', () => {
    const keeper = keeperOf(member('b'));
    const { ring, pastRings } = keeper.view;
    keeper.membersChanged([member('a'), member('b', { weight: 2 })], 1_000);
    keeper.membersChanged([member('a'), member('b')], 1_010);
    assert.equal(keeper.dueMs, Infinity);
    assert.equal(keeper.view.ring, ring);
    assert.equal(keeper.view.pastRings, pastRings);
  });

  it('makes at most eight rings of thirty joins within a second', () => {
    const keeper = keeperOf();
    const known = [member('a')];
    const rings = new Set([keeper.view.ring]);
    for (let nowMs = 1; nowMs <= 1_000 + waitMsMax; nowMs++) {
      if (nowMs <= 1_000 && nowMs % 33 === 0) {
        known.push(member(`p${nowMs}`));
        keeper.membersChanged([...known], nowMs);
      }
      if (keeper.dueMs <= nowMs) keeper.catchUp(nowMs);
      rings.add(keeper.view.ring);
    }
    assert.equal(ringOf(keeper).length, 31);
    assert.ok(rings.size - 1 <= 8, `${rings.size - 1} rings were made`);
  });

  it('is unsettled when others decide by a ring that it does not know, and tells it anew each second', () => {
    const keeper = keeperOf(member('b'));
    const { timeoutMs } = transactionLimits;
    keeper.otherRingSeen(60_000);
    const { view } = keeper;
    assert.equal(view.unsettledUntilMs, 60_000 + timeoutMs);
    keeper.otherRingSeen(60_000 + ringChangeLimits.otherRingMs);
    assert.equal(keeper.view, view);
    keeper.otherRingSeen(60_001 + ringChangeLimits.otherRingMs);
    assert.equal(keeper.view.unsettledUntilMs, 60_001 + ringChangeLimits.otherRingMs + timeoutMs);
    assert.equal(keeper.view.ring, view.ring);
  });

  it('is unsettled when the rules were replaced', () => {
    const keeper = keeperOf(member('b'));
    keeper.unsettle(1_000);
    assert.equal(keeper.view.unsettledUntilMs, 1_000 + transactionLimits.timeoutMs);
  });
});
