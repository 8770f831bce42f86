import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { rampUpLimits } from '../../src/config/defaults.ts';
import { joinsRunningCluster, RampUp } from '../../src/ring/index.ts';

const tenths = { loadIncreaseFactor: 0.1, periodMs: 60_000 };

/** Shares as they are told, each with its time. */
function told(settings: typeof tenths, beginMs: number): [atMs: number, share: number][] {
  const rampUp = new RampUp(settings);
  rampUp.begin(beginMs);
  const shares: [number, number][] = [];
  for (let nowMs = beginMs; nowMs < Infinity; nowMs = rampUp.nextMs(nowMs)) {
    shares.push([nowMs, rampUp.share(nowMs)]);
  }
  return shares;
}

describe('RampUp', () => {
  it('gives a part at first, and as much more each period until it is whole', () => {
    const shares = told(tenths, 5_000);
    assert.deepEqual(
      shares,
      Array.from({ length: 10 }, (_, step) => [5_000 + step * 60_000, (step + 1) / 10]),
    );
  });

  it('is whole at once where it has no period, a factor of 1, has not begun or has ended', () => {
    for (const settings of [
      { loadIncreaseFactor: 0.1, periodMs: 0 },
      { loadIncreaseFactor: 1, periodMs: 60_000 },
    ]) {
      assert.deepEqual(told(settings, 5), [[5, 1]]);
    }
    const rampUp = new RampUp(tenths);
    assert.deepEqual([rampUp.share(0), rampUp.nextMs(0)], [1, Infinity]);
    rampUp.begin(0);
    assert.equal(rampUp.share(1), 0.1);
    rampUp.end();
    assert.deepEqual([rampUp.share(1), rampUp.nextMs(1)], [1, Infinity]);
  });

  it('begins anew each time', () => {
    const rampUp = new RampUp(tenths);
    rampUp.begin(0);
    assert.equal(rampUp.share(300_000), 0.6);
    rampUp.begin(300_000);
    assert.equal(rampUp.share(300_000), 0.1);
  });

  it('is told in growing steps, none sooner than the limit allows, and ends whole', () => {
    const settings = fc.record({
      loadIncreaseFactor: fc.integer({ min: 1, max: 100 }).map((percent) => percent / 100),
      periodMs: fc.integer({ min: 1, max: 100_000 }),
    });
    fc.assert(
      fc.property(settings, fc.integer({ min: 0, max: 1e9 }), (given, beginMs) => {
        const shares = told(given, beginMs);
        assert.equal(shares[0]![1], given.loadIncreaseFactor);
        assert.equal(shares.at(-1)![1], 1);
        shares.slice(1).forEach(([atMs, share], before) => {
          assert.ok(share > shares[before]![1]);
          assert.ok(atMs - shares[before]![0] >= rampUpLimits.stepMsMin);
        });
      }),
    );
  });
});

describe('joinsRunningCluster', () => {
  it('tells a cluster that runs from one that starts together', () => {
    const moment = rampUpLimits.togetherMs / 1_000;
    assert.equal(joinsRunningCluster([], 1_000), false);
    assert.equal(joinsRunningCluster([1_000 - moment, 990, 1_005], 1_000), false);
    assert.equal(joinsRunningCluster([990, 1_000 - moment - 1], 1_000), true);
  });
});
