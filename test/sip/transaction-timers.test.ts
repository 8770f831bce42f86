import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { TransactionTimers, type Timed } from '../../src/sip/transaction-timers.ts';

function item(): Timed {
  return { dueAt: Infinity, queueIndex: -1 };
}

describe('the timer queue', () => {
  it('gives what is due, earliest first, and keeps the rest', () => {
    const timers = new TransactionTimers();
    const [first, second, third] = [item(), item(), item()];
    timers.schedule(third, 30);
    timers.schedule(first, 10);
    timers.schedule(second, 20);
    assert.equal(timers.nextDueAt, 10);
    assert.equal(timers.takeDue(20), first);
    assert.equal(timers.takeDue(20), second);
    assert.equal(timers.takeDue(20), undefined);
    assert.equal(timers.size, 1);
  });

  it('moves an item whose time changes and forgets one that is never due', () => {
    const timers = new TransactionTimers();
    const [early, late] = [item(), item()];
    timers.schedule(early, 10);
    timers.schedule(late, 20);
    timers.schedule(early, 30);
    assert.equal(timers.nextDueAt, 20);
    timers.schedule(late, Infinity);
    assert.equal(timers.takeDue(100), early);
    assert.equal(timers.size, 0);
    assert.equal(timers.nextDueAt, Infinity);
  });

  it('agrees with a sorted list for any order of changes', () => {
    const change = fc.tuple(fc.nat(15), fc.option(fc.nat(100), { nil: undefined }));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 200 }), (changes) => {
        const timers = new TransactionTimers();
        const items = Array.from({ length: 16 }, item);
        for (const [index, dueAt] of changes) {
          timers.schedule(items[index]!, dueAt ?? Infinity);
        }
        const expected = items.map(({ dueAt }) => dueAt).filter((dueAt) => dueAt !== Infinity);
        assert.equal(timers.size, expected.length);
        const taken: number[] = [];
        while (timers.size > 0) {
          const dueAt = timers.nextDueAt;
          taken.push(dueAt);
          assert.ok(timers.takeDue(dueAt));
        }
        assert.deepEqual(
          taken,
          expected.toSorted((a, b) => a - b),
        );
      }),
    );
  });
});
