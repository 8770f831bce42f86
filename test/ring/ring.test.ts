import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createRing, type Ring } from '../../src/ring/index.ts';

const keys = Array.from({ length: 3000 }, (_, index) => `key-${index}`);
const named = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ name: `peer-${index + 1}`, weight: 1 }));

function owners(ring: Ring): string[] {
  return keys.map((key) => ring.owner(key) ?? '');
}

describe('createRing', () => {
  it('gives an empty ring no owner', () => {
    const ring = createRing([]);
    assert.equal(ring.owner('x'), undefined);
    assert.deepEqual(ring.successors('x', 3), []);
  });

  it('is the same for any order of the members', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(named(7), { minLength: 7 }), (shuffled) => {
        const ring = createRing(shuffled);
        const straight = createRing(named(7));
        assert.equal(ring.version, straight.version);
        assert.deepEqual(owners(ring), owners(straight));
      }),
      { numRuns: 10 },
    );
  });

  it('moves only the keys of the member that leaves', () => {
    for (const size of [2, 3, 7, 14, 28]) {
      const members = named(size);
      const before = owners(createRing(members));
      const after = owners(createRing(members.slice(1)));
      before.forEach((owner, index) => {
        if (owner !== 'peer-1') assert.equal(after[index], owner);
      });
    }
  });

  it('moves keys only to the member whose weight grows', () => {
    const before = owners(createRing(named(10)));
    const heavier = named(10).map((m) => (m.name === 'peer-3' ? { ...m, weight: 2 } : m));
    owners(createRing(heavier)).forEach((owner, index) => {
      if (owner !== before[index]) assert.equal(owner, 'peer-3');
    });
  });

  it('leaves out members of weight 0', () => {
    const ring = createRing([...named(2), { name: 'drained', weight: 0 }]);
    assert.ok(!owners(ring).includes('drained'));
    assert.equal(ring.version, createRing(named(2)).version);
  });

  it('spreads keys: none of three members holds more than 40 percent', () => {
    const count = new Map<string, number>();
    for (const owner of owners(createRing(named(3)))) count.set(owner, (count.get(owner) ?? 0) + 1);
    assert.equal(count.size, 3);
    for (const share of count.values()) assert.ok(share < keys.length * 0.4, String(share));
  });

  it('lists different successors, the owner first, the next owner second', () => {
    const ring = createRing(named(4));
    for (const key of keys.slice(0, 200)) {
      const successors = ring.successors(key, 9);
      assert.equal(new Set(successors).size, 4);
      assert.equal(successors[0], ring.owner(key));
      const without = createRing(ring.members.filter((member) => member.name !== successors[0]));
      assert.equal(without.owner(key), successors[1]);
    }
  });

  it('tells other members or weights by its version', () => {
    const versions = [named(2), named(3), named(3).map((m) => ({ ...m, weight: 2 }))].map(
      (members) => createRing(members).version,
    );
    assert.equal(new Set(versions).size, 3);
  });
});
