import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { httpLimits, httpTimeouts } from '../../../src/config/defaults.ts';
import { ConnectionClock } from '../../../src/io/http/connection-clock.ts';
import type { ListenerContext } from '../../../src/io/http/listener-context.ts';

const { bodyMs } = httpTimeouts;
const rate = httpLimits.bodyBytesPerSecondMin;

/** A clock whose time the test sets. */
function startClock(): { clock: ConnectionClock; context: { nowMs: number } } {
  const context = { nowMs: 1_000, timeouts: httpTimeouts };
  const clock = new ConnectionClock(context as unknown as ListenerContext);
  return { clock, context };
}

/** Pieces of `bytes` each `everyMs`. @returns how long that was borne; undefined: for `totalMs` */
function drip(bytes: number, everyMs: number, totalMs: number): number | undefined {
  const { clock, context } = startClock();
  clock.set('body');
  for (let spentMs = everyMs; spentMs <= totalMs; spentMs += everyMs) {
    context.nowMs += everyMs;
    if (clock.expired(0) === 'body') return spentMs;
    clock.set('body', true, bytes);
  }
  return undefined;
}

describe('the time of a body', () => {
  const hourMs = 3_600_000;

  it('is over for one that drips, however regularly', () => {
    const borneMs = drip(1, bodyMs - 1, hourMs) ?? Infinity;
    assert.ok(borneMs <= 2 * bodyMs, `borne for ${borneMs} ms`);
    assert.ok((drip(1, 1_000, hourMs) ?? Infinity) <= 2 * bodyMs);
    assert.ok((drip(rate - 10, 1_000, hourMs) ?? Infinity) < hourMs, 'also just below the rate');
  });

  it('is not over for one that keeps the rate, in small pieces or in large ones', () => {
    assert.equal(drip(rate, 1_000, hourMs), undefined);
    assert.equal(drip(rate * 20, 20_000, hourMs), undefined);
    assert.equal(drip(65_536, bodyMs - 1, hourMs), undefined);
  });

  it('is over for one that pauses, however fast it was', () => {
    assert.equal(drip(1_000_000, bodyMs + 1, hourMs), bodyMs + 1);
  });

  it('begins anew when the instance held it back', () => {
    const { clock, context } = startClock();
    for (let round = 0; round < 10; round++) {
      clock.set('body', true, 1);
      context.nowMs += bodyMs - 1;
      assert.equal(clock.expired(0), undefined);
      clock.set('response');
    }
  });
});
