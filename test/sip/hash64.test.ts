import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { hash64 } from '../../src/sip/index.ts';

/** The same with big numbers instead of shifts. */
function reference(text: string): string {
  let [low, high] = [0x811c9dc5n, 0x9e3779b9n];
  for (const character of text.split('')) {
    const code = BigInt(character.charCodeAt(0));
    low = BigInt.asUintN(32, (low ^ code) * 0x01000193n);
    high = BigInt.asUintN(32, (high ^ code) * 0x5bd1e995n) ^ (low >> 15n);
  }
  return (((high << 32n) | low) << 1n).toString(32).padStart(13, '0');
}

describe('hash64', () => {
  it('writes all 64 bits as 13 digits', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        assert.equal(hash64(text), reference(text));
      }),
    );
  });

  it('tells apart texts that differ in one character', () => {
    const seen = new Set(Array.from({ length: 100_000 }, (_, at) => hash64(`call-${at}`)));
    assert.equal(seen.size, 100_000);
  });
});
