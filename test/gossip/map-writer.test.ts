import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { MapWriter } from '../../src/gossip/map-writer.ts';

const uint32 = fc.oneof(
  fc.constantFrom(0, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, 0xffff_ffff),
  fc.integer({ min: 0, max: 0xffff_ffff }),
);
const value = fc.oneof(
  uint32,
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.string({ minLength: 250, maxLength: 300 }),
  fc.boolean(),
  fc.uint8Array({ maxLength: 70_000, size: 'max' }),
  fc.constant(null),
);
const name = fc.constantFrom('Addr', 'Incarnation', 'Node', 'SeqNo', 'Vsn', 'A', 'Zz');

describe('a map writer', () => {
  it('writes what a general encoder writes, one map after the other', () => {
    const writer = new MapWriter();
    fc.assert(
      fc.property(
        fc.dictionary(name, value, { maxKeys: 7 }),
        fc.option(fc.nat(255), { nil: undefined }),
        (fields, first) => {
          const body = encode(fields);
          const wanted = first === undefined ? body : Uint8Array.from([first, ...body]);
          assert.deepEqual(Uint8Array.from(writer.write(first, fields)), wanted);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('leaves out what is undefined', () => {
    const written = new MapWriter().write(undefined, { A: 1, Addr: undefined, Vsn: null });
    assert.deepEqual(Uint8Array.from(written), encode({ A: 1, Vsn: null }));
  });
});
