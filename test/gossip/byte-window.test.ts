import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ByteWindow } from '../../src/gossip/byte-window.ts';

describe('bytes that are not read yet', () => {
  it('are those appended less those skipped, whatever the order', () => {
    const pieces = fc.array(fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.nat(50)), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(pieces, (steps) => {
        const window = new ByteWindow();
        let wanted: number[] = [];
        for (const [piece, skip] of steps) {
          window.append(piece);
          wanted.push(...piece);
          const count = Math.min(skip, wanted.length);
          window.skip(count);
          wanted = wanted.slice(count);
          assert.deepEqual([...window.view()], wanted);
          assert.equal(window.length, wanted.length);
        }
        window.clear();
        assert.equal(window.length, 0);
      }),
    );
  });

  it('leave the views of elements read before as they were', () => {
    const window = new ByteWindow();
    window.append(Uint8Array.of(1, 2, 3));
    const first = window.view().subarray(0, 2);
    window.skip(2);
    window.append(new Uint8Array(100).fill(9));
    assert.deepEqual([...first], [1, 2]);
  });
});
