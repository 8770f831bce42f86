import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { compileRules, parseRules } from '../../src/dcr/index.ts';
import type { HttpSubject, SipSubject, TraceStep } from '../../src/dcr/index.ts';
import { HeaderBlock } from '../../src/http/index.ts';
import { httpSubject } from '../../src/pipeline/subjects.ts';
import { toolsOf } from './request.ts';

const name = fc.constantFrom('A', 'From', 'x.uri', 'Route', 'To', 'p', 'user');
const suffix = fc.constantFrom(
  '',
  '.uri',
  '.uri.user',
  '.uri.host',
  '.uri.resolve',
  '.uri.resolve.user',
);
const variable = fc.oneof(
  fc
    .tuple(
      name.filter((text) => text !== 'x.uri'),
      suffix,
    )
    .map(([n, s]) => `request.${n}${s}`),
  fc.constantFrom('parameter.p', 'parameter.user'),
);
const presence = fc.constantFrom('<exist/>', '<notexist/>');
const sessionCase = fc.constantFrom(
  'EXTERNAL',
  'ORIGINATING',
  'TERMINATING',
  'TERMINATING_UNREGISTERED',
);

/** Elements of the language, nested. */
const { rule } = fc.letrec<{ rule: string; rules: string }>((tie) => ({
  rules: fc.array(tie('rule'), { minLength: 1, maxLength: 3 }).map((rules) => rules.join('')),
  rule: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.tuple(name, variable, presence).map(([n, v, p]) => `<header name="${n}" return="${v}">${p}</header>`),
    fc.tuple(name, variable, presence).map(([n, v, p]) => `<request-uri parameter="${n}" return="${v}">${p}</request-uri>`),
    fc.tuple(name, variable, presence).map(([n, v, p]) => `<cookie name="${n}" return="${v}">${p}</cookie>`),
    fc.constantFrom('^sip:(.*)@', '([0-9]+)', 'x*').map((m) => `<request-uri return="match.resolve.user"><match prefix="+">${m}</match></request-uri>`),
    tie('rules').map((rules) => `<or>${rules}</or>`),
    tie('rules').map((rules) => `<and>${rules}</and>`),
    fc.tuple(tie('rules'), fc.option(variable)).map(([rules, v]) => `<if>${rules}${v === null ? '' : `<else return="${v}"/>`}</if>`),
    fc.tuple(sessionCase, tie('rules')).map(([c, rules]) => `<session-case><equal>${c}</equal>${rules}</session-case>`),
  ),
})); // prettier-ignore

const text = fc.oneof(
  fc.string({ maxLength: 20, unit: 'binary' }),
  fc.constantFrom(
    '',
    'sip:a@b',
    '<sip:+46-8@x;user=phone>',
    'tel:+46',
    '<sip:x;call=orig>;lr',
    ',,<tel:1>,"',
    '<',
  ),
);

const sipRequest: fc.Arbitrary<SipSubject> = fc
  .tuple(text, text, fc.dictionary(name, text))
  .map(([method, requestUri, headers]) => ({
    method,
    requestUri,
    header: (wanted) => (Object.hasOwn(headers, wanted) ? headers[wanted] : undefined),
  }));

const httpRequest: fc.Arbitrary<HttpSubject> = fc
  .tuple(text, text, fc.array(fc.tuple(fc.oneof(name, fc.constant('Cookie')), text)))
  .map(([method, target, headers]) =>
    httpSubject({ method, target: `/?p=${target}`, headers: blockOf(headers) }),
  );

/** Values that could not stand on the wire are made ones that can. */
function blockOf(list: readonly (readonly [string, string])[]): HeaderBlock {
  const plain = (text: string): string => text.replaceAll(/[^\t -~\xa0-\xff]/gu, '?');
  return HeaderBlock.of(list.map(([header, value]) => [header, plain(value)]));
}

describe('evaluation of any rules on any request', () => {
  it('is total, deterministic, never gives an empty key, and traces the same key', () => {
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 4 }), sipRequest, httpRequest, (rules, sip, http) => {
        const body = rules.join('');
        const file = `<user-centric-rules><sip-rules>${body}</sip-rules><http-rules>${body}</http-rules></user-centric-rules>`;
        const parsed = parseRules(Buffer.from(file), 'f.xml');
        assert.ok(parsed.ok, parsed.ok ? '' : JSON.stringify(parsed.errors));
        const tools = toolsOf({ '+46': 'sip:known@enum.example', '+468': 'not a URI' });
        const compiled = compileRules(parsed.document, tools);
        const keys = [compiled.sipKey(sip), compiled.httpKey(http)];
        for (const key of keys) assert.ok(key === null || (typeof key === 'string' && key !== ''));
        const steps: TraceStep[] = [];
        const trace = (step: TraceStep): void => void steps.push(step);
        assert.deepEqual([compiled.sipKey(sip, trace), compiled.httpKey(http, trace)], keys);
        const again = compileRules(parsed.document, tools);
        assert.deepEqual([again.sipKey(sip), again.httpKey(http)], keys);
      }),
      { numRuns: 500 },
    );
  });
});
