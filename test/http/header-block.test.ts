import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HeaderBlock } from '../../src/http/index.ts';

/** Every character of a name, and some that lie one bit apart. */
const token = fc.oneof(
  fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,3}$/),
  fc.stringMatching(/^[Xx^~_.-]{1,2}$/),
);

describe('a block of field lines', () => {
  it('finds every header by its name in lower case, and no other', () => {
    const list = fc.array(fc.tuple(token, fc.stringMatching(/^[a-z0-9]{0,3}$/)), { maxLength: 6 });
    fc.assert(
      fc.property(list, token, (headers, other) => {
        const block = HeaderBlock.of(headers);
        for (const name of [other, ...headers.map(([own]) => own)]) {
          const lower = name.toLowerCase();
          const values = headers
            .filter(([own]) => own.toLowerCase() === lower)
            .map(([, value]) => value);
          assert.deepEqual(block.all(lower), values);
          assert.equal(block.get(lower), values[0]);
        }
      }),
      { seed: 3, numRuns: 2_000 },
    );
  });
});
