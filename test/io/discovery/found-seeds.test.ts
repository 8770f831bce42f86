import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { discoveryLimits } from '../../../src/config/defaults.ts';
import { FoundSeeds } from '../../../src/io/discovery/found-seeds.ts';
import { seededRandom } from '../../support/gossip-network.ts';
import { seedAt } from './contract.ts';

const { seedsMax, seedRememberedMs } = discoveryLimits;
const [dns, etcd] = [{}, {}];

function seedsFrom(first: number, count: number) {
  return Array.from({ length: count }, (_, at) => seedAt(first + at));
}

describe('found seeds', () => {
  it('of all sources are put together, each once', () => {
    const found = new FoundSeeds(seededRandom(1));
    found.take(dns, [seedAt(1), seedAt(2)], 0);
    found.take(etcd, [seedAt(2), seedAt(3)], 1);
    assert.deepEqual(new Set(found.list()), new Set([seedAt(1), seedAt(2), seedAt(3)]));
    assert.equal(found.list().length, 3);
  });

  it('that a source lists no more stay for a while, in case it was emptied', () => {
    const found = new FoundSeeds(seededRandom(1));
    found.take(etcd, [seedAt(1)], 0);
    found.take(etcd, [], seedRememberedMs);
    assert.deepEqual(found.list(), [seedAt(1)]);
    found.take(etcd, [], seedRememberedMs + 1);
    assert.deepEqual(found.list(), []);
  });

  it('of a source that says nothing stay, whatever others say', () => {
    const found = new FoundSeeds(seededRandom(1));
    found.take(etcd, [seedAt(1)], 0);
    found.take(dns, [seedAt(2)], 100 * seedRememberedMs);
    assert.deepEqual(found.list(), [seedAt(2), seedAt(1)]);
  });

  it('seen last go first, so that old ones give way at the limit', () => {
    const found = new FoundSeeds(seededRandom(1));
    found.take(etcd, seedsFrom(1_000, seedsMax), 0);
    found.take(etcd, seedsFrom(2_000, seedsMax - 1), 1);
    const list = found.list();
    assert.equal(list.length, seedsMax);
    assert.deepEqual(new Set(list.slice(0, -1)), new Set(seedsFrom(2_000, seedsMax - 1)));
    assert.ok(seedsFrom(1_000, seedsMax).some((seed) => seed.host === list.at(-1)!.host));
  });

  it('seen at one time come in an order of chance, so that peers do not all try the same', () => {
    const orders = [1, 2, 3].map((seed) => {
      const found = new FoundSeeds(seededRandom(seed));
      found.take(etcd, seedsFrom(1, 50), 0);
      return found.list().map(({ host }) => host);
    });
    assert.equal(new Set(orders.map((order) => order.join())).size, 3);
    assert.equal(new Set(orders.map((order) => order.toSorted().join())).size, 1);
  });

  it('never are more than the limit, and always hold the newest list', () => {
    const list = fc.array(fc.integer({ min: 0, max: 999 }), { maxLength: 300 });
    fc.assert(
      fc.property(fc.array(list, { maxLength: 8 }), fc.integer(), (lists, seed) => {
        const found = new FoundSeeds(seededRandom(seed));
        for (const [at, numbers] of lists.entries()) {
          const seeds = numbers.map(seedAt);
          found.take(at % 2 === 0 ? dns : etcd, seeds, at);
          const listed = new Set(found.list().map(({ host }) => host));
          const wanted = new Set(seeds.map(({ host }) => host));
          assert.ok(found.list().length <= seedsMax);
          const held = [...wanted].filter((host) => listed.has(host)).length;
          assert.equal(held, Math.min(wanted.size, seedsMax));
        }
      }),
    );
  });
});
