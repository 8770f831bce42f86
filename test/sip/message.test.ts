import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  Edits,
  parseNameAddress,
  parseSipMessage,
  parseUri,
  readRouteUri,
  splitList,
  tagOf,
  validateRequest,
  type SipMessage,
} from '../../src/sip/index.ts';
import { sipLimits } from '../../src/config/defaults.ts';
import { request, sip } from '../support/sip-text.ts';

function parsed(bytes: Buffer): SipMessage {
  const result = parseSipMessage(bytes);
  assert.ok(result.ok, result.ok ? '' : result.fault);
  return result.message;
}

describe('parseSipMessage', () => {
  it('reads the fields that routing needs', () => {
    const message = parsed(request({ toTag: 'to1', body: 'sdp' }));
    assert.equal(message.method, 'INVITE');
    assert.equal(message.requestUri, 'sip:alice@example.com');
    assert.equal(message.callId, 'call-1@client');
    assert.equal(message.fromTag, 'from1');
    assert.equal(message.toTag, 'to1');
    assert.equal(message.cseqNumber, 1);
    assert.equal(message.cseqMethod, 'INVITE');
    assert.equal(message.body.toString(), 'sdp');
    assert.equal(message.topVia?.sentBy, '198.51.100.7:5070');
    assert.equal(message.topVia.branch, 'z9hG4bKclient1');
    assert.equal(message.topVia.rport, '');
  });

  it('finds names in any case, in compact form, with white space before the colon and folded', () => {
    const message = parsed(
      sip([
        'OPTIONS sip:a@b SIP/2.0',
        'v : SIP/2.0/TCP [2001:db8::1]:5062 ; branch=z9hG4bKx',
        'F:"A, B" <sip:a@b;x=1>;tag=f1',
        't: <sip:b@b>',
        'i: id',
        'cSeq: 7\t OPTIONS',
        'X-Room:  one,',
        '\ttwo ',
        'K: path, 100rel',
        'supported: gruu',
        'j: *;audio',
      ]),
    );
    assert.equal(message.topVia?.host, '[2001:db8::1]');
    assert.equal(message.topVia.port, 5062);
    assert.equal(message.header('from'), '"A, B" <sip:a@b;x=1>;tag=f1');
    assert.equal(message.fromTag, 'f1');
    assert.equal(message.cseqNumber, 7);
    assert.equal(message.header('X-ROOM'), 'one, two');
    assert.deepEqual(message.headers('Supported'), ['path', '100rel', 'gruu']);
    assert.equal(message.header('reject-contact'), '*;audio');
    assert.equal(message.header('x-missing'), undefined);
  });

  it('reads a response and its status', () => {
    const message = parsed(
      sip(['SIP/2.0 180 Ringing', 'Via: SIP/2.0/UDP a;branch=z9hG4bK1', 'l: 0']),
    );
    assert.equal(message.isRequest, false);
    assert.equal(message.status, 180);
  });

  it('ignores line breaks before the start line', () => {
    assert.equal(parsed(Buffer.concat([Buffer.from('\r\n\r\n'), request()])).method, 'INVITE');
  });

  it('notes flaws that can still be answered', () => {
    const flaws: readonly [string, string][] = [
      ['start-line', 'INVITE  sip:a@b SIP/2.0\r\nVia: x\r\n\r\n'],
      ['header-line', 'INVITE sip:a@b SIP/2.0\r\nno colon here\r\n\r\n'],
      ['bare-line-break', 'INVITE sip:a@b SIP/2.0\r\nVia: x\nEvil: y\r\n\r\n'],
      ['bare-line-break', 'INVITE sip:a@b SIP/2.0\r\nVia: x\rEvil: y\r\n\r\n'],
      ['nul', 'INVITE sip:a@b SIP/2.0\r\nSubject: \0\r\n\r\n'],
    ];
    for (const [flaw, text] of flaws) assert.equal(parsed(Buffer.from(text)).flaw, flaw, text);
  });

  it('stops at its limits', () => {
    const many = Array.from(
      { length: sipLimits.headerCountMax + sipLimits.ownHeaderCountMax + 1 },
      () => 'X: y',
    );
    const crowded = parseSipMessage(sip(['OPTIONS sip:a@b SIP/2.0', ...many]));
    assert.ok(!crowded.ok && crowded.fault === 'too-many-headers');
    const long = parseSipMessage(
      sip([
        'OPTIONS sip:a@b SIP/2.0',
        `X: ${'y'.repeat(sipLimits.headerBytesMax + sipLimits.ownHeaderBytesMax)}`,
      ]),
    );
    assert.ok(!long.ok && long.fault === 'header-too-large');
  });

  it('never throws, whatever the bytes', () => {
    const words = fc.constantFrom(
      'INVITE',
      'sip:a@b',
      'SIP/2.0',
      '\r\n',
      '\n',
      ':',
      ' ',
      'Via',
      'SIP/2.0/UDP',
      ';',
      '"',
      '<',
      '>',
      ',',
      'tag=',
      '\0',
      '200',
      'CSeq',
      'Content-Length',
      'x',
    );
    const soup = fc.array(words, { maxLength: 60 }).map((parts) => Buffer.from(parts.join('')));
    fc.assert(
      fc.property(
        fc.oneof(
          soup,
          fc.uint8Array({ maxLength: 300 }).map((b) => Buffer.from(b)),
        ),
        (bytes) => {
          const result = parseSipMessage(bytes);
          if (!result.ok) return;
          const { message } = result;
          validateRequest(message);
          assert.ok(message.bodyStart <= message.bytes.length);
          for (let line = 0; line < message.lineCount; line++) message.latin1(line);
          assert.ok([message.fromTag, message.toTag, message.topVia, message.headers('route')]);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('survives any single byte of a real message being another', () => {
    const original = request({
      extra: ['Route: <sip:a;lr>, <sip:b>', 'Contact: "x" <sip:c@d>'],
      body: 'abc',
    });
    fc.assert(
      fc.property(fc.nat(original.length - 1), fc.nat(255), (at, value) => {
        const bytes = Buffer.from(original);
        bytes[at] = value;
        const result = parseSipMessage(bytes);
        if (result.ok) validateRequest(result.message);
        return true;
      }),
      { numRuns: 2000 },
    );
  });
});

describe('Edits', () => {
  it('gives back the same bytes when nothing was edited', () => {
    const bytes = request({ body: 'x\0\xff' });
    assert.deepEqual(new Edits(parsed(bytes)).toBuffer(), bytes);
  });

  it('equals edits made by hand, in whatever order they are recorded', () => {
    const splice = fc.record({
      start: fc.nat(5),
      length: fc.nat(3),
      text: fc.string({ maxLength: 4, unit: 'binary-ascii' }),
    });
    fc.assert(
      fc.property(
        fc.array(splice, { maxLength: 6 }),
        fc.infiniteStream(fc.nat(1000)),
        (splices, order) => {
          const bytes = Buffer.from(
            'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789',
          );
          const placed = splices.map((each, index) => ({ ...each, start: index * 9 + each.start }));
          const edits = new Edits({
            bytes,
            text: bytes.toString('latin1'),
            bodyStart: 60,
          });
          const shuffled = placed
            .map((each) => ({ each, rank: order.next().value as number }))
            .toSorted((a, b) => a.rank - b.rank);
          for (const { each } of shuffled)
            edits.replace(each.start, each.start + each.length, each.text);
          let expected = bytes.toString('latin1');
          for (const each of placed.toReversed()) {
            expected =
              expected.slice(0, each.start) + each.text + expected.slice(each.start + each.length);
          }
          assert.equal(edits.toBuffer().toString('latin1'), expected);
        },
      ),
    );
  });
});

describe('URIs and names', () => {
  it('takes URIs apart', () => {
    const cases: readonly [string, Partial<ReturnType<typeof parseUri>> | undefined][] = [
      [
        'sip:alice@example.com',
        { scheme: 'sip', user: 'alice', host: 'example.com', port: undefined },
      ],
      [
        'SIPS:a%20b:secret@[::1]:5061;transport=tls?x=y',
        { scheme: 'sips', user: 'a b', host: '[::1]', port: '5061' },
      ],
      ['sip:+1;ext=2@gw.example.com;user=phone', { user: '+1;ext=2', host: 'gw.example.com' }],
      [
        'tel:+1-201-555-0123;phone-context=x',
        { scheme: 'tel', user: '+1-201-555-0123', host: undefined },
      ],
      ['http://example.com:8080/x', { scheme: 'http', host: 'example.com', port: '8080' }],
      ['sip:', undefined],
      ['sip:a@b:99999', undefined],
      ['alice', undefined],
    ];
    for (const [text, expected] of cases) {
      const uri = parseUri(text);
      if (expected === undefined) assert.equal(uri, undefined, text);
      else
        for (const [key, value] of Object.entries(expected))
          assert.equal(uri?.[key as 'user'], value, `${text} ${key}`);
    }
    assert.deepEqual(parseUri('sip:a@b;lr;x=%41')?.parameters, [
      ['lr', ''],
      ['x', 'A'],
    ]);
  });

  it('takes name-addr apart', () => {
    assert.deepEqual(parseNameAddress('"A \\"x\\" <z>" <sip:a@b;u=1>;tag=1;q="a;b"'), {
      displayName: 'A "x" <z>',
      uri: 'sip:a@b;u=1',
      parameters: [
        ['tag', '1'],
        ['q', 'a;b'],
      ],
    });
    assert.deepEqual(parseNameAddress('sip:a@b;tag=1'), {
      displayName: undefined,
      uri: 'sip:a@b',
      parameters: [['tag', '1']],
    });
    assert.equal(parseNameAddress('<sip:a@b'), undefined);
    assert.equal(parseNameAddress('*'), undefined);
  });

  it('finds the tag of the header, not one inside the URI', () => {
    assert.equal(tagOf('<sip:a@b;tag=no>;x=1; TAG = yes'), 'yes');
    assert.equal(tagOf('sip:a@b;tag=plain'), 'plain');
    assert.equal(tagOf('<sip:a@b;tag=no>;tagged=1'), undefined);
  });

  it('splits lists at commas outside quotes and brackets', () => {
    assert.deepEqual(splitList('<sip:a,b@c>, "x,\\"y" <sip:d> ,e'), [
      '<sip:a,b@c>',
      '"x,\\"y" <sip:d>',
      'e',
    ]);
  });

  it('reads what a Route value says of us', () => {
    const uri = readRouteUri('<sip:user@host:5060;lr;bekey=k;beroute=r;besig=s?h=v>;other');
    assert.deepEqual(uri, {
      uri: 'sip:user@host:5060;lr;bekey=k;beroute=r;besig=s?h=v',
      scheme: 'sip',
      user: 'user',
      hostPort: 'host:5060',
      isLoose: true,
      parameters: ';lr;bekey=k;beroute=r;besig=s',
      bekey: 'k',
      beroute: 'r',
      besig: 's',
    });
    assert.equal(readRouteUri('<sip:host;lr'), undefined);
  });
});
