import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { admissionLimits } from '../../src/config/defaults.ts';
import { Admission, type AdmissionOptions } from '../../src/pipeline/admission.ts';
import { answerTarget } from '../../src/pipeline/answer.ts';
import { isAmplifying } from '../../src/pipeline/answer-size.ts';
import type { Arrival } from '../../src/pipeline/arrival.ts';
import { Counters } from '../../src/pipeline/counters.ts';
import { arrivalOf, listenerNames, parsed } from '../support/pipeline-parts.ts';

interface Setting {
  readonly protection?: Partial<AdmissionOptions['protection']>;
  readonly isOverloaded?: () => boolean;
}

function admission(setting: Setting = {}): { admission: Admission; counters: Counters } {
  const counters = new Counters();
  const options: AdmissionOptions = {
    protection: {
      requestsPerSecond: 1,
      burst: 1,
      allow: [],
      droppedUserAgents: [],
      ...setting.protection,
    },
    overload: { retryAfterSeconds: 7 },
    isOverloaded: setting.isOverloaded ?? (() => false),
    counters,
  };
  return { admission: new Admission(options), counters };
}

const request = Buffer.from('OPTIONS sip:a@example.com SIP/2.0\r\n\r\n');
const arrival = arrivalOf();

function verdicts(bytes: Buffer, from: Arrival = arrival, setting: Setting = {}): boolean[] {
  const { admission: one } = admission(setting);
  return [1, 2, 3].map(() => one.admits(bytes, from, 0));
}

function withUserAgent(...lines: string[]): Buffer {
  return Buffer.from(
    ['OPTIONS sip:a@example.com SIP/2.0', 'Call-ID: 1', ...lines, '', ''].join('\r\n'),
  );
}

describe('requests of one source', () => {
  it('pass up to its burst; the rest is dropped and counted, until time has passed', () => {
    const { admission: one, counters } = admission({ protection: { burst: 2 } });
    const admitted = [0, 0, 0, 999, 1_000, 1_001].map((nowMs) =>
      one.admits(request, arrival, nowMs),
    );
    assert.deepEqual(admitted, [true, true, false, false, true, false]);
    assert.equal(counters.get('sip_drops', 'source-rate'), 3);
  });

  it('are those of its address, whatever port and flow they come from', () => {
    const { admission: one } = admission();
    assert.ok(one.admits(request, arrivalOf({ port: 1_111 }), 0));
    assert.ok(!one.admits(request, arrivalOf({ port: 2_222, flow: 't1-7', transport: 'TCP' }), 0));
    assert.ok(one.admits(request, arrivalOf({ address: '203.0.113.1' }), 0));
  });

  it('pass without end where there is no limit, or the source is allowed', () => {
    const all = [true, true, true];
    assert.deepEqual(verdicts(request, arrival, { protection: { requestsPerSecond: 0 } }), all);
    assert.deepEqual(
      verdicts(request, arrival, { protection: { allow: ['198.51.100.0/24'] } }),
      all,
    );
  });

  it('pass without end when an application sends them', () => {
    const internal = arrivalOf({ flow: 'a0', listener: listenerNames({ type: 'internal' }) });
    assert.deepEqual(verdicts(request, internal), [true, true, true]);
  });
});

describe('what is limited', () => {
  const breaks = '\r\n'.repeat(admissionLimits.lineBreaksSkippedMax / 2);
  for (const [name, text, isLimited] of [
    ['a response', 'SIP/2.0 200 OK\r\n\r\n', false],
    ['a response in lower case', 'sip/2.0 200 OK\r\n\r\n', false],
    ['a response after line breaks', `${breaks}SIP/2.0 200 OK\r\n\r\n`, false],
    [
      'a response after more line breaks than are skipped',
      `${breaks}\r\nSIP/2.0 200 OK\r\n\r\n`,
      true,
    ],
    ['a request after line breaks', '\r\n\r\nOPTIONS sip:a SIP/2.0\r\n\r\n', true],
    ['a method that begins like a response', 'SIP/2.1 sip:a SIP/2.0\r\n\r\n', true],
    ['the same without blank', 'SIP/2.0\tsip:a SIP/2.0\r\n\r\n', true],
    ['the begin of a response', 'SIP/2.', true],
    ['nothing', '', true],
  ] as const)
    it(`${name}: ${isLimited}`, () => {
      assert.deepEqual(verdicts(Buffer.from(text)), [true, !isLimited, !isLimited]);
    });
});

describe('scanners', () => {
  const protection = { droppedUserAgents: ['friendly-scanner', 'SIPVicious'] };
  for (const [line, isDropped] of [
    ['User-Agent: friendly-scanner', true],
    ['user-agent:   FRIENDLY-Scanner 1.0', true],
    ['User-Agent: sipvicious', true],
    ['User-Agent: friendly-scanne', false],
    ['User-Agent: not friendly-scanner', false],
    ['User-Agent:', false],
    ['Server: friendly-scanner', false],
  ] as const)
    it(`"${line}" is ${isDropped ? '' : 'not '}dropped`, () => {
      const { admission: one, counters } = admission({ protection });
      assert.equal(one.dropsUserAgent(parsed(withUserAgent(line))), isDropped);
      assert.equal(counters.get('sip_drops', 'user-agent'), isDropped ? 1 : 0);
    });

  it('are known by what they send, not by what an application answers', () => {
    const response = Buffer.from('SIP/2.0 200 OK\r\nUser-Agent: friendly-scanner\r\n\r\n');
    assert.ok(!admission({ protection }).admission.dropsUserAgent(parsed(response)));
  });

  it('are nobody where none is configured', () => {
    const message = parsed(withUserAgent('User-Agent: friendly-scanner'));
    assert.ok(!admission().admission.dropsUserAgent(message));
  });
});

describe('something new', () => {
  it('is refused with 503 and Retry-After while the peer is overloaded', () => {
    let isOverloaded = false;
    const { admission: one } = admission({ isOverloaded: () => isOverloaded });
    assert.equal(one.refusesNew(), undefined);
    isOverloaded = true;
    assert.deepEqual(one.refusesNew(), {
      status: 503,
      reason: 'Service Unavailable',
      cause: 'overload',
      headers: [['Retry-After', '7']],
    });
    isOverloaded = false;
    assert.equal(one.refusesNew(), undefined);
  });
});

describe('the size of an answer', () => {
  it('may be one and a half times that of its request, and no more', () => {
    assert.equal(isAmplifying(200, 300), false);
    assert.equal(isAmplifying(200, 301), true);
    assert.equal(isAmplifying(0, 1), true);
  });

  for (const [status, reason, headers] of [
    [400, 'Bad Request - Max-Forwards', []],
    [420, 'Bad Extension', [['Unsupported', 'a']]],
    [500, 'No instance available', []],
    [503, 'Service Unavailable', [['Retry-After', '3600']]],
  ] as const)
    it(`is kept with ${status} to a request with nothing in it but what clients must write`, () => {
      const bytes = Buffer.from(
        [
          'OPTIONS sip:sip.example.net SIP/2.0',
          'Via: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bK776asdhds;rport',
          'Max-Forwards: 70',
          'From: <sip:alice@example.com>;tag=1928301774',
          'To: <sip:sip.example.net>',
          'Call-ID: a84b4c76e66710@pc33.example.com',
          'CSeq: 63104 OPTIONS',
          'Contact: <sip:alice@198.51.100.9>',
          'Content-Length: 0',
          '',
          '',
        ].join('\r\n'),
      );
      const refusal = { status, reason, cause: 'x', headers };
      const target = answerTarget(parsed(bytes), arrival, refusal);
      assert.ok(target !== undefined);
      assert.equal(isAmplifying(bytes.length, target.message.length), false);
    });
});
