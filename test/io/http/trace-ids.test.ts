import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { randomTraceIds } from '../../../src/io/http/index.ts';

describe('ids of new traces', () => {
  it('are 48 hex digits, different each time', () => {
    const next = randomTraceIds();
    const ids = Array.from({ length: 1_000 }, next);
    for (const id of ids) assert.match(id, /^[0-9a-f]{48}$/);
    assert.equal(new Set(ids).size, ids.length);
    assert.equal(new Set(ids.map((id) => id.slice(32))).size, ids.length);
    assert.notEqual(randomTraceIds()(), randomTraceIds()());
  });
});
