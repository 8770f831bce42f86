import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HeaderBlock } from '../../src/http/index.ts';
import {
  isTraceparent,
  traceparentOf,
  tracedHeaders,
} from '../../src/pipeline/http-traceparent.ts';

const trace = '0af7651916cd43dd8448eb211c80319c';
const span = 'b7ad6b7169203331';
const valid = `00-${trace}-${span}-01`;
const newIds = (): string => '1234567890abcdef1234567890abcdeffedcba0987654321';
const fresh = '00-1234567890abcdef1234567890abcdef-fedcba0987654321-01';

type Lines = readonly (readonly [string, string])[];
const traced = (...lines: Lines): Lines => tracedHeaders(HeaderBlock.of(lines), newIds).list();

describe('a traceparent', () => {
  const good = [
    valid,
    `00-${trace}-${span}-00`,
    `00-${trace}-${span}-ff`,
    `01-${trace}-${span}-01`,
    `cc-${trace}-${span}-01-what-the-future-will-be-like`,
    `01-${trace}-${span}-01-`,
  ];
  for (const value of good) {
    it(`${value} passes unchanged with its tracestate`, () => {
      const lines = [
        ['Host', 'a'],
        ['tracestate', 'a=1'],
        ['TraceParent', value],
        ['tracestate', 'b=2'],
        ['TE', 'trailers'],
      ] as const;
      assert.deepEqual(traced(...lines), lines);
    });
  }

  const bad = [
    '',
    'x',
    `00-${trace}-${span}-0`,
    `00-${trace}-${span}-011`,
    `00-${trace}-${span}-01-more`,
    `ff-${trace}-${span}-01`,
    `01-${trace}-${span}-01.more`,
    `00-${'0'.repeat(32)}-${span}-01`,
    `00-${trace}-${'0'.repeat(16)}-01`,
    `00-${trace.toUpperCase()}-${span}-01`,
    `00-${trace}-${span.toUpperCase()}-01`,
    `0x-${trace}-${span}-01`,
    `00-${trace}-${span}-0g`,
    `00_${trace}-${span}-01`,
    `00-${trace}_${span}-01`,
    `00-${trace}-${span}_01`,
    `${valid}, ${valid}`,
    `00-${trace.slice(1)}é-${span}-01`,
  ];
  for (const value of bad) {
    it(`${JSON.stringify(value)} is replaced, and its tracestate goes`, () => {
      assert.deepEqual(
        traced(['Host', 'a'], ['Traceparent', value], ['Tracestate', 'a=1'], ['TE', 'trailers']),
        [
          ['Host', 'a'],
          ['TE', 'trailers'],
          ['traceparent', fresh],
        ],
      );
    });
  }

  it('is made where there is none', () => {
    assert.deepEqual(traced(['Host', 'a']), [
      ['Host', 'a'],
      ['traceparent', fresh],
    ]);
    assert.deepEqual(traced(), [['traceparent', fresh]]);
  });

  it('is made where a tracestate stands alone, or where there are two', () => {
    assert.deepEqual(traced(['tracestate', 'a=1']), [['traceparent', fresh]]);
    assert.deepEqual(traced(['traceparent', valid], ['traceparent', valid]), [
      ['traceparent', fresh],
    ]);
  });

  it('is not mistaken for a header that begins alike', () => {
    const lines = [
      ['traceparent-x', valid],
      ['trace', 'x'],
      ['traceparen', 'x'],
    ] as const;
    assert.deepEqual(traced(...lines), [...lines, ['traceparent', fresh]]);
  });

  it('that is made is valid, whatever the random bytes', () => {
    const digits = fc.stringMatching(/^[0-9a-f]{48}$/);
    fc.assert(
      fc.property(digits, (ids) => {
        assert.ok(isTraceparent(traceparentOf(ids)));
        assert.ok(traceparentOf(ids).endsWith('-01'));
      }),
      { examples: [['0'.repeat(48)]] },
    );
  });
});
