import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { runRandom } from './random.ts';

/** `SAILRING_SEEDS`: how many seeds to run, e.g. 5000 over night; `SAILRING_SEED`: one alone. */
const only = process.env['SAILRING_SEED'];
const count = Number(process.env['SAILRING_SEEDS'] ?? 240);
const seeds =
  only === undefined ? Array.from({ length: count }, (_, index) => index + 1) : [Number(only)];
const perTest = 20;

describe('random runs: calls in bad weather while peers come and go', () => {
  for (let from = 0; from < seeds.length; from += perTest) {
    const some = seeds.slice(from, from + perTest);
    it(`seeds ${some[0] ?? ''} to ${some.at(-1) ?? ''}`, () => {
      let surviving = 0;
      const failed: string[] = [];
      for (const seed of some) {
        const result = runRandom(seed);
        surviving += result.surviving;
        if (result.faults.length > 0) {
          const { description, faults } = result;
          failed.push(
            `SAILRING_SEED=${seed}: ${description}\n${faults.length} faults:\n${faults[0] ?? ''}`,
          );
        }
      }
      assert.equal(failed.length, 0, `${failed.length} seeds failed\n${failed.join('\n\n')}`);
      assert.ok(surviving > 0, 'no call survived');
    });
  }
});
