import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseSipMessage } from '../../src/sip/index.ts';
import { readTag } from '../../src/sip/tag.ts';
import { sip } from '../support/sip-text.ts';

const cases: readonly (readonly [value: string, tag: string | null | undefined])[] = [
  ['<sip:a@b>;tag=x', 'x'],
  ['<sip:a@b;tag=no>', undefined],
  ['sip:a@b;tag=x', 'x'],
  ['sip:a@b', undefined],
  ['', undefined],
  ['<sip:a@b> ; TAG\t=\r\n x ;other', 'x'],
  ['<sip:a@b>;tag' + ' '.repeat(40) + '= x', 'x'],
  ['"a;tag=no <sip:x>;tag=no" <sip:a@b>;tag=x', 'x'],
  ['"a\\";tag=no" <sip:a@b>;tag=x', 'x'],
  ['<sip:a@b>;x=">;tag=no;";tag=x', 'x'],
  ['<sip:a@b>;x="\\";tag=no";tag=x', 'x'],
  ['sip:a@b;x="<";tag=x', 'x'],
  ['Bell, A <sip:a@b>;tag=x', 'x'],
  ['<sip:a@b>;tags=1;xtag=2;tag.=3', undefined],
  ['<sip:a@b>;;tag=x;', 'x'],
  ['"open <sip:a@b>;tag=x', null],
  ['<sip:a@b;tag=x', null],
  ['<sip:a@b>;x="open;tag=x', null],
  ['<sip:a@b>;tag=', null],
  ['<sip:a@b>;tag', null],
  ['<sip:a@b>;tag=x;tag=y', null],
  ['<sip:a@b>;tag=x;Tag=x', null],
  ['<sip:a@b>;tag=x y', null],
  ['<sip:a@b>;tag="x"', null],
  ['<sip:a@b>;tag=x, <sip:c@d>;tag=y', null],
  ['<sip:a@b>, <sip:c@d>;tag=y', null],
  ['<sip:a@b> junk;tag=y', null],
  ['sip:a@b;tag=x;y=<z>', null],
];

describe('readTag', () => {
  for (const [value, tag] of cases) {
    it(`${JSON.stringify(value)} has ${tag === null ? 'no clear' : (tag ?? 'no')} tag`, () => {
      assert.equal(readTag(value), tag);
    });
  }

  it('reads the tag that was written, whatever stands in quotes and brackets around it', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', ';', ',', '<', '>', '=', ' ', 'tag', '@'),
    });
    const quoted = text.map((inner) => `"${inner}"`);
    const word = fc.stringMatching(/^[\w.!%*+`'~-]+$/);
    fc.assert(
      fc.property(quoted, quoted, word, (name, parameter, tag) => {
        assert.equal(readTag(`${name} <sip:a@b;tag=no>;x=${parameter};tag=${tag};y`), tag);
        assert.equal(readTag(`${name} <sip:a@b;tag=no>;x=${parameter}`), undefined);
      }),
      { seed: 3261 },
    );
  });

  it('is asked by a message for both fields', () => {
    const read = (from: string, to: string): boolean | undefined => {
      const result = parseSipMessage(sip(['OPTIONS sip:a@b SIP/2.0', `f: ${from}`, `t: ${to}`]));
      return result.ok ? result.message.hasMalformedTag : undefined;
    };
    assert.equal(read('<sip:a@b>;tag=1', '<sip:a@b>'), false);
    assert.equal(read('<sip:a@b>;tag=', '<sip:a@b>'), true);
    assert.equal(read('<sip:a@b>;tag=1', '<sip:a@b>;tag=2;tag=3'), true);
  });
});
