import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { MemberRecord } from '../../src/gossip/member.ts';
import { Rotation } from '../../src/gossip/rotation.ts';
import { seededRandom } from '../support/seeded-random.ts';

function rotation(members: number, seed: number): Rotation {
  const made = new Rotation(seededRandom(seed));
  for (let i = 0; i < members; i++) made.add({ name: `m${i}` } as MemberRecord);
  return made;
}

describe('members in turn', () => {
  it('come up once each before any comes up again', () => {
    const turns = rotation(20, 1);
    for (let round = 0; round < 3; round++) {
      const names = Array.from({ length: 20 }, () => turns.next(() => true)?.name);
      assert.equal(new Set(names).size, 20);
    }
  });

  it('give one that fits whenever there is one, however many do not', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.nat(), (members, seed) => {
        const turns = rotation(members, seed);
        for (let i = 0; i < 20; i++) {
          assert.equal(turns.next(({ name }) => name === 'm0')?.name, 'm0');
        }
        assert.equal(
          turns.next(() => false),
          undefined,
        );
      }),
    );
  });
});
