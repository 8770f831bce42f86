import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { httpLimits } from '../../src/config/defaults.ts';
import { Counters } from '../../src/pipeline/counters.ts';
import {
  parseSessionId,
  SessionIds,
  sessionIdSetBy,
  type SessionId,
} from '../../src/pipeline/http-session-id.ts';

const { sessionIdsMax, sessionIdBytesMax } = httpLimits;

function found(
  target: string,
  ...cookies: string[]
): { ids: readonly SessionId[]; overlooked: number } {
  const counters = new Counters();
  const ids = new SessionIds(counters).of(target, cookies);
  return { ids, overlooked: counters.get('http_overlooked', 'session-id') };
}

/** `id|route` of each. */
function texts(target: string, ...cookies: string[]): string[] {
  return found(target, ...cookies).ids.map(({ id, route }) => `${id}|${route}`);
}

describe('a session id', () => {
  const rows = [
    ['abc.r1', 'abc|r1'],
    ['a.b.c', 'a.b|c'],
    ['abc', 'abc|'],
    ['abc.', 'abc|'],
    ['.abc', '.abc|'],
    ['..r', '.|r'],
    ['a%2Er1', 'a|r1'],
    ['a%C3%A9.r', 'aé|r'],
    ['a!1!2', 'a!1!2|'],
    ['%0d%0a.r', '\r\n|r'],
  ] as const;
  for (const [text, expected] of rows) {
    it(`${text} is ${JSON.stringify(expected)}`, () => {
      const parsed = parseSessionId(text);
      assert.equal(`${parsed?.id}|${parsed?.route}`, expected);
    });
  }

  for (const text of ['', '.', '%', '%zz', '%ff.r', '%2e']) {
    it(`${JSON.stringify(text)} is none`, () => {
      assert.equal(parseSessionId(text), undefined);
    });
  }
});

describe('where session ids are found', () => {
  const rows: readonly (readonly [target: string, cookies: readonly string[], ids: string[]])[] = [
    ['/', ['JSESSIONID=a.r1'], ['a|r1']],
    ['/', ['jsessionid=a.r1'], ['a|r1']],
    ['/', ['x=1;\tJSessionId="a.r1" ; y=2'], ['a|r1']],
    ['/', ['x=1', 'JSESSIONID=a.r1'], ['a|r1']],
    ['/', ['JSESSIONID=a.r1; JSESSIONID=b.r2'], ['a|r1', 'b|r2']],
    ['/', ['XJSESSIONID=a.r1; JSESSIONIDX=b; JSESSIONID =c; JSESSIONID'], []],
    ['/', ['x="JSESSIONID=a.r1"'], []],
    ['/', ['JSESSIONID='], []],
    ['/', [';;; ;JSESSIONID=a'], ['a|']],
    ['/a;jsessionid=b.r2', [], ['b|r2']],
    ['/a;jsessionid=b.r2/c', [], ['b|r2']],
    ['/a;x=1;jsessionid=b.r2;y=2', [], ['b|r2']],
    ['/a;jsessionid=b.r2?jsessionid=c.r3', [], ['b|r2', 'c|r3']],
    ['/a?jsessionid=c.r3&x=1', [], ['c|r3']],
    ['/a?x=1&jsessionid=c.r3', [], ['c|r3']],
    ['/a?jsessionid=c;d/e?f.r', [], ['c;d/e?f|r']],
    ['/a?xjsessionid=c&jsessionidx=d&jsessionid', [], []],
    ['/a?x=;jsessionid=c.r3', [], []],
    ['/a?JSESSIONID=c', [], []],
    ['/a;JSESSIONID=c', [], []],
    ['/jsessionid=c', [], []],
    ['/a?x=1&jsessionid=&jsessionid=c', [], ['c|']],
    ['/a;jsessionid=b.r2?jsessionid=c.r3', ['JSESSIONID=a.r1'], ['a|r1', 'b|r2', 'c|r3']],
  ];
  for (const [target, cookies, ids] of rows) {
    it(`${target} ${cookies.join(' / ')}: ${ids.join(', ')}`, () => {
      assert.deepEqual(texts(target, ...cookies), ids);
    });
  }

  it('looks at no more than it may, and counts what it overlooks', () => {
    const many = Array.from({ length: sessionIdsMax + 3 }, (_, at) => `JSESSIONID=${at}`).join(';');
    const { ids, overlooked } = found('/', many);
    assert.deepEqual(
      ids.map(({ id }) => id),
      Array.from({ length: sessionIdsMax }, (_, at) => String(at)),
    );
    assert.equal(overlooked, 3);
  });

  it('looks at no more of them where the first are none: decoding what is broken costs most', () => {
    const broken = 'JSESSIONID=%;'.repeat(sessionIdsMax);
    assert.deepEqual(texts('/', `${broken.slice(0, -14)};JSESSIONID=a.r1`), ['a|r1']);
    const { ids, overlooked } = found('/', `${broken}JSESSIONID=a.r1; JSESSIONID=%`);
    assert.deepEqual(ids, []);
    assert.equal(overlooked, 2);
  });

  it('overlooks and counts one that is too long, and takes the longest', () => {
    const longest = 'x'.repeat(sessionIdBytesMax);
    assert.deepEqual(texts('/', `JSESSIONID=${longest}`), [`${longest}|`]);
    const { ids, overlooked } = found(`/;jsessionid=${longest}y`, `JSESSIONID=${longest}y`);
    assert.deepEqual(ids, []);
    assert.equal(overlooked, 2);
    assert.equal(sessionIdSetBy(`JSESSIONID=${longest}y`), undefined);
  });

  it('survives whatever a client writes', () => {
    const text = fc
      .string({ unit: 'binary-ascii' })
      .map((raw) => raw.replace(/[^\x21-\x7e]/g, ';'));
    const piece = fc.oneof(text, fc.constantFrom('jsessionid=', ';', '?', '&', '%', '.', 'a.r1'));
    fc.assert(
      fc.property(fc.array(piece), fc.array(piece), (target, cookie) => {
        for (const { id, route } of found(`/${target.join('')}`, cookie.join('')).ids) {
          assert.ok(id !== '' && !route.includes('.'));
        }
      }),
    );
  });

  it('finds every id in each of the three places alike', () => {
    const id = fc.stringMatching(/^[A-Za-z0-9!_-]{1,40}(\.[A-Za-z0-9_-]{1,20})?$/);
    fc.assert(
      fc.property(id, (value) => {
        const [expected] = found('/', `JSESSIONID=${value}`).ids;
        assert.deepEqual(found(`/a;jsessionid=${value}?x`).ids, [expected]);
        assert.deepEqual(found(`/a?x=1&jsessionid=${value}`).ids, [expected]);
        assert.deepEqual(sessionIdSetBy(`JSESSIONID=${value}; Path=/`), expected);
      }),
    );
  });
});

describe('a session id that a response sets', () => {
  it('is known by the name of its cookie, in any case', () => {
    assert.deepEqual(sessionIdSetBy('jsessionid=a.r1; Path=/'), { id: 'a', route: 'r1' });
    assert.equal(sessionIdSetBy('sid=a.r1'), undefined);
    assert.equal(sessionIdSetBy('JSESSIONID='), undefined);
    assert.equal(sessionIdSetBy('nonsense'), undefined);
  });
});
