import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createRing, RampUp, type Ring, type RingMember } from '../../src/ring/index.ts';

const keys = Array.from({ length: 300 }, (_, index) => `key-${index}`);

const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,20}$/);
/** Small ones beside ordinary ones, and what a share makes of them. */
const weight = fc.oneof(
  fc.constantFrom(0.1, 0.25, 0.5, 1, 1, 2, 3),
  fc.integer({ min: 10, max: 300 }).map((percent) => percent / 100),
);
const member: fc.Arbitrary<RingMember> = fc.record({ name, weight });

function members(minLength: number): fc.Arbitrary<RingMember[]> {
  // Objects put keys that are numbers first: such names are among these, too.
  return fc.uniqueArray(member, { minLength, maxLength: 7, selector: (each) => each.name });
}

function owners(ring: Ring): (string | undefined)[] {
  return keys.map((key) => ring.owner(key));
}

/** Keys whose owner changed, each with both owners. */
function moved(before: Ring, after: Ring): { from: string | undefined; to: string | undefined }[] {
  const now = owners(after);
  return owners(before)
    .map((from, index) => ({ from, to: now[index] }))
    .filter(({ from, to }) => from !== to);
}

describe('Rings of any members', () => {
  it('are equal where the members are, in any order', () => {
    const shuffled = members(1).chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })),
    );
    fc.assert(
      fc.property(shuffled, ([straight, other]) => {
        const [a, b] = [createRing(straight), createRing(other)];
        assert.equal(a.version, b.version);
        assert.deepEqual(owners(a), owners(b));
        for (const key of keys.slice(0, 20)) {
          assert.deepEqual(a.successors(key, 3), b.successors(key, 3));
        }
      }),
      { numRuns: 50 },
    );
  });

  it('differ by the keys of the one member that one has and the other has not', () => {
    fc.assert(
      fc.property(members(2), ([one, ...others]) => {
        for (const { from, to } of moved(createRing([one!, ...others]), createRing(others))) {
          assert.equal(from, one!.name);
          assert.notEqual(to, one!.name);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('go on to the next of the owner’s successors without it', () => {
    fc.assert(
      fc.property(members(2), fc.constantFrom(...keys), (all, key) => {
        const [first, ...others] = createRing(all).successors(key, all.length);
        const without = createRing(all.filter((each) => each.name !== first));
        assert.deepEqual(without.successors(key, all.length), others);
      }),
      { numRuns: 50 },
    );
  });

  it('move keys only to a member whose weight grows, and only away from one whose weight shrinks', () => {
    fc.assert(
      fc.property(members(2), weight, ([one, ...others], changed) => {
        const before = createRing([one!, ...others]);
        const after = createRing([{ ...one!, weight: changed }, ...others]);
        for (const { from, to } of moved(before, after)) {
          assert.equal(changed > one!.weight ? to : from, one!.name);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('give a member that ramps up more keys with each step, and take none from it', () => {
    const settings = fc.record({
      loadIncreaseFactor: fc.constantFrom(0.1, 0.25, 0.4),
      periodMs: fc.constantFrom(1_000, 60_000),
    });
    fc.assert(
      fc.property(members(2), settings, ([one, ...others], given) => {
        const rampUp = new RampUp(given);
        rampUp.begin(0);
        let before = createRing(others);
        for (let nowMs = 0; nowMs < Infinity; nowMs = rampUp.nextMs(nowMs)) {
          const after = createRing([
            { ...one!, weight: one!.weight * rampUp.share(nowMs) },
            ...others,
          ]);
          assert.ok(moved(before, after).every(({ to }) => to === one!.name));
          before = after;
        }
        assert.equal(before.version, createRing([one!, ...others]).version);
      }),
      { numRuns: 20 },
    );
  });
});
