import assert from 'node:assert/strict';
import { describe, it, mock, type TestContext } from 'node:test';
import { eventLoopLimits } from '../../../src/config/defaults.ts';
import { EventLoopDelay } from '../../../src/io/sip/event-loop-delay.ts';

const limitMs = 500;
const { sampleIntervalMs, samplesToEnter, samplesToLeave, busyFactor } = eventLoopLimits;

/** A loop whose turns last as long as the test says; each sample is one step. */
class Loop {
  readonly delay: EventLoopDelay;
  #nowMs = 0;
  #idleMs = 0;

  constructor(t: TestContext, eventLoopDelayMs = limitMs) {
    mock.timers.enable({ apis: ['setInterval'] });
    t.after(() => {
      this.delay.stop();
      mock.timers.reset();
    });
    const clock = {
      nowMs: () => this.#nowMs,
      idleMs: () => this.#idleMs,
    };
    this.delay = new EventLoopDelay({ eventLoopDelayMs }, clock);
    this.delay.start();
  }

  /** The timer comes so late, after so much rest. */
  sample(lateMs: number, idleMs = 50): boolean {
    this.#nowMs += sampleIntervalMs + lateMs;
    this.#idleMs += idleMs;
    mock.timers.tick(sampleIntervalMs);
    return this.delay.isOverloaded;
  }

  samples(count: number, lateMs: number, idleMs?: number): boolean[] {
    return Array.from({ length: count }, () => this.sample(lateMs, idleMs));
  }
}

describe('an event loop', () => {
  it('that is late once was held up, that is late twice in a row is overloaded', (t) => {
    const loop = new Loop(t);
    assert.equal(samplesToEnter, 2);
    assert.deepEqual(loop.samples(1, 10_000), [false]);
    assert.deepEqual(loop.samples(1, 0), [false]);
    assert.deepEqual(loop.samples(2, limitMs + 1), [false, true]);
  });

  it('may be as late as the limit', (t) => {
    const loop = new Loop(t);
    assert.ok(!loop.samples(50, limitMs).includes(true));
  });

  it('is overloaded until it was calm for a while, below half the limit', (t) => {
    const loop = new Loop(t);
    loop.samples(samplesToEnter, limitMs + 1);
    assert.ok(!loop.samples(50, limitMs / 2 + 1).includes(false), 'half calm is not calm');
    assert.ok(!loop.samples(samplesToLeave - 1, 0).includes(false));
    assert.equal(loop.sample(limitMs), true, 'calm was broken off');
    assert.ok(!loop.samples(samplesToLeave - 1, 0).includes(false));
    assert.equal(loop.sample(0), false);
  });

  it('does not flap between the limit and its half', (t) => {
    const loop = new Loop(t);
    const states = Array.from({ length: 200 }, (_, at) => loop.sample(at % 2 === 0 ? 501 : 300));
    assert.ok(!states.includes(true));
    loop.samples(samplesToEnter, limitMs + 1);
    const later = Array.from({ length: 200 }, (_, at) => loop.sample(at % 2 === 0 ? 501 : 100));
    assert.ok(!later.includes(false));
  });

  it('that is never late but never rests is overloaded as well', (t) => {
    const loop = new Loop(t);
    const allowed = (limitMs * busyFactor) / sampleIntervalMs;
    assert.ok(!loop.samples(allowed, 0, 0).includes(true));
    assert.deepEqual(loop.samples(2, 0, 0), [false, true]);
    assert.ok(!loop.samples(samplesToLeave - 1, 0, 50).includes(false));
    assert.equal(loop.sample(0, 50), false);
  });

  it('that rests now and then is not', (t) => {
    const loop = new Loop(t);
    const states = Array.from({ length: 500 }, (_, at) => loop.sample(0, at % 10 === 0 ? 5 : 0));
    assert.ok(!states.includes(true));
  });

  it('is never overloaded with the limit 0, nor after it was stopped', (t) => {
    const never = new Loop(t, 0);
    assert.ok(!never.samples(50, 10_000, 0).includes(true));
    mock.timers.reset();
    const loop = new Loop(t);
    assert.ok(loop.samples(samplesToEnter, 10_000).includes(true));
    loop.delay.stop();
    assert.equal(loop.delay.isOverloaded, false);
    assert.ok(!loop.samples(50, 10_000).includes(true));
  });
});

describe('the event loop of this process', () => {
  it('is measured: blocked for longer than the limit, twice, it is overloaded', async (t) => {
    const delay = new EventLoopDelay({ eventLoopDelayMs: 20 });
    delay.start();
    t.after(() => {
      delay.stop();
    });
    // A timer that was due while the loop was blocked fires when it is free again.
    for (let turn = 0; turn < 20 && !delay.isOverloaded; turn++) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, sampleIntervalMs + 60);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(delay.isOverloaded, true);
  });
});
