import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { table } from '../../src/cli/table.ts';

describe('a table for a terminal', () => {
  it('has columns as wide as their widest cell, and nothing behind the last', () => {
    assert.deepEqual(
      table(
        ['name', 'n'],
        [
          ['a', '1'],
          ['longer', '22'],
        ],
      ),
      ['name    n', 'a       1', 'longer  22'],
    );
  });

  it('is its header when there are no rows', () => {
    assert.deepEqual(table(['name', 'n'], []), ['name  n']);
  });
});
