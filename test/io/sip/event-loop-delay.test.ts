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
  #usedMs = 0;

  constructor(t: TestContext, eventLoopDelayMs = limitMs) {
    mock.timers.enable({ apis: ['setInterval'] });
    t.after(() => {
      this.delay.stop();
      mock.timers.reset();
    });
    const clock = {
      nowMs: () => this.#nowMs,
      idleMs: () => this.#idleMs,
      usedMs: () => this.#usedMs,
    };
    this.delay = new EventLoopDelay({ eventLoopDelayMs }, clock);
    this.delay.start();
  }

  /** The timer comes so late, after so much rest; other programs had the processor for `stolenMs`. */
  sample(lateMs: number, idleMs = 50, stolenMs = 0): boolean {
    const elapsedMs = sampleIntervalMs + lateMs;
    this.#nowMs += elapsedMs;
    this.#idleMs += idleMs;
    this.#usedMs += elapsedMs - stolenMs;
    mock.timers.tick(sampleIntervalMs);
    return this.delay.isOverloaded;
  }

  samples(count: number, lateMs: number, idleMs?: number, stolenMs?: number): boolean[] {
    return Array.from({ length: count }, () => this.sample(lateMs, idleMs, stolenMs));
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

  it('is not overloaded by the time that other programs take', (t) => {
    const loop = new Loop(t);
    const paused = Array.from({ length: 50 }, () => loop.sample(10_000, 0, 10_100 - 15));
    assert.ok(!paused.includes(true), 'late, but with little work of its own');
    const shared = Array.from({ length: 50 }, () => loop.sample(900, 20, 600));
    assert.ok(!shared.includes(true), 'a turn of 400 ms that took a second');
    assert.deepEqual([loop.sample(900, 20, 400), loop.sample(900, 20, 400)], [false, true]);
  });

  it('that never rests is overloaded on a part of a processor, too, only later', (t) => {
    const loop = new Loop(t);
    const allowed = (limitMs * busyFactor) / sampleIntervalMs;
    const half = sampleIntervalMs / 2;
    assert.ok(!loop.samples(2 * allowed, 0, 0, half).includes(true));
    assert.deepEqual(loop.samples(2, 0, 0, half), [false, true]);
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
  /** Turns of the loop, each of which the step holds up, until it is overloaded. */
  async function turns(t: TestContext, count: number, step: () => void): Promise<boolean> {
    const delay = new EventLoopDelay({ eventLoopDelayMs: 20 });
    delay.start();
    t.after(() => {
      delay.stop();
    });
    // A timer that was due while the loop was blocked fires when it is free again.
    for (let turn = 0; turn < count && !delay.isOverloaded; turn++) {
      step();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return delay.isOverloaded;
  }

  function usedMs(): number {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1_000;
  }

  it('is measured: at work for longer than the limit, twice, it is overloaded', async (t) => {
    const isOverloaded = await turns(t, 20, () => {
      const end = usedMs() + sampleIntervalMs + 60;
      while (usedMs() < end);
    });
    assert.equal(isOverloaded, true);
  });

  it('is not overloaded while it is kept from its work', async (t) => {
    const isOverloaded = await turns(t, 5, () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, sampleIntervalMs + 60);
    });
    assert.equal(isOverloaded, false);
  });
});
