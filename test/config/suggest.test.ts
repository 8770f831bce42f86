import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { editDistance, suggest } from '../../src/config/suggest.ts';

describe('the nearest word', () => {
  const known = ['listen', 'listeners', 'aliases', 'publicAddress', 'port'];
  for (const [word, expected] of [
    ['listner', 'listen'],
    ['listners', 'listeners'],
    ['prot', 'port'],
    ['PORT', 'port'],
    ['public_address', 'publicAddress'],
    ['colour', undefined],
    ['x'.repeat(1_000), undefined],
  ] as const)
    it(`for ${word.slice(0, 20)} is ${String(expected)}`, () => {
      assert.equal(suggest(word, known), expected);
    });
});

describe('the edit distance', () => {
  it('counts single changes and swaps', () => {
    assert.equal(editDistance('', 'abc'), 3);
    assert.equal(editDistance('abc', 'abc'), 0);
    assert.equal(editDistance('abc', 'acb'), 1);
    assert.equal(editDistance('kitten', 'sitting'), 3);
  });

  it('is the same in both directions and never above the longer length', () => {
    const word = fc.string({ maxLength: 12 });
    fc.assert(
      fc.property(word, word, (a, b) => {
        const distance = editDistance(a, b);
        assert.equal(distance, editDistance(b, a));
        assert.ok(distance <= Math.max(a.length, b.length));
        assert.equal(distance === 0, a === b);
      }),
    );
  });
});
