import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { newsSendsMax } from '../../src/gossip/post.ts';

describe('how often one member sends a piece of news', () => {
  it('is more among more members, so that it passes nobody over', () => {
    const sends = [2, 3, 5, 6, 9, 10, 30, 31, 100, 300, 316, 1_000].map((count) =>
      newsSendsMax(4, count),
    );
    assert.deepEqual(sends, [4, 4, 4, 5, 8, 8, 8, 12, 12, 12, 16, 16]);
  });
});
