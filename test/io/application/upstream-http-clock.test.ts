import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { UpstreamHttpClock } from '../../../src/io/application/upstream-http-clock.ts';

const timeouts = { connectMs: 1, queueMs: 100, responseMs: 20, bodyMs: 30, idleMs: 40 };

describe("the clock of a connection to an application's server", () => {
  it('gives each activity its time, and a tunnel all there is', () => {
    let nowMs = 1_000;
    const clock = new UpstreamHttpClock(timeouts, { nowMs: () => nowMs });
    for (const [activity, timeMs] of [
      ['connect', 1],
      ['response', 20],
      ['body', 30],
      ['idle', 40],
    ] as const) {
      if (activity !== 'connect') clock.wait(activity);
      assert.equal(clock.activity, activity);
      nowMs += timeMs - 1;
      assert.equal(clock.isOver, false, activity);
      nowMs += 1;
      assert.equal(clock.isOver, true, activity);
    }
    clock.wait('tunnel');
    nowMs = Number.MAX_SAFE_INTEGER;
    assert.equal(clock.isOver, false);
  });

  it('begins the time of the same activity anew when something moved', () => {
    let nowMs = 0;
    const clock = new UpstreamHttpClock(timeouts, { nowMs: () => nowMs });
    clock.wait('body');
    nowMs = 29;
    clock.restart();
    nowMs = 58;
    assert.equal(clock.isOver, false);
    nowMs = 59;
    assert.equal(clock.isOver, true);
    assert.equal(clock.activity, 'body');
  });
});
