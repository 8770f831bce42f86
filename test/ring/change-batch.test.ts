import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ringChangeLimits } from '../../src/config/defaults.ts';
import { ChangeBatch, type ChangeKind } from '../../src/ring/index.ts';

const { quietMs, waitMsMax } = ringChangeLimits;

describe('ChangeBatch', () => {
  it('has nothing to take before anything changes', () => {
    assert.equal(new ChangeBatch().dueMs, Infinity);
  });

  it('waits until nothing more comes', () => {
    const batch = new ChangeBatch();
    batch.add('other', 1_000);
    batch.add('other', 1_050);
    assert.equal(batch.dueMs, 1_050 + quietMs);
    batch.taken(1_050 + quietMs);
    assert.equal(batch.dueMs, Infinity);
  });

  it('waits no longer than its limit, however much comes', () => {
    const batch = new ChangeBatch();
    for (let atMs = 0; atMs <= waitMsMax; atMs += quietMs / 2) batch.add('other', atMs);
    assert.equal(batch.dueMs, waitMsMax);
  });

  it('lets a departure act at once, and the next ones together after the quiet time', () => {
    const batch = new ChangeBatch();
    batch.add('departure', 5_000);
    assert.equal(batch.dueMs, 5_000);
    batch.taken(5_000);
    batch.add('departure', 5_010);
    batch.add('departure', 5_020);
    assert.equal(batch.dueMs, 5_000 + quietMs);
    batch.taken(5_000 + quietMs);
    batch.add('departure', 9_000);
    assert.equal(batch.dueMs, 9_000);
  });

  it('takes with a departure what waits beside it', () => {
    const batch = new ChangeBatch();
    batch.add('other', 1_000);
    batch.add('departure', 1_001);
    assert.equal(batch.dueMs, 1_001);
    batch.taken(1_001);
    assert.equal(batch.dueMs, Infinity);
  });

  it('forgets a change that was undone', () => {
    const batch = new ChangeBatch();
    batch.add('other', 1_000);
    batch.clear();
    assert.equal(batch.dueMs, Infinity);
  });

  it('makes no more rings than the quiet time allows, and leaves no change waiting too long', () => {
    const change = fc.record({
      afterMs: fc.integer({ min: 0, max: 200 }),
      kind: fc.constantFrom<ChangeKind>('departure', 'other'),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 60 }), (changes) => {
        const batch = new ChangeBatch();
        const takenAt: number[] = [];
        let waitingSince = Infinity;
        let nowMs = 0;
        const take = (untilMs: number): void => {
          if (batch.dueMs === Infinity || batch.dueMs > untilMs) return;
          const dueMs = batch.dueMs;
          assert.ok(dueMs - waitingSince <= waitMsMax);
          batch.taken(dueMs);
          waitingSince = Infinity;
          takenAt.push(dueMs);
        };
        for (const { afterMs, kind } of changes) {
          take(nowMs + afterMs);
          nowMs += afterMs;
          batch.add(kind, nowMs);
          waitingSince = Math.min(waitingSince, nowMs);
          take(nowMs);
        }
        take(Infinity);
        takenAt.slice(1).forEach((atMs, at) => assert.ok(atMs - takenAt[at]! >= quietMs));
        assert.equal(batch.dueMs, Infinity);
      }),
    );
  });
});
