import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { admissionLimits } from '../../src/config/defaults.ts';
import { SourceBuckets } from '../../src/pipeline/source-buckets.ts';

function buckets(changes: Partial<ConstructorParameters<typeof SourceBuckets>[0]> = {}, most = 8) {
  return new SourceBuckets({ requestsPerSecond: 10, burst: 3, allow: [], ...changes }, most);
}

/** How many of so many requests at one time are taken. */
function taken(from: SourceBuckets, address: string, nowMs: number, count = 100): number {
  return Array.from({ length: count }, () => from.take(address, nowMs)).filter(Boolean).length;
}

describe('the bucket of a source', () => {
  it('gives its burst, then its rate, and never more than the burst', () => {
    const all = buckets();
    assert.equal(taken(all, '192.0.2.1', 0), 3);
    assert.equal(taken(all, '192.0.2.1', 99), 0);
    assert.equal(taken(all, '192.0.2.1', 200), 2);
    assert.equal(taken(all, '192.0.2.1', 3_600_000), 3);
  });

  it('is its own', () => {
    const all = buckets();
    assert.equal(taken(all, '192.0.2.1', 0), 3);
    assert.equal(taken(all, '192.0.2.2', 0), 3);
    assert.equal(taken(all, '192.0.2.1', 0), 0);
  });

  it('never gives more than burst and rate together, whatever the times', () => {
    const steps = fc.array(fc.integer({ min: 0, max: 500 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(
        steps,
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 50 }),
        (waits, requestsPerSecond, burst) => {
          const all = buckets({ requestsPerSecond, burst });
          let nowMs = 0;
          let count = 0;
          for (const wait of waits) {
            nowMs += wait;
            if (all.take('192.0.2.1', nowMs)) count++;
            assert.ok(count <= burst + (nowMs * requestsPerSecond) / 1_000 + 1e-6);
          }
        },
      ),
      { seed: 11 },
    );
  });

  it('is shared by the addresses of an IPv6 /64, and by no others', () => {
    const all = buckets();
    const given = Array.from({ length: 20 }, (_, at) => all.take(`2001:db8:0:1::${at + 1}`, 0));
    assert.equal(given.filter(Boolean).length, 3);
    assert.equal(taken(all, '2001:db8:0:2::1', 0), 3);
  });

  it('has no bottom for addresses and networks that are allowed', () => {
    const all = buckets({ allow: ['10.0.0.0/8', '2001:db8:0:1::7'] });
    assert.equal(taken(all, '10.255.0.1', 0), 100);
    assert.equal(taken(all, '2001:db8:0:1::7', 0), 100);
    assert.equal(taken(all, '2001:db8:0:1::8', 0), 3);
  });

  it('exists for a source that is no IP address, too', () => {
    assert.equal(taken(buckets(), 'somewhere', 0), 3);
  });
});

describe('the number of sources remembered', () => {
  it('is bounded: one that two generations of others displaced is new again', () => {
    const all = buckets({}, 8);
    assert.equal(taken(all, '192.0.2.1', 0), 3);
    for (let at = 0; at < 20; at++) all.take(`198.51.100.${at}`, 0);
    assert.equal(taken(all, '192.0.2.1', 0), 3);
  });

  it('does not lose a source that goes on sending', () => {
    const all = buckets({}, 8);
    assert.equal(taken(all, '192.0.2.1', 0), 3);
    for (let at = 0; at < 200; at++) {
      all.take(`198.51.100.${at}`, 0);
      assert.equal(all.take('192.0.2.1', 0), false);
    }
  });

  it('is not used up by the addresses of one IPv6 network: their bucket stays empty', () => {
    const all = buckets({}, 8);
    const given = Array.from({ length: 200 }, (_, at) =>
      all.take(`2001:db8::${at.toString(16)}`, 0),
    );
    assert.equal(given.filter(Boolean).length, 3);
  });

  it(`is ${admissionLimits.sourcesRemembered} a generation by default`, () => {
    const all = new SourceBuckets({ requestsPerSecond: 1, burst: 1, allow: [] });
    assert.ok(all.take('192.0.2.1', 0));
    const most = admissionLimits.sourcesRemembered;
    const other = (at: number): string => `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`;
    for (let at = 0; at < most - 1; at++) all.take(other(at), 0);
    assert.ok(!all.take('192.0.2.1', 0), 'forgotten within one generation');
    for (let at = most; at < 3 * most + 1; at++) all.take(other(at), 0);
    assert.ok(all.take('192.0.2.1', 0), 'remembered beyond two generations');
  });
});
