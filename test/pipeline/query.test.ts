import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { queryReader } from '../../src/pipeline/query.ts';

describe('parameters of a query', () => {
  it('are those that a form decoder finds', () => {
    const piece = fc.constantFrom(
      'a',
      'b',
      'ab',
      '=',
      '&',
      '%41',
      '%c3%a9',
      '+',
      '?',
      ';',
      '/',
      '',
    );
    const text = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));
    const name = fc.oneof(fc.constantFrom('a', 'b', 'ab', 'A', '', 'a=b', '=', '&', 'é'), text);
    fc.assert(
      fc.property(text, name, (query, wanted) => {
        const expected = new URLSearchParams(query.replace(/^\?/, '??')).get(wanted);
        assert.equal(queryReader(`/x?${query}`)?.(wanted), expected ?? undefined);
      }),
      { seed: 3, numRuns: 20_000 },
    );
  });

  it('are none without a query', () => {
    assert.equal(queryReader('/a;b=c'), undefined);
  });
});
