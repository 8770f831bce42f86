import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { httpLimits } from '../../src/config/defaults.ts';
import type { ResetCode } from '../../src/http/index.ts';
import { mayRetry, RetryBudget, type Retry } from '../../src/pipeline/http-retry.ts';

const { retryWindowSeconds, freeRetriesPerSecond } = httpLimits;
const codes: readonly ResetCode[] = ['refused', 'broken', 'timeout', 'cancelled', 'limit'];

describe('whether a request may be offered once more', () => {
  const rows: readonly (readonly [methods: string, expected: readonly Retry[]])[] = [
    ['GET HEAD OPTIONS TRACE PUT DELETE', ['free', 'budgeted', 'never', 'never', 'never']],
    ['POST PATCH PROPFIND get constructor', ['free', 'never', 'never', 'never', 'never']],
  ];
  const cases = rows.flatMap(([methods, expected]) =>
    methods.split(' ').map((method) => ({ method, expected })),
  );
  for (const { method, expected } of cases) {
    it(`${method}: by what happened`, () => {
      const retries = codes.map((code) =>
        mayRetry({ method, canReplay: true }, { code, hasAnswer: false }),
      );
      assert.deepEqual(retries, expected);
    });

    it(`${method}: never behind the first byte of an answer, nor without its whole body`, () => {
      for (const code of codes) {
        assert.equal(mayRetry({ method, canReplay: true }, { code, hasAnswer: true }), 'never');
        assert.equal(mayRetry({ method, canReplay: false }, { code, hasAnswer: false }), 'never');
      }
    });
  }
});

describe('the retry budget', () => {
  const takeAll = (budget: RetryBudget, nowMs: number, attempts: number): number => {
    let taken = 0;
    for (let at = 0; at < attempts; at++) if (budget.take(nowMs)) taken++;
    return taken;
  };

  it('has some free in each second, also without any request', () => {
    const budget = new RetryBudget(20);
    assert.equal(takeAll(budget, 500, 100), freeRetriesPerSecond);
    assert.equal(takeAll(budget, 999, 100), 0);
    assert.equal(takeAll(budget, 1_000, 100), freeRetriesPerSecond);
    assert.equal(takeAll(budget, 500_000, 100), freeRetriesPerSecond);
  });

  it('is a share of the requests of the window, beside the free ones', () => {
    const budget = new RetryBudget(20, 0);
    for (let at = 0; at < 1_000; at++) budget.countRequest(at);
    assert.equal(takeAll(budget, 1_000, 1_000), 200);
    assert.equal(takeAll(budget, 1_500, 10), 0);
    for (let at = 0; at < 5; at++) budget.countRequest(1_600);
    assert.equal(takeAll(budget, 1_600, 10), 1);
  });

  it('forgets requests and retries when their second leaves the window', () => {
    const budget = new RetryBudget(50, 0);
    for (let at = 0; at < 10; at++) budget.countRequest(0);
    const last = retryWindowSeconds * 1_000 - 1;
    assert.equal(takeAll(budget, last, 3), 3);
    assert.equal(takeAll(budget, last + 1, 10), 0);
    for (let at = 0; at < 10; at++) budget.countRequest(last + 1);
    assert.equal(takeAll(budget, last + 1, 10), 2);
  });

  it('of nought percent has the free ones alone, of a hundred as many as requests', () => {
    const none = new RetryBudget(0, 1);
    for (let at = 0; at < 100; at++) none.countRequest(0);
    assert.equal(takeAll(none, 0, 100), 1);
    const all = new RetryBudget(100, 0);
    for (let at = 0; at < 100; at++) all.countRequest(0);
    assert.equal(takeAll(all, 0, 1_000), 100);
  });

  it('never gives more than its bound, whenever it is asked', () => {
    const step = fc.record({
      passedMs: fc.oneof(fc.nat(50), fc.nat(20_000)),
      requests: fc.nat(20),
      retries: fc.nat(40),
    });
    fc.assert(
      fc.property(fc.array(step), fc.integer({ min: 0, max: 100 }), (steps, percent) => {
        const budget = new RetryBudget(percent, 3);
        const requests: number[] = [];
        const taken: number[] = [];
        let nowMs = 0;
        for (const { passedMs, ...counts } of steps) {
          nowMs += passedMs;
          for (let at = 0; at < counts.requests; at++) {
            budget.countRequest(nowMs);
            requests.push(nowMs);
          }
          for (let at = 0; at < counts.retries; at++) if (budget.take(nowMs)) taken.push(nowMs);
          const from = (Math.floor(nowMs / 1_000) - retryWindowSeconds + 1) * 1_000;
          const inWindow = (times: readonly number[]): number =>
            times.filter((at) => at >= from).length;
          // What was taken earlier in the window was measured by requests that have left it since.
          const lasting = (times: readonly number[]): number =>
            times.filter((at) => at >= from - retryWindowSeconds * 1_000).length;
          const bound = (lasting(requests) * percent) / 100 + 3 * retryWindowSeconds;
          assert.ok(inWindow(taken) <= bound, `${inWindow(taken)} of ${bound}`);
        }
      }),
    );
  });
});
