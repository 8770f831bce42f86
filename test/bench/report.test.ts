import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { dialogIdentities, users } from '../../bench/keys.ts';
import { report } from '../../bench/report.ts';
import type { ReportShape } from '../../bench/report.ts';
import { median, medianOfPairs, runRounds } from '../../bench/rounds.ts';
import type { Figures, Subject } from '../../bench/rounds.ts';
import { digestOf } from '../../src/pipeline/key.ts';
import { createRing } from '../../src/ring/index.ts';

function figures(rate: number, cpuUs = 1): Figures {
  return { rate, cpuUs, failed: 0, foreignCores: 0 };
}

/** A subject with a given rate in each round; a missing rate is a run that fails. */
function subject(name: string, rates: readonly (number | undefined)[], order?: string[]): Subject {
  const runs = rates.values();
  return {
    name,
    missing: undefined,
    measure: () => {
      order?.push(name);
      const rate = runs.next().value;
      return rate === undefined
        ? Promise.reject(new Error('down'))
        : Promise.resolve(figures(rate));
    },
  };
}

const silent = (): void => undefined;

describe('rounds of measurements', () => {
  it('take all subjects in turn, again and again', async () => {
    const order: string[] = [];
    await runRounds([subject('a', [1, 1], order), subject('b', [1, 1], order)], 2, silent);
    assert.deepEqual(order, ['a', 'b', 'a', 'b']);
  });

  it('compare inside a round, not across rounds', async () => {
    // The machine is ten times as fast in the second round, and the ratio is the same.
    const rounds = await runRounds([subject('a', [2, 20, 4]), subject('b', [1, 10, 2])], 3, silent);
    assert.equal(
      medianOfPairs(rounds, 'a', 'b', (a, b) => a.rate / b.rate),
      2,
    );
  });

  it('leave a failed run out of its round and tell why', async () => {
    const lines: string[] = [];
    const rounds = await runRounds([subject('a', [undefined, 5])], 2, (line) => lines.push(line));
    assert.deepEqual(
      rounds.map((round) => round.get('a')?.rate),
      [undefined, 5],
    );
    assert.match(lines.join('\n'), /round 1: a: Error: down/);
  });

  it('have a median of odd, even and no figures', () => {
    assert.equal(median([9, 1, 5]), 5);
    assert.equal(median([4, 2]), 3);
    assert.ok(Number.isNaN(median([])));
  });
});

describe('the report', () => {
  const shape: ReportShape = {
    unit: 'packet',
    bases: [['b', 'short']],
    goals: [
      { name: 'fast', subject: 'a', base: 'b', figure: (a, b) => a.rate / b.rate, atLeast: 1.5 },
      { name: 'cheap', subject: 'a', base: 'b', figure: (a, b) => a.rate / b.rate, atMost: 1.5 },
      { name: 'other', subject: 'c', base: 'b', figure: (c, b) => c.rate / b.rate, atLeast: 1 },
    ],
  };

  it('says of each goal whether it was met', async () => {
    const subjects: Subject[] = [
      subject('a', [20_000]),
      subject('b', [10_000]),
      { ...subject('c', []), missing: 'not installed' },
    ];
    const text = report(subjects, await runRounds(subjects, 1, silent), shape);
    const cells = text
      .split('\n')
      .map((line) => line.split('|').map((cell) => cell.trim()))
      .filter((line) => line.length > 2);
    const row = (name: string): readonly string[] => cells.find((line) => line[1] === name) ?? [];
    assert.deepEqual(row('a').slice(2, 8), ['20,000', '1.0', '2.00', '1.00', '0', '1']);
    assert.equal(row('c')[2], 'not installed');
    assert.deepEqual(row('fast').slice(2, 5), ['2.00', '≥ 1.5', 'met']);
    assert.deepEqual(row('cheap').slice(2, 5), ['2.00', '≤ 1.5', 'missed']);
    assert.equal(row('other')[4], 'not measured');
  });
});

describe('keys of the load', () => {
  const ring = createRing([
    { name: 'entry', weight: 1 },
    { name: 'owner', weight: 1 },
  ]);

  it('all belong to the second peer, and their number is in the Call-ID', () => {
    const lines = dialogIdentities().trimEnd().split('\n');
    assert.equal(new Set(lines).size, lines.length);
    lines.slice(0, 200).forEach((line, index) => {
      const [callId = '', fromTag = ''] = line.split(' ');
      assert.equal(Number.parseInt(callId, 16), index);
      assert.equal(ring.owner(digestOf(`${fromTag}\n${callId}`)), 'owner');
    });
  });

  it('of users too', () => {
    const names = users().trimEnd().split('\n');
    assert.ok(names.length > 1_000);
    assert.ok(names.every((name) => ring.owner(digestOf(name)) === 'owner'));
  });
});
