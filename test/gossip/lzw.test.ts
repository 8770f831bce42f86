import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { expandLzw } from '../../src/gossip/lzw.ts';
import { compressLzw } from '../support/lzw.ts';

/** Codes of 9 bits, least significant bit first. */
function codes(...values: readonly number[]): Uint8Array {
  const bytes: number[] = [];
  let bits = 0n;
  values.forEach((value, at) => (bits |= BigInt(value) << BigInt(9 * at)));
  for (let left = 9 * values.length; left > 0; left -= 8, bits >>= 8n) {
    bytes.push(Number(bits & 0xffn));
  }
  return Uint8Array.from(bytes);
}

describe('LZW', () => {
  const text = fc.oneof(
    fc.uint8Array({ maxLength: 3_000 }),
    fc.uint8Array({ maxLength: 6_000, max: 3 }),
    fc
      .tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 400 }))
      .map(([part, count]) =>
        Uint8Array.from(Array.from({ length: count }, () => [...part]).flat()),
      ),
  );

  it('gives back what was compressed', () => {
    fc.assert(
      fc.property(text, (value) => {
        const expanded = expandLzw(compressLzw(value), value.length);
        assert.ok(expanded.ok);
        assert.ok(Buffer.from(value).equals(expanded.value));
      }),
    );
  });

  it('gives back what needs several tables of codes', () => {
    const value = new Uint8Array(200_000);
    for (let at = 0; at < value.length; at++) value[at] = (at * at * 31 + (at >> 7)) & 0x7f;
    const expanded = expandLzw(compressLzw(value), value.length);
    assert.ok(expanded.ok && Buffer.from(value).equals(expanded.value));
  });

  it('reads on with the codes that it has when a writer clears none', () => {
    // 4,000 codes after the last definition: all of them are literals or known pairs.
    const pairs = Uint8Array.from(
      { length: 9_000 },
      (_, at) => (at % 2 === 0 ? at / 2 : at * 7) & 0xff,
    );
    const full = compressWithoutClear(pairs);
    const expanded = expandLzw(full, pairs.length);
    assert.ok(expanded.ok && Buffer.from(pairs).equals(expanded.value));
  });

  it('knows a code that is only being defined', () => {
    const expanded = expandLzw(codes(256, 97, 258, 257), 10);
    assert.deepEqual(expanded, { ok: true, value: Uint8Array.of(97, 97, 97) });
  });

  const refused: readonly [string, Uint8Array, number, string][] = [
    ['nothing', new Uint8Array(0), 10, 'truncated'],
    ['no end', codes(256, 97), 10, 'truncated'],
    ['a code before there is one', codes(256, 258, 257), 10, 'malformed'],
    ['a code beyond the last', codes(256, 97, 259, 257), 10, 'malformed'],
    ['a code that a clear forgot', codes(97, 98, 256, 258, 257), 10, 'malformed'],
    ['one byte more than allowed', codes(256, 97, 258, 257), 2, 'too-large'],
  ];
  for (const [title, packed, bytesMax, fault] of refused) {
    it(`refuses ${title}`, () => {
      assert.deepEqual(expandLzw(packed, bytesMax), { ok: false, fault });
    });
  }

  it('refuses a bomb when it reaches the limit, and makes no more memory than that', () => {
    const bomb = compressLzw(new Uint8Array(5_000_000));
    assert.ok(bomb.length < 10_000);
    const before = process.memoryUsage().arrayBuffers;
    assert.deepEqual(expandLzw(bomb, 100_000), { ok: false, fault: 'too-large' });
    // All that was made is still held or was less: buffers are freed only by the collector.
    assert.ok(process.memoryUsage().arrayBuffers - before < 1_000_000);
  });

  it('gives text or a fault for any bytes, never more than allowed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(5_000), (packed, bytesMax) => {
        const expanded = expandLzw(packed, bytesMax);
        assert.ok(expanded.ok ? expanded.value.buffer.byteLength <= bytesMax : expanded.fault);
      }),
      { numRuns: 2_000 },
    );
  });

  it('gives text or a fault when a byte is changed', () => {
    fc.assert(
      fc.property(text, fc.nat(), fc.nat(255), (value, at, byte) => {
        const packed = compressLzw(value);
        packed[at % packed.length] = byte;
        const expanded = expandLzw(packed, 10_000);
        assert.ok(expanded.ok ? expanded.value.length <= 10_000 : expanded.fault);
      }),
      { numRuns: 500 },
    );
  });
});

/** Codes of literals and of pairs only, so that the table fills and stays as it is. */
function compressWithoutClear(text: Uint8Array): Uint8Array {
  const packed: number[] = [];
  let bits = 0;
  let bitCount = 0;
  let width = 9;
  let high = 257;
  const write = (code: number): void => {
    bits |= code << bitCount;
    bitCount += width;
    for (; bitCount >= 8; bitCount -= 8, bits >>>= 8) packed.push(bits & 0xff);
  };
  for (const byte of text) {
    write(byte);
    if (high + 1 < 1 << width) high += 1;
    else if (width < 12) {
      high += 1;
      width += 1;
    }
  }
  write(257);
  if (bitCount > 0) packed.push(bits & 0xff);
  return Uint8Array.from(packed);
}
