import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ExpiringMap } from '../../src/demo/expiring-map.ts';

describe('a map that forgets', () => {
  it('gives an entry until its time, and removes it with the sweep', () => {
    const removed: number[] = [];
    const map = new ExpiringMap<number>(10, (value) => removed.push(value));
    map.set('a', 1, 100);
    map.set('b', 2, 200);
    assert.equal(map.get('a', 99), 1);
    assert.equal(map.get('a', 100), undefined);
    map.sweep(100);
    assert.deepEqual(removed, [1]);
    assert.equal(map.size, 1);
  });

  it('makes room for a new entry by the one set longest ago', () => {
    const removed: number[] = [];
    const map = new ExpiringMap<number>(2, (value) => removed.push(value));
    map.set('a', 1, 100);
    map.set('b', 2, 100);
    map.set('a', 3, 100);
    map.set('c', 4, 100);
    assert.deepEqual(removed, [2]);
    assert.equal(map.get('a', 0), 3);
    assert.equal(map.size, 2);
  });
});
