import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Pipeline } from '../../src/pipeline/pipeline.ts';
import { readVia, StreamFramer } from '../../src/sip/index.ts';
import {
  arrivalOf,
  clusterView,
  pipelineOptions,
  RecordedPorts,
} from '../support/pipeline-parts.ts';
import { sip } from '../support/sip-text.ts';

interface Parts {
  readonly method?: string;
  readonly uri?: string;
  readonly via?: readonly string[];
  readonly to?: string;
  readonly contact?: string;
  readonly body?: string;
}

/** A request with IPv6 addresses where the parts do not say otherwise. */
function v6Request(parts: Parts): Buffer {
  const { method = 'REGISTER', body = '' } = parts;
  return sip(
    [
      `${method} ${parts.uri ?? 'sip:[2001:db8::10]'} SIP/2.0`,
      `To: ${parts.to ?? 'sip:user@example.com'}`,
      'From: sip:user@example.com;tag=81x2',
      ...(parts.via ?? ['SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111']).map(
        (via) => `Via: ${via}`,
      ),
      'Call-ID: SSG9559905523997077@hlau_4100',
      'Max-Forwards: 70',
      `Contact: ${parts.contact ?? '"Caller" <sip:caller@[2001:db8::1]>'}`,
      `CSeq: 98176 ${method}`,
      `Content-Length: ${Buffer.byteLength(body)}`,
    ],
    body,
  );
}

const view = clusterView('a', { a: 'ready' });
const fromV6 = arrivalOf({ address: '2001:db8::9:1', port: 5060 });

/** One peer alone, and what it made of a message. */
function outcome(bytes: Buffer): { verdict: string; ports: RecordedPorts } {
  const ports = new RecordedPorts();
  const { counters, ...options } = pipelineOptions('a', ports, () => view);
  new Pipeline({ counters, ...options }).receive(bytes, fromV6);
  assert.deepEqual(ports.defects, []);
  const [cause] = counters.entries().get('sip_refusals')?.keys() ?? [];
  const status = ports.answered[0]?.message.status;
  const verdict = ports.delivered.length > 0 ? 'passes' : `${status} ${cause}`;
  return { verdict, ports };
}

const sdp = 'v=0\r\no=assistant 971731711378798081 0 IN IP6 2001:db8::20\r\ns=Live\r\n';

/** Section, verdict, why, message. */
const cases: readonly (readonly [string, string, string, Parts])[] = [
  ['4.1', 'passes', 'a reference in brackets is an address', {}],
  [
    '4.2',
    '400 uri',
    'without brackets nobody can tell address and port',
    { uri: 'sip:2001:db8::10' },
  ],
  [
    '4.3',
    'passes',
    'inside the brackets 5070 is a part of the address',
    { uri: 'sip:[2001:db8::10:5070]' },
  ],
  ['4.4', 'passes', 'behind the brackets it is the port', { uri: 'sip:[2001:db8::10]:5070' }],
  [
    '4.5',
    'passes',
    'received of an older Via without brackets, as the grammar has it',
    {
      method: 'BYE',
      via: [
        'SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111',
        'SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3',
      ],
    },
  ],
  [
    '4.5',
    'passes',
    'and with brackets, as some write it',
    {
      method: 'BYE',
      via: [
        'SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111',
        'SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3',
      ],
    },
  ],
  [
    '4.6',
    'passes',
    'addresses in the body are the application’s',
    { method: 'INVITE', body: `${sdp}c=IN IP6 2001:db8::1\r\nm=audio 6000 RTP/AVP 2\r\n` },
  ],
  [
    '4.7',
    'passes',
    'both families in Via and Contact of one request',
    {
      method: 'BYE',
      via: [
        'SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111',
        'SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144',
        'SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200',
      ],
      contact: '<sip:caller@192.0.2.5>',
    },
  ],
  [
    '4.8',
    'passes',
    'both families in the body',
    {
      method: 'INVITE',
      body: `${sdp}m=audio 22334 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\nm=video 6024 RTP/AVP 107\r\nc=IN IP6 2001:db8::1\r\n`,
    },
  ],
  [
    '4.9',
    'passes',
    'an IPv4 address mapped into IPv6, in Via, Contact and body',
    {
      method: 'INVITE',
      via: ['SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19'],
      contact: '"T. desk phone" <sip:ted@[::ffff:192.0.2.2]>',
      body: `${sdp}c=IN IP6 ::ffff:192.0.2.2\r\n`,
    },
  ],
  [
    '4.10',
    'passes',
    'three colons that the grammar of RFC 3261 allowed by mistake',
    { method: 'OPTIONS', uri: 'sip:user@[2001:db8:::192.0.2.1]' },
  ],
  [
    '4.10',
    'passes',
    'and the same address as it should be written',
    { method: 'OPTIONS', uri: 'sip:user@[2001:db8::192.0.2.1]' },
  ],
];

describe('RFC 5118', () => {
  for (const [section, verdict, why, parts] of cases) {
    it(`${section}: ${verdict}: ${why}`, () => {
      const bytes = v6Request(parts);
      const { verdict: found, ports } = outcome(bytes);
      assert.equal(found, verdict);
      assert.equal(new StreamFramer().push(bytes)[0]?.kind, 'message');
      if (verdict !== 'passes') return;
      const { message } = ports.last;
      assert.equal(message.requestUri, parts.uri ?? 'sip:[2001:db8::10]');
      assert.deepEqual(message.headers('via').slice(2), (parts.via ?? []).slice(1));
      assert.equal(message.body.toString(), parts.body ?? '');
    });
  }

  it('reads an address with and without brackets as the same', () => {
    for (const received of ['2001:db8::9:255', '[2001:db8::9:255]']) {
      const text = `SIP/2.0/UDP [2001:db8::9:1]:6050;received=${received};branch=z9hG4bK1`;
      const via = readVia(text, 0, text.length);
      assert.equal(via?.received, '2001:db8::9:255');
      assert.equal(via.host, '[2001:db8::9:1]');
      assert.equal(via.port, 6050);
    }
  });

  it('writes received without brackets', () => {
    const { ports } = outcome(v6Request({ via: ['SIP/2.0/UDP [2001:db8::1];branch=z9hG4bK1'] }));
    assert.equal(
      ports.last.message.headers('via')[1],
      'SIP/2.0/UDP [2001:db8::1];branch=z9hG4bK1;received=2001:db8::9:1',
    );
  });

  it('drops a Via whose address has no brackets: nobody can tell the port', () => {
    const { verdict } = outcome(v6Request({ via: ['SIP/2.0/UDP 2001:db8::9:1;branch=z9hG4bK1'] }));
    assert.equal(verdict, 'undefined undefined');
  });
});
