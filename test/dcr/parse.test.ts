import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { dcrLimits } from '../../src/config/defaults.ts';
import { formatRuleError, parseRules } from '../../src/dcr/index.ts';
import { section } from './request.ts';

/** Errors of a file as `line:column: error: text`. */
function errorsOf(text: string | Buffer): string[] {
  const parsed = parseRules(Buffer.from(text), 'f.xml');
  return parsed.ok ? [] : parsed.errors.map((e) => formatRuleError(e).replace(/^f\.xml:?/, ''));
}

const header = '<header name="A" return="request.A"><exist/></header>';
const valid = section('sip', header);

/** One faulty file a row: why, the text, and for each error its place and a part of its text. */
const faulty: readonly [why: string, text: string, ...errors: string[]][] = [
  ['an empty file', '', '1:1: error: no element found'],
  ['white space only', ' \n ', '1:1: error: no element found'],
  ['text outside', `${valid}\nx`, '2:1: error: text outside the root'],
  ['another root', '<rules/>', '1:1: error: <rules> is no rule file; expected the root <user-cen'],
  ['a mistyped root', '<user-centric-rule/>', '1:1: error: <user-centric-rule> is no rule file'],
  ['a second root', `${valid}\n <x/>`, '2:2: error: <x> is a second root'],
  ['nothing inside', '<user-centric-rules/>', '1:1: error: <user-centric-rules> is empty'],
  ['a tag never closed', '<user-centric-rules>\n<sip-rules>', '2:1: error: <sip-rules> is never'],
  [
    'tags crossed',
    '<user-centric-rules>\n <sip-rules></user-centric-rules></sip-rules>',
    '2:13: error: </user-centric-rules> does not fit; expected </sip-rules>, opened in line 2',
  ],
  ['a closing tag too many', `${valid}</a>`, 'error: </a> does not fit; nothing is open'],
  ['a tag without end', '<user-centric-rules', '1:1: error: tag is not understood'],
  ['a lone <', '<user-centric-rules>\n a < b', '2:4: error: "<" is not followed by a name'],
  [
    'an attribute without quotes',
    '<user-centric-rules a=1/>',
    '1:21: error: <user-centric-rules>: expected a="value" in quotes',
  ],
  ['no space between attributes', '<a b="1"c="2"/>', '1:9: error: tag is not understood'],
  ['an attribute twice', '<a b="1"\n b="2"/>', '2:2: error: <a>: attribute "b" stands twice'],
  ['< in an attribute', '<a b="x<y"/>', '1:8: error: <a>: "<" in the value of "b"; write &lt;'],
  ['a comment without end', '<!-- x', '1:1: error: comment without end'],
  ['-- in a comment', '<!-- x -- y -->', '1:8: error: "--" is not allowed inside a comment'],
  ['CDATA without end', '<a><![CDATA[ x', '1:4: error: CDATA section without end'],
  ['an instruction without end', '<?x', '1:1: error: processing instruction without end'],
  ['a late declaration', ' <?xml version="1.0"?>', '1:2: error: the XML declaration may stand'],
  ['version 1.1', '<?xml version="1.1"?><a/>', '1:1: error: the XML declaration is not understood'],
  ['an unknown entity', '<a>\n &nbsp;</a>', '2:2: error: reference "&nbsp;" is not allowed'],
  ['a bare &', '<a b="1&2"/>', '1:8: error: reference "&" is not allowed'],
  ['a reference to NUL', '<a>&#0;</a>', '1:4: error: reference "&#0;" is not allowed'],
  ['a reference to half a pair', '<a>&#xD800;</a>', '1:4: error: reference "&#xD800;"'],
  ['a reference beyond Unicode', '<a>&#x110000;</a>', '1:4: error: reference "&#x110000;"'],
  ['NUL', '<a>\n\u0000</a>', '2:1: error: control character U+0000'],
  ['a control character', '<a b="\u001b"/>', '1:7: error: control character U+001B'],
  ['a name of JavaScript', '<a __proto__="1"/>', '1:4: error: "__proto__" is not a name of an att'],
  ['an element named so', '<constructor/>', '1:1: error: "constructor" is not a name of an ele'],
  [
    'a mistyped element',
    section('sip', '\n  <heder name="A" return="request.A"><exist/></heder>'),
    '2:3: error: unknown element <heder>; expected or, and, if, header, request-uri, session-case, cookie; did you mean "header"?',
  ],
  [
    'a mistyped attribute',
    section('sip', '\n<header nam="A" return="request.A"><exist/></header>'),
    '2:1: error: <header>: attribute "name" is missing',
    '2:9: error: <header>: unknown attribute "nam"; expected name, return; did you mean "name"?',
  ],
  [
    'a mistyped variable',
    section('sip', '\n<header name="A" return="request.A.uri.usr"><exist/></header>'),
    '2:18: error: <header>: unknown variable "request.A.uri.usr"',
  ],
  [
    'elements at the wrong place',
    section('sip', '\n<else return="request.To"/><exist/>'),
    '2:1: error: <else> may not stand in <sip-rules>',
    '2:28: error: <exist/> may not stand'.replace('/', ''),
  ],
  ['text in a container', section('sip', '\n <or>x</or>'), '2:2:', '2:6: error: <or> holds text'],
  [
    'text in exist',
    section('sip', header.replace('<exist/>', '<exist>1</exist>')),
    '<exist> holds',
  ],
  [
    'a section twice',
    '<user-centric-rules><sip-rules/>\n<sip-rules/></user-centric-rules>',
    '2:1: error: <sip-rules> stands twice',
  ],
  ['an empty or', section('sip', '<or/>'), 'error: <or> holds no condition'],
  ['an empty and', section('sip', '<and></and>'), 'error: <and> holds no condition'],
  ['an empty if', section('sip', '<if/>'), 'error: <if> holds no condition'],
  [
    'an if of else alone',
    section('sip', '<if><else return="request.To"/></if>'),
    'error: <if> holds no condition',
  ],
  [
    'two else',
    section('sip', `<if>${header}<else return="request.To"/>\n<else return="request.To"/></if>`),
    '2:1: error: <else> stands twice',
  ],
  [
    'a rule after else',
    section('sip', `<if>${header}<else return="request.To"/>\n${header}</if>`),
    '2:1: error: <header> stands after <else>',
  ],
  [
    'else without return',
    section('sip', `<if>${header}\n<else/></if>`),
    '2:1: error: <else>: attribute "return" is missing',
  ],
  [
    'a header without condition',
    section('sip', '<header name="A" return="request.A"/>'),
    'error: <header> holds no condition; expected exist or notexist',
  ],
  [
    'a header with two conditions',
    section('sip', '<header name="A" return="request.A"><exist/>\n<notexist/></header>'),
    '2:1: error: <header> holds more than one condition',
  ],
  [
    'a header with match',
    section('sip', '<header name="A" return="request.A">\n<match>x</match></header>'),
    '2:1: error: <match> may not stand in <header>; expected exist, notexist',
  ],
  [
    'an empty attribute',
    section('sip', '<header name="" return="request.A"><exist/></header>'),
    'error: <header>: attribute "name" is empty',
  ],
  [
    'a name that no header has',
    section('sip', '<header name="a b" return="request.A"><exist/></header>'),
    'error: <header>: "a b" is not the name of a header',
  ],
  [
    'request-uri exist without parameter and return',
    section('sip', '<request-uri><exist/></request-uri>'),
    'attribute "parameter" is missing; <exist> requires it',
    'attribute "return" is missing; <exist> requires it',
  ],
  [
    'session-case without equal',
    section('sip', `<session-case>${header}</session-case>`),
    'error: <session-case> lacks <equal>',
  ],
  [
    'equal too late',
    section('sip', `<session-case>${header}\n<equal>EXTERNAL</equal></session-case>`),
    '2:1: error: <equal> comes too late',
  ],
  [
    'an unknown session case',
    section('sip', `<session-case>\n<equal> ORIGINATE </equal>${header}</session-case>`),
    '2:9: error: <equal>: unknown session case "ORIGINATE"; expected EXTERNAL, ORIGINATING, TERMINATING, TERMINATING_UNREGISTERED; did you mean "ORIGINATING"?',
  ],
  [
    'session-case without rule',
    section('sip', '<session-case><equal>EXTERNAL</equal></session-case>'),
    'error: <session-case> holds no condition',
  ],
  [
    'look-ahead',
    section('sip', '<request-uri>\n<match>(?=sip)x</match></request-uri>'),
    '2:8: error: <match>: the regular expression is refused',
  ],
  [
    'look-behind',
    section('sip', '<request-uri>\n<match>(?&lt;=sip)x</match></request-uri>'),
    '2:8: error: <match>: the regular expression is refused',
  ],
  [
    'a back-reference',
    section('sip', '<request-uri>\n<match>(a)\\1</match></request-uri>'),
    'look-around and back-references are not supported',
  ],
  [
    'an expression of nothing',
    section('sip', '<request-uri>\n<match/></request-uri>'),
    '2:1: error: <match>: expected a regular expression',
  ],
  [
    'an expression too long',
    section('sip', `<request-uri><match>${'a'.repeat(5_000)}</match></request-uri>`),
    'longer than 4096 characters',
  ],
  [
    'an expression too large when written out',
    section('sip', `<request-uri><match>${'(a{1000})'.repeat(30)}</match></request-uri>`),
    'too large',
  ],
  [
    'match outside request-uri',
    section('sip', '<header name="A" return="match"><exist/></header>'),
    'variable "match" has no value here',
  ],
  [
    'cookie variable of a header in SIP',
    section('sip', '<header name="A" return="cookie.a"><exist/></header>'),
    'variable "cookie.a" has no value in sip-rules',
  ],
];

describe('faults of a rule file', () => {
  for (const [why, text, ...expected] of faulty) {
    it(`names the place of ${why}`, () => {
      const found = errorsOf(text);
      assert.equal(found.length, expected.length, found.join('\n'));
      expected.forEach((part, index) => {
        assert.ok(found[index]!.includes(part), `${found[index]!}\nlacks ${part}`);
      });
    });
  }

  it('are all reported, in the order of the file', () => {
    const text = section(
      'sip',
      '\n<heder/>\n<header name="A"><exist/></header>\n<or/>\n<if><else return="nothing"/></if>',
    );
    assert.deepEqual(
      errorsOf(text).map((error) => error.split(':', 1)[0]),
      ['2', '3', '4', '5', '5'],
    );
  });

  it('are cut at a limit, and the last says so', () => {
    const errors = errorsOf(section('sip', '<x/>'.repeat(dcrLimits.errorsMax + 5)));
    assert.equal(errors.length, dcrLimits.errorsMax + 1);
    assert.ok(errors.at(-1)!.endsWith('5 further errors are not shown'));
  });

  it('name file, line and column as compilers do', () => {
    const parsed = parseRules(Buffer.from('\n\n <x/>'), 'rules/my.xml');
    assert.ok(!parsed.ok);
    assert.match(formatRuleError(parsed.errors[0]!), /^rules\/my\.xml:3:2: error: <x> is no rule/);
    assert.equal(parsed.errors[0]!.element, 'x');
  });

  it('count lines of all three kinds of line end', () => {
    for (const end of ['\n', '\r\n', '\r']) {
      assert.ok(errorsOf(`<!-- -->${end}${end} <x/>`)[0]!.startsWith('3:2:'), JSON.stringify(end));
    }
  });
});

describe('guards of a rule file', () => {
  const documented =
    '<!DOCTYPE user-centric-rules PUBLIC "-//Sun Microsystems Inc.//DTD Sailfin 1.0//EN" "http://www.sun.com/software/appserver/dtds/sun-data-centric-rule_1_0.dtd">';

  for (const doctype of [
    documented,
    '<!DOCTYPE user-centric-rules>',
    "<!DOCTYPE user-centric-rules SYSTEM 'http://www.sun.com/software/appserver/dtds/sun-data-centric-rule_1_0.dtd' >",
    documented.replace('" "', '"\n  "'),
  ]) {
    it(`let pass ${doctype.slice(0, 48)}`, () => {
      assert.deepEqual(
        errorsOf(`<?xml version="1.0" encoding="ISO-8859-1"?>\n${doctype}\n${valid}`),
        [],
      );
    });
  }

  for (const [why, doctype] of [
    ['an internal subset', '<!DOCTYPE user-centric-rules [<!ENTITY a "b">]>'],
    ['an empty subset', '<!DOCTYPE user-centric-rules []>'],
    [
      'an external entity',
      '<!DOCTYPE user-centric-rules [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    ],
    ['another system id', '<!DOCTYPE user-centric-rules SYSTEM "http://evil.example/x.dtd">'],
    ['another public id', '<!DOCTYPE user-centric-rules PUBLIC "-//X//Y" "http://x.example/">'],
    ['another root', '<!DOCTYPE html>'],
    ['two of them', `${documented}${documented}`],
    ['lower case', '<!doctype user-centric-rules>'],
    ['an entity alone', '<!ENTITY a "b">'],
  ] as const) {
    it(`refuse a DOCTYPE with ${why}`, () => {
      const errors = errorsOf(`${doctype}\n${valid}`);
      assert.equal(errors.length, 1);
      assert.match(errors[0]!, /^1:\d+: error: .*(DOCTYPE|declarations)/);
    });
  }

  it('refuse the billion laughs without expanding one', () => {
    const entities = Array.from({ length: 9 }, (_, i) => `<!ENTITY l${i + 1} "&l${i};&l${i};">`);
    const bomb = `<!DOCTYPE user-centric-rules [<!ENTITY l0 "lol">${entities.join('')}]><user-centric-rules>&l9;</user-centric-rules>`;
    assert.match(errorsOf(bomb)[0]!, /no internal subset/);
  });

  it('refuse a DOCTYPE behind the root', () => {
    assert.match(errorsOf(`${valid}${documented}`)[0]!, /only once, before the root/);
  });

  it('bound numeric references', () => {
    const many = '&#65;'.repeat(dcrLimits.referencesMax + 1);
    assert.match(errorsOf(section('sip', `<!-- -->${many}`))[0]!, /more than 10000 references/);
  });

  it('bound the depth', () => {
    const nested = (depth: number): string =>
      section('sip', '<or>'.repeat(depth) + header + '</or>'.repeat(depth));
    // Root, section, header and exist stand around and inside the nested elements.
    assert.deepEqual(errorsOf(nested(dcrLimits.depthMax - 4)), []);
    assert.match(errorsOf(nested(dcrLimits.depthMax - 3))[0]!, /nested deeper than 64/);
    assert.match(errorsOf(nested(50_000))[0]!, /nested deeper than 64/);
  });

  it('bound the size', () => {
    const padded = valid + ' '.repeat(dcrLimits.fileBytesMax);
    assert.match(errorsOf(padded)[0]!, /at most 1048576/);
    assert.deepEqual(errorsOf(padded.slice(0, dcrLimits.fileBytesMax)), []);
  });

  it('read a file full of attributes or references to its end', () => {
    const attributes = Array.from({ length: 60_000 }, (_, index) => ` a${index}="1"`).join('');
    assert.equal(errorsOf(`<user-centric-rules${attributes}/>`).length, dcrLimits.errorsMax + 1);
  });

  it('honour the encoding and refuse others', () => {
    const text = (encoding: string): string =>
      `<?xml version='1.0' encoding='${encoding}'?>${section('http', '<request-uri><match prefix="é">a</match></request-uri>')}`;
    assert.deepEqual(errorsOf(Buffer.from(text('iso-8859-1'), 'latin1')), []);
    assert.deepEqual(errorsOf(Buffer.from(`\ufeff${text('utf-8')}`)), []);
    assert.match(
      errorsOf(Buffer.from(text('UTF-8'), 'latin1'))[0]!,
      /^1:\d+: error: bytes that are not UTF-8/,
    );
    assert.match(errorsOf(text('UTF-16'))[0]!, /expected UTF-8 or ISO-8859-1/);
    assert.ok(errorsOf(Buffer.from(`\ufeff${text('UTF-16')}`, 'utf16le')).length > 0);
  });

  it('understand predefined and numeric references, CDATA and comments', () => {
    const text = section(
      'http',
      '<request-uri><match prefix="&lt;&#x41;&#66;&quot;">^/<!-- x --><![CDATA[a&b]]>(&apos;?)</match></request-uri>',
    );
    const parsed = parseRules(Buffer.from(text), 'f.xml');
    assert.ok(parsed.ok);
    assert.match(parsed.document.http[0]!.place.element, /prefix|match \^\/a&b\('\?\)/);
  });
});

describe('parsing of rules', () => {
  it('never throws on any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const parsed = parseRules(bytes, 'f.xml');
        assert.ok(parsed.ok || parsed.errors.length > 0);
      }),
    );
  });

  it('never throws on any sequence of markup, and gives every error a place inside the file', () => {
    const piece = fc.constantFrom(
      '<user-centric-rules>', '</user-centric-rules>', '<sip-rules>', '</sip-rules>', '<or>', '</or>',
      '<if>', '</if>', '<else return="request.To"/>', header, '<exist/>', '<!--', '-->', '<![CDATA[',
      ']]>', '<!DOCTYPE user-centric-rules>', '<?x', '?>', '&lt;', '&', '"', "'", ' ', '\n', 'a', '=', '/', '>',
      '<', '<session-case>', '<equal>', '</equal>', '</session-case>', 'EXTERNAL', '\u0000', 'é',
      '<a b="', '<request-uri parameter="x" return="parameter.x">', '</request-uri>', '<match prefix=\'p\'>(x)</match>',
    ); // prettier-ignore
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 25 }), (pieces) => {
        const text = pieces.join('');
        const parsed = parseRules(Buffer.from(text), 'f.xml');
        if (parsed.ok) return;
        const lines = text.split('\n');
        for (const { line, column } of parsed.errors) {
          assert.ok(line >= 1 && line <= lines.length);
          assert.ok(column >= 1 && column <= lines[line - 1]!.length + 1);
        }
      }),
      { numRuns: 500 },
    );
  });
});
