import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { enumLimits } from '../../../src/config/defaults.ts';
import { EnumResolver } from '../../../src/io/dns/index.ts';
import type { EnumOptions, NaptrAnswer } from '../../../src/io/dns/index.ts';
import { Counters } from '../../../src/pipeline/counters.ts';

/** A resolver on a clock and a DNS of the test's own. */
class Bench {
  now = 0;
  readonly asked: string[] = [];
  readonly signals: AbortSignal[] = [];
  readonly counters = new Counters();
  readonly resolver: EnumResolver;
  #settle: ((answer: NaptrAnswer | Error) => void)[] = [];
  #timers: { at: number; callback: () => void }[] = [];

  constructor(options: Partial<EnumOptions> = {}) {
    this.resolver = new EnumResolver({
      query: (name, signal) => {
        this.asked.push(name);
        this.signals.push(signal);
        return new Promise((resolve, reject) => {
          this.#settle.push((answer) => {
            if (answer instanceof Error) reject(answer);
            else resolve(answer);
          });
        });
      },
      clock: {
        now: () => this.now,
        after: (delayMs, callback) => {
          const timer = { at: this.now + delayMs, callback };
          this.#timers.push(timer);
          return () => {
            this.#timers = this.#timers.filter((other) => other !== timer);
          };
        },
      },
      counters: this.counters,
      ...options,
    });
  }

  get timers(): number {
    return this.#timers.length;
  }

  /** Answers the oldest question that is open. */
  answer(answer: NaptrAnswer | Error): void {
    this.#settle.shift()!(answer);
  }

  pass(ms: number): void {
    this.now += ms;
    for (const timer of this.#timers.filter(({ at }) => at <= this.now)) timer.callback();
  }
}

const sip = (uri: string, ttlSeconds = 300): NaptrAnswer => ({
  records: [
    {
      order: 1,
      preference: 1,
      flags: 'u',
      service: 'E2U+sip',
      regexp: `!^.*$!${uri}!`,
      replacement: '',
    },
  ],
  ttlSeconds,
});

describe('ENUM resolver', () => {
  it('asks for the reversed digits and gives the SIP URI when it has come', async () => {
    const bench = new Bench();
    assert.equal(bench.resolver.resolve('+46897'), undefined);
    assert.equal(bench.resolver.resolve('+46897'), undefined);
    assert.deepEqual(bench.asked, ['7.9.8.6.4.e164.arpa']);
    bench.answer(sip('sip:a@b'));
    await bench.resolver.whenKnown('+46897');
    assert.equal(bench.resolver.resolve('+46897'), 'sip:a@b');
    assert.equal(bench.counters.get('enum_lookups', 'answered'), 1);
    assert.equal(bench.timers, 0);
  });

  it('asks below the configured suffix', () => {
    const bench = new Bench({ suffix: 'numbers.example' });
    bench.resolver.resolve('+12');
    assert.deepEqual(bench.asked, ['2.1.numbers.example']);
  });

  it('asks nothing for numbers that are not global or too long', () => {
    const bench = new Bench();
    for (const number of ['46897', `+${'1'.repeat(enumLimits.digitsMax + 1)}`]) {
      assert.equal(bench.resolver.resolve(number), number);
    }
    assert.deepEqual(bench.asked, []);
  });

  it('lets a number stand for itself when there is no record', async () => {
    const bench = new Bench();
    bench.resolver.resolve('+1');
    bench.answer({ records: [], ttlSeconds: undefined });
    await bench.resolver.whenKnown('+1');
    assert.equal(bench.resolver.resolve('+1'), '+1');
    assert.equal(bench.counters.get('enum_lookups', 'none'), 1);
  });

  it('lets a number stand for itself when asking fails', async () => {
    const bench = new Bench();
    bench.resolver.resolve('+1');
    bench.answer(new Error('SERVFAIL'));
    await bench.resolver.whenKnown('+1');
    assert.equal(bench.resolver.resolve('+1'), '+1');
    assert.equal(bench.counters.get('enum_lookups', 'failed'), 1);
  });

  it('gives up after the time-out and ends the query', async () => {
    const bench = new Bench({ timeoutMs: 200 });
    bench.resolver.resolve('+1');
    bench.pass(199);
    assert.equal(bench.resolver.resolve('+1'), undefined);
    bench.pass(1);
    await bench.resolver.whenKnown('+1');
    assert.equal(bench.resolver.resolve('+1'), '+1');
    assert.equal(bench.signals[0]!.aborted, true);
    assert.equal(bench.counters.get('enum_lookups', 'timeout'), 1);
  });

  it('keeps an answer as long as its TTL says, and asks again then', async () => {
    const bench = new Bench();
    bench.resolver.resolve('+1');
    bench.answer(sip('sip:a@b', 100));
    await bench.resolver.whenKnown('+1');
    bench.pass(99_999);
    assert.equal(bench.resolver.resolve('+1'), 'sip:a@b');
    bench.pass(1);
    assert.equal(bench.resolver.resolve('+1'), undefined);
    assert.equal(bench.asked.length, 2);
  });

  it('keeps no answer shorter or longer than the limits', async () => {
    for (const [ttl, seconds] of [
      [0, enumLimits.ttlSecondsMin],
      [1e9, enumLimits.ttlSecondsMax],
    ] as const) {
      const bench = new Bench();
      bench.resolver.resolve('+1');
      bench.answer(sip('sip:a@b', ttl));
      await bench.resolver.whenKnown('+1');
      bench.pass(seconds * 1_000 - 1);
      assert.equal(bench.resolver.resolve('+1'), 'sip:a@b');
      bench.pass(1);
      assert.equal(bench.resolver.resolve('+1'), undefined);
    }
  });

  it('keeps the absence of an answer too', async () => {
    const bench = new Bench();
    bench.resolver.resolve('+1');
    bench.answer(new Error('down'));
    await bench.resolver.whenKnown('+1');
    bench.pass(enumLimits.negativeSeconds * 1_000 - 1);
    assert.equal(bench.resolver.resolve('+1'), '+1');
    bench.pass(1);
    assert.equal(bench.resolver.resolve('+1'), undefined);
  });

  it('bounds the look-ups that run', () => {
    const bench = new Bench();
    for (let n = 0; n < enumLimits.lookupsRunningMax; n += 1) {
      assert.equal(bench.resolver.resolve(`+${1_000 + n}`), undefined);
    }
    assert.equal(bench.resolver.resolve('+9'), '+9');
    assert.equal(bench.counters.get('enum_lookups', 'limit'), 1);
  });

  it('bounds the answers kept; the oldest goes first', async () => {
    const bench = new Bench();
    for (let n = 0; n <= enumLimits.answersRemembered; n += 1) {
      bench.resolver.resolve(`+${n + 1}`);
      bench.answer(sip('sip:a@b'));
      await bench.resolver.whenKnown(`+${n + 1}`);
    }
    assert.equal(bench.resolver.resolve('+2'), 'sip:a@b');
    assert.equal(bench.resolver.resolve('+1'), undefined);
  });

  it('waits for nothing when no look-up runs', async () => {
    await new Bench().resolver.whenKnown('+1');
    assert.equal(new Bench().asked.length, 0);
  });

  it('ends all look-ups when it is closed', async () => {
    const bench = new Bench();
    bench.resolver.resolve('+1');
    const known = bench.resolver.whenKnown('+1');
    bench.resolver.close();
    await known;
    assert.equal(bench.resolver.resolve('+1'), '+1');
    assert.equal(bench.timers, 0);
  });
});
