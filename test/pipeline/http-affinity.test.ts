import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HeaderBlock } from '../../src/http/index.ts';
import { affinityKeyOf } from '../../src/pipeline/http-affinity.ts';
import { httpSubject } from '../../src/pipeline/subjects.ts';

describe('the key in a URL', () => {
  const rows: readonly (readonly [target: string, names: readonly string[], key?: string])[] = [
    ['/', ['room']],
    ['/room=1', ['room']],
    ['/?room=1', []],
    ['/?room=42', ['room'], '42'],
    ['/?a=1&room=42&b=2', ['room'], '42'],
    ['/?room=42&room=43', ['room'], '42'],
    ['/?xroom=1&roomx=2&room=42', ['room'], '42'],
    ['/?a=room=1&room=42', ['room'], '42'],
    ['/?ROOM=42', ['room']],
    ['/?room', ['room']],
    ['/?room=', ['room']],
    ['/?room=&room=42', ['room']],
    ['/?room=&call=7', ['room', 'call'], '7'],
    ['/?call=7&room=42', ['room', 'call'], '42'],
    ['/?call=7', ['room', 'call'], '7'],
    ['/?room=a=b', ['room'], 'a=b'],
    ['/?room=a;b/c?d', ['room'], 'a;b/c?d'],
    ['/?room=%34%32', ['room'], '42'],
    ['/?%72oom=42', ['room'], '42'],
    ['/?room=a+b', ['room'], 'a b'],
    ['/?room=%C3%A9', ['room'], 'é'],
    ['/?room=%ff', ['room'], '\ufffd'],
    ['/?room=%zz%', ['room'], '%zz%'],
    ['/?room=a%0d%0ab', ['room'], 'a\r\nb'],
    ['/?room=%26', ['room'], '&'],
    ['*', ['room']],
  ];
  for (const [target, names, key] of rows) {
    it(`${target} by ${names.join(',')}: ${JSON.stringify(key)}`, () => {
      assert.equal(affinityKeyOf(target, names), key);
    });
  }

  it('is what the rules would read, whatever the query holds', () => {
    const names = ['room', 'a', 'oo'];
    const piece = fc.oneof(
      fc.stringMatching(/^[!-"$-~]{0,6}$/),
      fc.constantFrom('room', 'room=', 'a', 'oo=', '&', '=', '?', '+', '%', '%61', 'roomroom', '#'),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.constantFrom(...names), (parts, name) => {
        const target = `/path?${parts.join('')}`;
        const subject = httpSubject({ method: 'GET', target, headers: HeaderBlock.empty });
        const expected = subject.parameter(name);
        assert.equal(affinityKeyOf(target, [name]), expected === '' ? undefined : expected);
      }),
      { numRuns: 2_000 },
    );
  });
});
