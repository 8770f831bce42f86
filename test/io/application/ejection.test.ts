import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Admission, Ejection, tellEjection } from '../../../src/io/application/ejection.ts';
import { Counters } from '../../../src/pipeline/counters.ts';

const config = { failures: 3, baseMs: 1_000, maxMs: 8_000 };

interface Watched {
  readonly ejection: Ejection;
  readonly told: string[];
}

function watched(changed: Partial<typeof config> = {}): Watched {
  const told: string[] = [];
  const ejection = new Ejection(
    { ...config, ...changed },
    {
      ejected: (pauseMs, isFirst) => told.push(`${isFirst ? 'ejected' : 'again'} ${pauseMs}`),
      trial: () => told.push('trial'),
      returned: () => told.push('returned'),
    },
  );
  return { ejection, told };
}

/** Ejects it with requests that fail at this time. */
function eject({ ejection }: Watched, nowMs: number): void {
  for (let failure = 0; failure < config.failures; failure++) ejection.failed('normal', nowMs);
  assert.equal(ejection.isEjected, true);
}

/** The one request that is let through, which ends like this. */
function trial({ ejection }: Watched, nowMs: number, verdict: 'answered' | 'failed'): void {
  assert.equal(ejection.admit(nowMs, false), 'trial');
  ejection[verdict]('trial', nowMs);
}

describe('a server that fails', () => {
  it('is ejected after so many failures in a row, not before', () => {
    const { ejection, told } = watched();
    for (let round = 0; round < 10; round++) {
      ejection.failed('normal', round);
      ejection.failed('normal', round);
      ejection.answered('normal', round);
    }
    ejection.failed('normal', 20);
    ejection.unjudged('normal');
    ejection.failed('normal', 20);
    assert.equal(ejection.admit(20, false), 'normal');
    ejection.failed('normal', 20);
    assert.equal(ejection.admit(20, false), undefined);
    assert.deepEqual(told, ['ejected 1000']);
  });

  it('is never ejected where that is switched off', () => {
    const { ejection, told } = watched({ failures: 0 });
    for (let failure = 0; failure < 1_000; failure++) ejection.failed('normal', 0);
    assert.equal(ejection.admit(0, false), 'normal');
    assert.deepEqual(told, []);
  });

  it('gets one request at a time when the pause is over', () => {
    const server = watched();
    eject(server, 100);
    assert.equal(server.ejection.admit(1_099, false), undefined);
    assert.equal(server.ejection.admit(1_100, false), 'trial');
    assert.equal(server.ejection.admit(1_100, false), undefined);
    assert.equal(server.ejection.admit(5_000, false), undefined);
    server.ejection.answered('trial', 5_000);
    assert.equal(server.ejection.admit(5_000, false), 'normal');
    assert.deepEqual(server.told, ['ejected 1000', 'trial', 'returned']);
  });

  it('is paused twice as long by each failed trial, up to the longest pause', () => {
    const server = watched();
    eject(server, 0);
    let nowMs = 1_000;
    for (const pauseMs of [2_000, 4_000, 8_000, 8_000]) {
      trial(server, nowMs, 'failed');
      assert.equal(server.ejection.admit(nowMs + pauseMs - 1, false), undefined);
      nowMs += pauseMs;
    }
    assert.equal(server.told.filter((line) => line.startsWith('ejected')).length, 1);
    assert.equal(server.told.at(-1), 'again 8000');
  });

  it('that came back is paused half as long the next time, and at first again when it was well', () => {
    const server = watched();
    eject(server, 0);
    trial(server, 1_000, 'failed');
    trial(server, 3_000, 'failed');
    trial(server, 7_000, 'answered');
    eject(server, 7_001);
    assert.equal(server.told.at(-1), 'ejected 2000');
    trial(server, 9_001, 'answered');
    eject(server, 9_001 + config.maxMs);
    assert.equal(server.told.at(-1), 'ejected 1000');
  });

  it('has no pause above the longest one, were the first one longer', () => {
    const server = watched({ baseMs: 60_000 });
    eject(server, 0);
    assert.equal(server.told[0], 'ejected 8000');
  });

  it('gets another trial at once when one told nothing, and later when one tells nothing', () => {
    const { ejection } = watched();
    eject({ ejection, told: [] }, 0);
    assert.equal(ejection.admit(1_000, false), 'trial');
    ejection.unjudged('trial');
    assert.equal(ejection.admit(1_000, false), 'trial');
    assert.equal(ejection.admit(1_000 + config.maxMs - 1, false), undefined);
    assert.equal(ejection.admit(1_000 + config.maxMs, false), 'trial');
  });

  it('is tried before its time when nobody else is left, and returns when that is answered', () => {
    const { ejection, told } = watched();
    eject({ ejection, told }, 0);
    assert.equal(ejection.admit(1, true), 'last');
    ejection.failed('last', 1);
    assert.equal(ejection.admit(2, false), undefined, 'the pause is not longer for it');
    assert.equal(ejection.admit(2, true), 'last');
    ejection.answered('last', 2);
    assert.equal(ejection.admit(3, false), 'normal');
    assert.deepEqual(told, ['ejected 1000', 'returned']);
  });

  it('is judged by what it got before the ejection no more', () => {
    const { ejection, told } = watched();
    eject({ ejection, told }, 0);
    ejection.answered('normal', 1);
    ejection.failed('normal', 1);
    ejection.unjudged('normal');
    assert.equal(ejection.admit(2, false), undefined);
    assert.equal(ejection.admit(1_000, false), 'trial');
  });

  it('is never shut out for ever, and never gets two trials within a pause', () => {
    const step = fc.record({
      passedMs: fc.integer({ min: 0, max: 3_000 }),
      verdict: fc.constantFrom('answered', 'failed', 'unjudged', 'pending'),
      isLast: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { ejection } = watched();
        let nowMs = 0;
        const pending: Admission[] = [];
        for (const { passedMs, verdict, isLast } of steps) {
          nowMs += passedMs;
          const admission = ejection.admit(nowMs, isLast);
          assert.ok(admission !== undefined || !isLast, 'the last one asked serves');
          if (admission === 'trial') assert.equal(ejection.admit(nowMs, false), undefined);
          if (admission === undefined) continue;
          if (verdict === 'pending') pending.push(admission);
          else if (verdict === 'unjudged') ejection.unjudged(admission);
          else ejection[verdict](admission, nowMs);
        }
        for (const admission of pending) ejection.unjudged(admission);
        assert.notEqual(ejection.admit(nowMs + config.maxMs, false), undefined);
      }),
    );
  });

  it('is counted and told of once a change', () => {
    const counters = new Counters();
    const lines: string[] = [];
    const ejection = new Ejection(
      config,
      tellEjection({
        config: { host: 'app', port: 80 },
        counters,
        log: { warn: (details, message) => lines.push(`${message} ${JSON.stringify(details)}`) },
      }),
    );
    const server: Watched = { ejection, told: [] };
    eject(server, 0);
    trial(server, 1_000, 'failed');
    trial(server, 3_000, 'failed');
    trial(server, 7_000, 'answered');
    assert.equal(lines.length, 2);
    assert.match(lines[0]!, /keeps failing.*"port":80,"pauseMs":1000/);
    assert.match(lines[1]!, /responds/);
    assert.equal(counters.get('http_upstream', 'ejected'), 1);
    assert.equal(counters.get('http_upstream', 'trial'), 3);
    assert.equal(counters.get('http_upstream', 'returned'), 1);
  });
});
