import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileRules, parseRules } from '../../src/dcr/index.ts';
import type { KeyResult, RuleTools, TraceStep } from '../../src/dcr/index.ts';
import { uriReader } from '../../src/pipeline/subjects.ts';
import { http, httpKeyOf, rulesOf, section, sip, sipKeyOf, toolsOf } from './request.ts';

const invite = (uri: string, ...headers: string[]): string =>
  [
    `INVITE ${uri} SIP/2.0`,
    'From: "Ann A." <sip:ann@from.example:5071;x=1>;tag=f',
    'To: <sips:bob@to.example>',
    'Call-ID: id-1',
    'CSeq: 1 INVITE',
    ...headers,
  ].join('\n');

/** An element that gives `value` where the header `name` exists. */
const when = (name: string, value = `request.${name}`): string =>
  `<header name="${name}" return="${value}"><exist/></header>`;
const unless = (name: string, value: string): string =>
  `<header name="${name}" return="${value}"><notexist/></header>`;

describe('operators', () => {
  const rows: readonly [name: string, rules: string, headers: string[], key: KeyResult][] = [
    ['a section gives its first value', when('X') + when('A') + when('B'), ['A: 1', 'B: 2'], '1'],
    ['a section without value gives null', when('X'), [], null],
    ['an empty section gives null', '', [], null],
    ['or gives its first value', `<or>${when('X')}${when('B')}${when('A')}</or>`, ['A: 1', 'B: 2'], '2'],
    ['or of nothing gives null', `<or>${when('X')}</or>`, [], null],
    ['and gives its last value', `<and>${when('A')}${when('B')}</and>`, ['A: 1', 'B: 2'], '2'],
    ['and with one null gives null', `<and>${when('A')}${when('X')}${when('B')}</and>`, ['A: 1', 'B: 2'], null],
    ['if gives its first value', `<if>${when('X')}${when('B')}</if>`, ['B: 2'], '2'],
    ['if without value asks else', `<if>${when('X')}<else return="request.to.uri.user"/></if>`, [], 'bob'],
    ['else counts only for null', `<if>${when('A')}<else return="request.to.uri.user"/></if>`, ['A: 1'], '1'],
    ['else without value gives null', `<if>${when('X')}<else return="request.Y"/></if>`, [], null],
    ['the rule behind a null if is asked', `<if>${when('X')}<else return="request.Y"/></if>${when('A')}`, ['A: 1'], '1'],
    ['operators nest', `<and>${when('A')}<or>${when('X')}<if>${when('Y')}<else return="request.B"/></if></or></and>`, ['A: 1', 'B: 2'], '2'],
    ['exist with an empty item holds, but an empty value is none', when('A') + when('A', 'request.B'), ['A:', 'B: 2'], '2'],
    ['exist gives any variable', when('A', 'request.B'), ['A: 1', 'B: 2'], '2'],
    ['exist with a variable without value gives null', when('A', 'request.X'), ['A: 1'], null],
    ['notexist gives its variable when absent', unless('X', 'request.A'), ['A: 1'], '1'],
    ['notexist gives null when present', unless('A', 'request.A'), ['A: 1'], null],
    ['notexist of an empty item gives null', unless('A', 'request.B'), ['A:', 'B: 2'], null],
    ['a cookie never holds in SIP', '<cookie name="a" return="cookie.a"><exist/></cookie><cookie name="a" return="request.To"><notexist/></cookie>', ['Cookie: a=1'], null],
  ]; // prettier-ignore
  for (const [name, rules, headers, key] of rows) {
    it(name, () => {
      assert.deepEqual(sipKeyOf(rules, invite('sip:r@r.example', ...headers)), key);
    });
  }

  it('a session case never holds in HTTP', () => {
    const rules = `<session-case><equal>EXTERNAL</equal>${when('Host')}</session-case>`;
    assert.equal(httpKeyOf(rules, 'GET / HTTP/1.1\nHost: h'), null);
  });

  it('a session case gives its first value', () => {
    const rules = `<session-case><equal>ORIGINATING</equal>${when('X')}${when('To', 'request.to.uri.user')}</session-case>`;
    const route = 'Route: <sip:a.example;call=orig;lr>, <sip:b.example>';
    assert.equal(sipKeyOf(rules, invite('sip:r@r.example', route)), 'bob');
    assert.equal(sipKeyOf(rules, invite('sip:r@r.example')), null);
  });

  it('a file without a section for the protocol gives null', () => {
    assert.equal(
      rulesOf(section('sip', when('To'))).httpKey(http('GET / HTTP/1.1\nHost: h')),
      null,
    );
  });
});

describe('SIP variables', () => {
  const uri = 'sip:carol%20c@uri.example:5062;transport=tcp;Room=7;flag;a.b=dots';
  const rows: readonly [variable: string, value: string | null][] = [
    ['request.uri', uri],
    ['request.uri.scheme', 'sip'],
    ['request.uri.user', 'carol c'],
    ['request.uri.host', 'uri.example'],
    ['request.uri.port', '5062'],
    ['request.uri.resolve', uri],
    ['request.uri.resolve.user', 'carol c'],
    ['request.uri.resolve.host', 'uri.example'],
    ['request.method', 'INVITE'],
    ['request.X-Plain', 'plain text'],
    ['request.x-plain', 'plain text'],
    ['request.f', '"Ann A." <sip:ann@from.example:5071;x=1>;tag=f'],
    ['request.from.uri', 'sip:ann@from.example:5071;x=1'],
    ['request.f.uri.user', 'ann'],
    ['request.From.uri.scheme', 'sip'],
    ['request.From.uri.user', 'ann'],
    ['request.From.uri.host', 'from.example'],
    ['request.From.uri.port', '5071'],
    ['request.From.uri.display-name', 'Ann A.'],
    ['request.From.uri.resolve', 'sip:ann@from.example:5071;x=1'],
    ['request.From.uri.resolve.user', 'ann'],
    ['request.From.uri.resolve.host', 'from.example'],
    ['request.to.uri.scheme', 'sips'],
    ['request.to.uri.port', null],
    ['request.to.uri.display-name', null],
    ['request.X.Dotted.Name', 'dotted'],
    ['request.X.Dotted.Uri.uri.host', 'dot.example'],
    ['request.X-Number.uri', 'tel:+46-8-1'],
    ['request.X-Number.uri.user', '+46-8-1'],
    ['request.X-Number.uri.host', null],
    ['request.X-Number.uri.resolve', 'sip:known@enum.example'],
    ['request.X-Number.uri.resolve.user', 'known'],
    ['request.X-Number.uri.resolve.host', 'enum.example'],
    ['request.X-Plain.uri', null],
    ['request.X-Plain.uri.resolve.user', null],
    ['request.X-Absent', null],
    ['request.X-Absent.uri.user', null],
    ['parameter.Room', '7'],
    ['parameter.room', null],
    ['parameter.flag', null],
    ['parameter.a.b', 'dots'],
    ['parameter.absent', null],
  ];
  const headers = [
    'X-Plain: plain text',
    'X.Dotted.Name: dotted',
    'X.Dotted.Uri: <sip:dot@dot.example>',
    'X-Number: <tel:+46-8-1>',
  ];
  const tools = toolsOf({ '+4681': 'sip:known@enum.example' });
  for (const [variable, value] of rows) {
    it(`${variable} is ${value ?? 'null'}`, () => {
      assert.equal(sipKeyOf(when('To', variable), invite(uri, ...headers), tools), value);
    });
  }
});

describe('HTTP variables', () => {
  const target =
    '/p?a=1&a=2&A=3&r%C3%BCm=x&user=sip:q%40query.example&conf.user=dots&n=tel:%2B46-8-1&empty=' +
    '&list=nobody,%22A,B%22%3Csip:query.example%3E,%3Csip:%2B46.8.1@g.example;user=phone%3E';
  const rows: readonly [variable: string, value: string | null][] = [
    ['request.Host', 'h.example'],
    ['request.host', 'h.example'],
    ['request.X-Id', '<sip:id@id.example>;p'],
    ['request.X-Id.uri', 'sip:id@id.example'],
    ['request.X-Id.uri.user', 'id'],
    ['request.X-Id.uri.host', 'id.example'],
    ['request.X-Id.uri.resolve', 'sip:id@id.example'],
    ['request.X-Id.uri.resolve.user', 'id'],
    ['request.X-Id.uri.resolve.host', 'id.example'],
    ['request.X-Quoted.uri.user', 'quoted'],
    ['request.X-Absent', null],
    ['parameter.a', '1'],
    ['parameter.A', '3'],
    ['parameter.rüm', 'x'],
    ['parameter.user', 'sip:q@query.example'],
    ['parameter.user.uri', 'sip:q@query.example'],
    ['parameter.user.uri.user', 'q'],
    ['parameter.user.uri.host', 'query.example'],
    ['parameter.user.uri.resolve', 'sip:q@query.example'],
    ['parameter.user.uri.resolve.user', 'q'],
    ['parameter.user.uri.resolve.host', 'query.example'],
    ['parameter.n.uri.resolve.user', 'known'],
    ['parameter.list.uri.user', '+46.8.1'],
    ['parameter.list.uri.resolve.user', 'known'],
    ['parameter.list.uri.host', 'query.example'],
    ['parameter.conf.user', 'dots'],
    ['parameter.empty', null],
    ['parameter.empty.uri.user', null],
    ['parameter.absent', null],
    ['cookie.c', '1=2'],
    ['cookie.c.d', 'dots'],
    ['cookie.C', null],
  ];
  const request = `GET ${target} HTTP/1.1\nHost: h.example\nX-Id: <sip:id@id.example>;p\nX-Quoted: "sip:quoted@id.example"\nCookie: c=1=2; c.d=dots`;
  const tools = toolsOf({ '+4681': 'sip:known@enum.example' });
  for (const [variable, value] of rows) {
    it(`${variable} is ${value ?? 'null'}`, () => {
      assert.equal(httpKeyOf(when('Host', variable), request, tools), value);
    });
  }
});

describe('unknown variables', () => {
  const rows: readonly [protocol: 'sip' | 'http', variable: string, part: RegExp][] = [
    ['sip', 'nothing', /unknown variable "nothing"/],
    ['sip', 'request', /unknown variable/],
    ['sip', 'request.', /unknown variable/],
    ['sip', 'parameter.', /unknown variable/],
    ['sip', 'match.', /unknown variable/],
    ['sip', 'match.user', /did you mean|unknown/],
    ['sip', 'Request.uri', /did you mean "request.uri"/],
    ['sip', 'requst.uri.user', /did you mean "request.uri.user"/],
    ['sip', 'request.uri.usr', /did you mean "request.uri.user"/],
    ['sip', 'request.uri.display-name', /unknown variable/],
    ['sip', 'request.from.user', /did you mean "request.from.uri.user"/],
    ['sip', 'request.from.uri.usr', /did you mean "request.from.uri.user"/],
    ['sip', 'request.from.uri.resolve.port', /did you mean "request.from.uri.resolve.host"/],
    ['sip', 'request.from.resolve', /unknown variable/],
    ['sip', 'request.two words', /unknown variable/],
    ['sip', 'parameter.p.uri.user', /unknown variable/],
    ['http', 'request.uri', /known only in sip-rules/],
    ['http', 'request.uri.user', /known only in sip-rules/],
    ['http', 'request.method', /known only in sip-rules/],
    ['http', 'request.X.uri.scheme', /known only in sip-rules/],
    ['http', 'request.X.uri.port', /known only in sip-rules/],
    ['http', 'request.X.uri.display-name', /known only in sip-rules/],
    ['http', 'request.X.match', /known only in sip-rules/],
    ['http', 'parameter.p.uri.port', /known only in sip-rules/],
    ['http', 'paramter.p', /did you mean "parameter.p"/],
    ['http', 'cookie.', /unknown variable/],
  ];
  for (const [protocol, variable, part] of rows) {
    it(`${variable} in ${protocol}-rules is an error`, () => {
      const parsed = parseRules(Buffer.from(section(protocol, when('To', variable))), 'f.xml');
      assert.ok(!parsed.ok);
      assert.equal(parsed.errors.length, 1);
      assert.match(parsed.errors[0]!.text, part);
    });
  }
});

describe('match', () => {
  const rows: readonly [name: string, element: string, uri: string, key: KeyResult][] = [
    ['gives the first group', '<request-uri><match>^sip:([^@]+)@(.*)$</match></request-uri>', 'sip:a@b.example', 'a'],
    ['gives the whole match without group', '<request-uri><match>b\\.[a-z]+</match></request-uri>', 'sip:a@b.example', 'b.example'],
    ['finds anywhere', '<request-uri><match>@(.*)</match></request-uri>', 'sip:a@b.example', 'b.example'],
    ['puts the prefix in front', '<request-uri><match prefix="u:">:(.*)@</match></request-uri>', 'sip:a@b.example', 'u:a'],
    ['without match gives null', '<request-uri><match prefix="u:">^tel:</match></request-uri>', 'sip:a@b.example', null],
    ['with an empty group gives null', '<request-uri><match prefix="u:">sip:(x*)</match></request-uri>', 'sip:a@b.example', null],
    ['with a group outside the path gives null', '<request-uri><match>tel:(x)|sip:</match></request-uri>', 'sip:a@b.example', null],
    ['takes white space around the expression away', '<request-uri><match>\n  :(.*)@\n </match></request-uri>', 'sip:a@b.example', 'a'],
    ['returns itself by name', '<request-uri return="match"><match prefix="p">:(.*)@</match></request-uri>', 'sip:a@b.example', 'pa'],
    ['returns another variable', '<request-uri return="request.to.uri.user"><match>^sip:</match></request-uri>', 'sip:a@b.example', 'bob'],
    ['resolves its group as a number', '<request-uri return="match.resolve.user"><match>:([^@]+)@</match></request-uri>', 'sip:+46-8-1@b.example', 'known'],
    ['resolves prefix and group', '<request-uri return="match.resolve.user"><match prefix="tel:+46">:([^@]+)@</match></request-uri>', 'sip:81@b.example', 'known'],
    ['resolves a group that is a URI', '<request-uri return="match.resolve.user"><match>.+</match></request-uri>', 'sip:a@b.example', 'a'],
    ['keeps a group that is neither', '<request-uri return="match.resolve.user"><match>:([^@]+)@</match></request-uri>', 'sip:a@b.example', 'a'],
    ['runs its expression on a header', '<request-uri return="request.to.match"><match prefix="h:">:([^@]+)@</match></request-uri>', 'sip:a@b.example', 'h:bob'],
    ['gives null when the header does not match', '<request-uri return="request.CSeq.match"><match>:([^@]+)@</match></request-uri>', 'sip:a@b.example', null],
    ['resolves the result on a header', '<request-uri return="request.X-N.match.resolve.user"><match>([+0-9]*[0-9]+)</match></request-uri>', 'sip:1@b.example', 'known'],
    ['with a parameter demands its presence', '<request-uri parameter="p"><match>:([^@]+)@</match></request-uri>', 'sip:a@b.example', null],
    ['with a present parameter gives the group', '<request-uri parameter="p"><match>:([^@]+)@</match></request-uri>', 'sip:a@b.example;p', 'a'],
    ['forgets what an earlier match found', '<request-uri return="request.X-N"><match>zzz</match></request-uri><request-uri return="match"><match>yyy</match></request-uri>', 'sip:a@b.example', null],
  ]; // prettier-ignore
  const tools = toolsOf({ '+4681': 'sip:known@enum.example' });
  for (const [name, element, uri, key] of rows) {
    it(name, () => {
      assert.equal(sipKeyOf(element, invite(uri, 'X-N: +4681'), tools), key);
    });
  }

  it('runs on the target of an HTTP request', () => {
    const rules = '<request-uri><match>^/room/([0-9]+)</match></request-uri>';
    assert.equal(httpKeyOf(rules, 'GET /room/12?x HTTP/1.1\nHost: h'), '12');
  });

  it('runs in linear time on what makes a backtracking engine stand still', () => {
    const rules = rulesOf(
      section('sip', '<request-uri><match>^sip:(([a-z]+)+)+$</match></request-uri>'),
    );
    // A backtracking engine would need more than 2^4000 steps; this ends, or the test never does.
    assert.equal(rules.sipKey(sip(invite(`sip:${'a'.repeat(4_000)}@h`))), null);
  });
});

describe('resolve', () => {
  const rows: readonly [name: string, uri: string, user: KeyResult, host: KeyResult, whole: KeyResult][] = [
    ['a number that ENUM knows', 'tel:+46-8-1', 'known', 'enum.example', 'sip:known@enum.example'],
    ['a number that ENUM does not know', 'tel:+46(8)2', '+4682', null, '+4682'],
    ['a SIP URI marked as a number', 'sip:+46.8.1@gw.example;user=phone', 'known', 'enum.example', 'sip:known@enum.example'],
    ['a number with parameters in the user part', 'sip:81;phone-context=+46@gw.example;user=phone', '81', null, '81'],
    ['a mark on what is no number', 'sip:ann@gw.example;user=phone', 'ann', 'gw.example', 'sip:ann@gw.example;user=phone'],
    ['a local number with other characters', 'tel:*21#;phone-context=pbx', '*21#', null, '*21#'],
    ['a SIP URI', 'sip:ann@gw.example', 'ann', 'gw.example', 'sip:ann@gw.example'],
    ['a SIP URI without user', 'sip:gw.example', null, 'gw.example', 'sip:gw.example'],
  ]; // prettier-ignore
  const tools = toolsOf({ '+4681': 'sip:known@enum.example' });
  for (const [name, uri, user, host, whole] of rows) {
    it(`reads ${name}`, () => {
      const key = (variable: string): KeyResult =>
        sipKeyOf(when('To', variable), invite(uri), tools);
      assert.equal(key('request.uri.resolve.user'), user);
      assert.equal(key('request.uri.resolve.host'), host);
      assert.equal(key('request.uri.resolve'), whole);
    });
  }

  it('believes user=phone behind a URI without angle brackets', () => {
    const rules = when('X-N', 'request.X-N.uri.resolve.user');
    const request = invite('sip:r@r.example', 'X-N: sip:+46-8-1@gw.example;user=phone');
    assert.equal(sipKeyOf(rules, request, tools), 'known');
  });

  it('waits for a number and then gives the same key as if it had been known', () => {
    const answers = new Map<string, string>();
    const waiting: RuleTools = {
      uris: uriReader,
      numbers: { resolve: (number) => answers.get(number) },
    };
    const rules = rulesOf(
      section(
        'sip',
        `<and>${when('A', 'request.A.uri.resolve.user')}<or>${when('B', 'request.B.uri.resolve.user')}${when('To')}</or></and>${when('To')}`,
      ),
      waiting,
    );
    const request = sip(invite('sip:r@r.example', 'A: <tel:+1-1>', 'B: <tel:+2-2>'));
    assert.deepEqual(rules.sipKey(request), { number: '+11' });
    assert.deepEqual(rules.sipKey(request), { number: '+11' });
    answers.set('+11', 'sip:one@enum.example');
    assert.deepEqual(rules.sipKey(request), { number: '+22' });
    const steps: TraceStep[] = [];
    assert.deepEqual(
      rules.sipKey(request, (step) => steps.push(step)),
      { number: '+22' },
    );
    assert.equal(steps.at(-1)!.value, null);
    answers.set('+22', '+22');
    assert.equal(rules.sipKey(request), '+22');
    assert.equal(rules.sipKey(request), '+22');
  });
});

describe('trace', () => {
  const parsed = parseRules(
    Buffer.from(
      [
        '<user-centric-rules>',
        ' <sip-rules>',
        '  <if>',
        '   <session-case><equal>ORIGINATING</equal>',
        '    <header name="A" return="request.A"><exist/></header>',
        '   </session-case>',
        '   <header name="B" return="request.B">',
        '    <notexist/></header>',
        '   <else return="request.to.uri.user"/>',
        '  </if>',
        '  <header name="C" return="request.C"><exist/></header>',
        ' </sip-rules>',
        '</user-centric-rules>',
      ].join('\n'),
    ),
    'f.xml',
  );

  it('tells each element that was asked, with line, depth, variable and value', () => {
    assert.ok(parsed.ok);
    const rules = compileRules(parsed.document, toolsOf());
    const steps: TraceStep[] = [];
    const request = sip(invite('sip:r@r.example', 'B: 2'));
    const key = rules.sipKey(request, (step) => steps.push(step));
    assert.equal(key, rules.sipKey(request));
    assert.deepEqual(steps, [
      { line: 3, depth: 0, element: 'if', value: 'bob' },
      { line: 4, depth: 1, element: 'session-case equal ORIGINATING', value: null },
      { line: 7, depth: 1, element: 'header name="B" return="request.B" notexist', value: null },
      { line: 9, depth: 1, element: 'else return="request.to.uri.user"', variable: 'request.to.uri.user', value: 'bob' },
    ]); // prettier-ignore
    const again: TraceStep[] = [];
    rules.sipKey(request, (step) => again.push(step));
    assert.deepEqual(again, steps);
  });
});
