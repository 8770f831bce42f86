import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { membershipReport, percentile } from '../../bench/membership.ts';

describe('a percentile', () => {
  it('is the value that so many do not exceed', () => {
    const hundred = Array.from({ length: 100 }, (_, at) => 100 - at);
    assert.equal(percentile(hundred, 99), 99);
    assert.equal(percentile(hundred, 50), 50);
    assert.equal(percentile([3, 1, 2], 99), 3);
    assert.ok(Number.isNaN(percentile([], 99)));
  });
});

describe('the report on membership', () => {
  it('says of each goal whether it was met', () => {
    const text = membershipReport({
      crashesMs: [2_500, 4_501],
      leavesMs: [200, 400],
      idle: [{ name: 'peers', median: 1.001, highest: 1.5, foreignCores: 0 }],
    });
    const rows = text.split('\n');
    assert.match(
      rows.find((row) => row.includes('crash'))!,
      /\| 3501 .*\| 4501 .*missed/u,
    );
    assert.match(
      rows.find((row) => row.includes('leave'))!,
      /\| 400 .*met/u,
    );
    assert.match(
      rows.find((row) => row.includes('peers'))!,
      /1\.50.*missed/u,
    );
  });
});
