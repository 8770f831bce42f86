import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sipLimits } from '../../src/config/defaults.ts';
import { Pipeline } from '../../src/pipeline/pipeline.ts';
import { isAnswerable, isBadResponse, readRouteUri, validateRequest } from '../../src/sip/index.ts';
import {
  arrivalOf,
  clusterView,
  parsed,
  pipelineOptions,
  RecordedPorts,
} from '../support/pipeline-parts.ts';
import { request, type RequestOptions } from '../support/sip-text.ts';

function causeOf(options: RequestOptions, change?: (text: string) => string): string | undefined {
  const text = request(options).toString();
  return validateRequest(parsed(Buffer.from(change?.(text) ?? text)))?.cause;
}

describe('validateRequest', () => {
  const vias: readonly (readonly [via: string, cause: string | undefined])[] = [
    ['SIP/2.0/UDP h;branch=z9hG4bK1, SIP/2.0/X.Y other', undefined],
    ['SIP/2.0/UDP h;branch=z9hG4bK1;x="a;;b,"', undefined],
    ['SIP/2.0/UDP h;branch=z9hG4bK1;', 'via'],
    ['SIP/2.0/UDP h;;branch=z9hG4bK1', 'via'],
    ['SIP/2.0/UDP h; \t;branch=z9hG4bK1', 'via'],
    ['SIP/2.0/UDP h;branch=z9hG4bK1,', 'via'],
    ['SIP/2.0/UDP h;branch=z9hG4bK1, junk', 'via'],
    ['SIP/2.0/UDP h;branch=z9hG4bK1;x="open', 'via'],
    ['SIP/2.0/UDP h;branch=z9hG4bK1;x="open\\"', 'via'],
    ['SIP/3.0/UDP h;branch=z9hG4bK1', 'via'],
  ];
  for (const [via, cause] of vias) {
    it(`${cause ?? 'accepts'}: ${via}`, () => {
      assert.equal(causeOf({ via: [via] }), cause);
    });
  }

  it('finds nothing of ours in a quoted Via parameter', () => {
    const { topVia } = parsed(
      request({ via: ['SIP/2.0/UDP h;x=";rport;received=192.0.2.9;branch=no";branch=z9hG4bK1'] }),
    );
    assert.equal(topVia?.branch, 'z9hG4bK1');
    assert.equal(topVia.rport, undefined);
    assert.equal(topVia.received, undefined);
    assert.ok(topVia.parameters.includes('received=192.0.2.9'));
  });

  it('refuses headers in a Request-URI, not a question mark in its user', () => {
    assert.equal(causeOf({ uri: 'sip:a@b?Route=%3Csip:c%3E' }), 'uri-headers');
    assert.equal(causeOf({ uri: 'sip:b?x=y' }), 'uri-headers');
    assert.equal(causeOf({ uri: 'sip:a?x=y@b' }), undefined);
    assert.equal(causeOf({ uri: 'tel:+1-201;x=?' }), undefined);
  });

  it('refuses two Max-Forwards, and blanks in a Call-ID', () => {
    assert.equal(causeOf({ extra: ['Max-Forwards: 70'] }), 'repeated-header');
    assert.equal(causeOf({ callId: 'a b' }), 'call-id');
    assert.equal(causeOf({ callId: 'a\r\n b' }), 'call-id');
    assert.equal(causeOf({ callId: 'a"<>[]{}/\\:b' }), undefined);
  });

  it('ignores Proxy-Require in ACK and CANCEL', () => {
    for (const method of ['INVITE', 'ACK', 'CANCEL']) {
      const cause = causeOf({ method, extra: ['Proxy-Require: foo'] });
      assert.equal(cause, method === 'INVITE' ? 'proxy-require' : undefined, method);
    }
  });

  it('takes a NUL only behind the backslash of a quoted pair', () => {
    assert.equal(causeOf({ extra: ['Subject: "\\\0"'] }), undefined);
    assert.equal(causeOf({ extra: ['Subject: "\\\\\0"'] }), 'nul');
    assert.equal(causeOf({ extra: ['Subject: "\\\0\0"'] }), 'nul');
    assert.equal(causeOf({ body: '\0' }), undefined);
  });

  it('takes no folded name and no letter beside ASCII for a field', () => {
    assert.equal(
      causeOf({}, (text) => text.replace('CSeq:', 'CSeq\r\n :')),
      'header-line',
    );
    const bytes = Buffer.from(request().toString().replace('Via:', '\xf6:'), 'latin1');
    const message = parsed(bytes);
    assert.equal(message.flaw, 'header-line');
    assert.equal(isAnswerable(message), false);
  });
});

describe('isBadResponse', () => {
  const good = request()
    .toString()
    .replace(/^.*\r\n/, 'SIP/2.0 200 OK\r\n');
  const changes: readonly (readonly [what: string, change: (text: string) => string])[] = [
    ['no CSeq', (text) => text.replace(/CSeq.*\r\n/, '')],
    ['a CSeq above its range', (text) => text.replace('CSeq: 1', 'CSeq: 4294967296')],
    ['two To', (text) => text.replace('To:', 'To: <sip:x@y>\r\nTo:')],
    ['an open quote in From', (text) => text.replace('From: ', 'From: "x')],
    ['more length than body', (text) => text.replace('Length: 0', 'Length: 1')],
  ];
  for (const [what, change] of changes) {
    it(`is one with ${what}`, () => {
      assert.equal(isBadResponse(parsed(Buffer.from(good))), false);
      assert.equal(isBadResponse(parsed(Buffer.from(change(good)))), true);
    });
  }

  it('is one whose next Via is the broadcast address, by name or by received', () => {
    const next = (via: string): boolean =>
      isBadResponse(parsed(Buffer.from(good.replace('Max-', `Via: ${via}\r\nMax-`))));
    assert.equal(next('SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1'), true);
    assert.equal(next('SIP/2.0/UDP h;received=255.255.255.255'), true);
    assert.equal(next('SIP/2.0/UDP 255.255.255.255;received=192.0.2.1'), false);
    assert.equal(next('SIP/2.0/UDP h;x=255.255.255.255'), false);
  });
});

describe('readRouteUri', () => {
  it('reads the URI behind the display name, not one inside it', () => {
    assert.equal(readRouteUri('"<sip:ours;lr>" <sip:other;lr>')?.hostPort, 'other');
    assert.equal(readRouteUri('"\\"<sip:ours;lr>" <sip:other;lr>')?.hostPort, 'other');
    assert.equal(readRouteUri('"open <sip:ours;lr>'), undefined);
  });
});

describe('Fields as long as a message may be', () => {
  const view = clusterView('a', { a: 'ready', b: 'ready' });
  const long = 'y'.repeat(sipLimits.headerBytesMax - 1_000);
  const fields: readonly (readonly [what: string, options: RequestOptions])[] = [
    ['Call-ID', { callId: long }],
    ['From tag', { fromTag: long }],
    ['To tag', { toTag: long }],
    ['branch', { via: [`SIP/2.0/UDP h;rport;branch=z9hG4bK${long}`] }],
    ['Via parameter', { via: [`SIP/2.0/UDP h;${long};rport=`] }],
    ['Route', { extra: [`Route: <sip:${long};lr>`] }],
    ['other field', { extra: [`X: ${long}`] }],
    ['method', { method: long.slice(0, 30_000) }],
  ];
  for (const [what, options] of fields) {
    it(`${what}: the request travels on or is answered`, () => {
      const ports = new RecordedPorts();
      const made = pipelineOptions('a', ports, () => view);
      new Pipeline(made).receive(request(options), arrivalOf());
      ports.letAnswersArrive();
      assert.deepEqual(ports.defects, []);
      assert.equal(ports.delivered.length + ports.answered.length, 1);
    });
  }
});
