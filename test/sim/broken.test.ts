import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TransactionMemory, type Assignment } from '../../src/sip/index.ts';
import { runCell, type Cell, type Kind } from './matrix.ts';
import { runRandom } from './random.ts';
import type { SimulationOptions } from './simulation.ts';

/** A memory that keeps nothing. */
class ForgetfulMemory extends TransactionMemory {
  override get(): Assignment | undefined {
    return undefined;
  }
}

const privateHeader: Cell = {
  state: 'alive',
  sprayer: 'per-packet',
  keys: 'private header',
  change: 'none',
};

/** Rows with at least one fault among some seeds. */
function redRows(cell: Cell, options: Partial<SimulationOptions>): Set<Kind | 'every hop'> {
  const red = new Set<Kind | 'every hop'>();
  for (let seed = 1; seed <= 5; seed++) {
    for (const [kind, faults] of runCell(cell, { seed, ...options })) {
      if (faults.length > 0) red.add(kind);
    }
  }
  return red;
}

describe('the matrix, broken on purpose', () => {
  it('is green for these cells when nothing is broken', () => {
    assert.deepEqual([...redRows(privateHeader, {})], []);
    assert.deepEqual([...redRows({ ...privateHeader, keys: 'round robin' }, {})], []);
  });

  it('is red when the memories forget', () => {
    const red = redRows(privateHeader, { createMemory: () => new ForgetfulMemory() });
    for (const kind of ['CANCEL', 'ACK to non-2xx', 'every hop'] as const) {
      assert.ok(red.has(kind), `${kind} was green`);
    }
  });

  it('is red when directories know and answer nothing', () => {
    const red = redRows(privateHeader, { isDirectoryDown: true });
    for (const kind of ['CANCEL', 'ACK to non-2xx', 'every hop'] as const) {
      assert.ok(red.has(kind), `${kind} was green`);
    }
  });

  it('sends copies of round robin elsewhere when the memories forget', () => {
    const cell = { ...privateHeader, keys: 'round robin' } as const;
    const red = redRows(cell, { createMemory: () => new ForgetfulMemory() });
    assert.ok(red.has('retransmitted INVITE'));
    assert.ok(red.has('retransmitted MESSAGE'));
  });

  it('sends copies elsewhere when the rules were replaced and the memories forget', () => {
    const cell = { ...privateHeader, keys: 'rules replaced' } as const;
    const red = redRows(cell, { createMemory: () => new ForgetfulMemory() });
    assert.ok(red.has('retransmitted INVITE'));
    assert.ok(red.has('CANCEL'));
  });

  it('keeps what bears a stamp even so', () => {
    const red = redRows(privateHeader, { createMemory: () => new ForgetfulMemory() });
    for (const kind of ['BYE', 'INFO', 're-INVITE', 'ACK to 2xx'] as const) {
      assert.ok(!red.has(kind), `${kind} was red`);
    }
  });
});

describe('random runs, broken on purpose', () => {
  const seeds = Array.from({ length: 40 }, (_, index) => index + 1);
  const red = (options: Partial<SimulationOptions>): number[] =>
    seeds.filter((seed) => runRandom(seed, options).faults.length > 0);

  it('are red when the memories forget', () => {
    assert.ok(red({ createMemory: () => new ForgetfulMemory() }).length > 10);
  });

  it('are red when directories know and answer nothing', () => {
    assert.ok(red({ isDirectoryDown: true }).length > 5);
  });
});
