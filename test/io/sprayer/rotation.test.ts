import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Rotation } from '../../../src/io/sprayer/rotation.ts';

function peers(...alive: boolean[]): { name: number; isAlive: boolean }[] {
  return alive.map((isAlive, name) => ({ name, isAlive }));
}

function names(rotation: Rotation<{ name: number; isAlive: boolean }>, count: number): number[] {
  return Array.from({ length: count }, () => rotation.next().name);
}

describe('the rotation', () => {
  it('gives everyone in turn', () => {
    assert.deepEqual(names(new Rotation(peers(true, true, true)), 7), [0, 1, 2, 0, 1, 2, 0]);
  });

  it('passes over those that do not live, and comes back to them', () => {
    const all = peers(true, false, true);
    const rotation = new Rotation(all);
    assert.deepEqual(names(rotation, 4), [0, 2, 0, 2]);
    all[1]!.isAlive = true;
    assert.deepEqual(names(rotation, 4), [0, 1, 2, 0]);
  });

  it('goes on when none is known to live', () => {
    assert.deepEqual(names(new Rotation(peers(false, false)), 3), [0, 1, 0]);
  });

  it('orders the living first, each once', () => {
    const rotation = new Rotation(peers(false, true, true));
    assert.deepEqual(
      rotation.order().map((peer) => peer.name),
      [1, 2, 0],
    );
    assert.deepEqual(
      rotation.order().map((peer) => peer.name),
      [2, 1, 0],
    );
  });

  it('refuses to exist without anyone', () => {
    assert.throws(() => new Rotation([]), /at least one/u);
  });
});
