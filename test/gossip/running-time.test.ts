import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { gossipLimits } from '../../src/config/defaults.ts';
import { RunningTime } from '../../src/gossip/running-time.ts';

const late = gossipLimits.timerLateMs;

describe('running time', () => {
  it('is the outer time while no timer is late', () => {
    const time = new RunningTime(1_000);
    for (const [outer, due] of [
      [1_000, undefined],
      [1_500, 1_500],
      [1_500 + late, 1_500],
      [9_000, 9_001],
    ] as const) {
      assert.equal(time.advance(outer, due), false);
      assert.equal(time.now, outer);
      assert.ok(time.mayRunTimers);
      assert.equal(time.wakeAt(outer + 7), outer + 7);
    }
  });

  it('stands still with the process, and puts late timers off once by a grace', () => {
    const time = new RunningTime(0);
    assert.equal(time.advance(8_000, 500), true);
    assert.equal(time.now, 500 - late);
    assert.equal(time.wakeAt(500), 8_000 + late);
    assert.ok(!time.mayRunTimers);
    // The process stood still in the grace too: now the timer runs, as if in time.
    assert.equal(time.advance(9_000, 500), true);
    assert.equal(time.now, 500);
    assert.ok(time.mayRunTimers);
    time.timersRan();
    assert.equal(time.advance(9_300, 800), false);
    assert.equal(time.now, 800);
  });

  it('gives the grace also when the timer was due already before the process stood still', () => {
    const time = new RunningTime(0);
    time.advance(530, 500);
    assert.equal(time.advance(8_000, 500), true);
    assert.equal(time.now, 530);
    assert.ok(!time.mayRunTimers);
    assert.equal(time.wakeAt(500), 8_000 + late);
    assert.equal(time.advance(8_000 + late, 500), false);
    assert.ok(time.mayRunTimers);
  });

  it('survives an outer clock that goes back or leaps', () => {
    const time = new RunningTime(5_000);
    time.advance(5_400, 5_600);
    time.advance(1_000, 5_600);
    assert.equal(time.now, 5_400);
    assert.equal(time.wakeAt(5_600), 1_200);
    time.advance(3_601_000, 5_600);
    assert.equal(time.now, 5_600 - late);
  });

  it('has come to a due timer at the very time asked for, whatever is rounded', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e9, noNaN: true }),
        fc.double({ min: 0, max: 1e3, noNaN: true }),
        (start, ms) => {
          const time = new RunningTime(start);
          time.advance(start + 7_000.1, start + 0.3);
          const due = time.now + late + ms;
          time.advance(time.wakeAt(due), due);
          assert.ok(time.now >= due && time.mayRunTimers);
        },
      ),
    );
  });

  it('never goes back, hardly passes a due timer, and lets it run in the end', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -500, max: 5_000 }), { maxLength: 50 }), (steps) => {
        const time = new RunningTime(0);
        let outer = 0;
        let due = 100;
        let last = 0;
        const runs = (): boolean => time.now >= due && time.mayRunTimers;
        for (const step of steps) {
          outer += step;
          time.advance(outer, due);
          assert.ok(time.now >= last);
          assert.ok(time.now <= due + 3 * late);
          last = time.now;
          if (!runs()) continue;
          due = time.now + 100;
          time.timersRan();
        }
        // Waking when asked, and however late, once or twice is enough.
        for (let i = 0; i < 2 && !runs(); i++) time.advance(time.wakeAt(due) + 70, due);
        assert.ok(runs());
      }),
    );
  });
});
