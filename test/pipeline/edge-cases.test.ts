import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Arrival } from '../../src/pipeline/arrival.ts';
import { sipLimits } from '../../src/config/defaults.ts';
import { Generations } from '../../src/pipeline/generations.ts';
import { Counters } from '../../src/pipeline/counters.ts';
import { Pipeline } from '../../src/pipeline/pipeline.ts';
import type { ResponseTarget } from '../../src/pipeline/return-response.ts';
import { Stamper } from '../../src/pipeline/stamp.ts';
import { buildResponse, type SipMessage } from '../../src/sip/index.ts';
import {
  arrivalOf,
  clusterView,
  instanceOf,
  parsed,
  pipelineOptions,
  RecordedPorts,
} from '../support/pipeline-parts.ts';
import { request, sip, type RequestOptions } from '../support/sip-text.ts';

const fromUdp = arrivalOf();
const fromTcp = arrivalOf({ transport: 'TCP', port: 40_001, flow: 't1-7' });

/** One peer alone: what it gives to its application and what it answers. */
class Alone {
  readonly counters = new Counters();
  readonly pipeline: Pipeline;
  readonly #ports = new RecordedPorts();

  constructor(sipTransport: 'UDP' | 'TCP' = 'UDP') {
    const instance = instanceOf('a', 1, { sipTransport, applications: [] });
    const overrides = { instances: new Map([['a', instance]]), applications: new Map() };
    const view = clusterView('a', { a: 'ready' }, overrides);
    const { counters } = this;
    this.pipeline = new Pipeline(pipelineOptions('a', this.#ports, () => view, { counters }));
  }

  get delivered(): readonly SipMessage[] {
    assert.deepEqual(this.#ports.defects, []);
    return this.#ports.delivered.map(({ message }) => message);
  }

  get answered(): readonly (ResponseTarget & { flow: string })[] {
    assert.deepEqual(this.#ports.defects, []);
    return this.#ports.answered.map(({ flow, target }) => ({ ...target, flow }));
  }

  receive(options: RequestOptions, from: Arrival = fromUdp): SipMessage {
    return this.receiveBytes(request(options), from);
  }

  receiveBytes(bytes: Buffer, from: Arrival = fromUdp): SipMessage {
    const before = this.delivered.length;
    this.pipeline.receive(bytes, from);
    assert.equal(this.delivered.length, before + 1, 'nothing was delivered');
    return this.delivered.at(-1)!;
  }

  /** What the client gets of the application's answer. */
  respond(sent: SipMessage, body = ''): Buffer {
    return buildResponse(sent, { status: 200, toTag: 'to1', body: Buffer.from(body) });
  }
}

function without(text: Buffer, line: RegExp): Buffer {
  return Buffer.from(text.toString('latin1').replace(line, ''), 'latin1');
}

describe('Pipeline, source of a request', () => {
  it('leaves no received and rport of the client, however they are written', () => {
    const cases: readonly (readonly [parameters: string, expected: string])[] = [
      [';branch=z9hG4bKx;rport=', ';branch=z9hG4bKx;rport=5070'],
      [';rportx=1; rport', ';rportx=1; rport=5070'],
      [';received;branch=z9hG4bKx;rport', ';branch=z9hG4bKx;rport=5070'],
      [';received=;branch=z9hG4bKx;rport', ';branch=z9hG4bKx;rport=5070'],
      [';\r\n received=203.0.113.9;\r\n\trport;branch=z9hG4bKx', ';rport=5070;branch=z9hG4bKx'],
    ];
    for (const [parameters, expected] of cases) {
      const sent = new Alone().receive({ via: [`SIP/2.0/UDP h.invalid${parameters}`] });
      const written = `SIP/2.0/UDP h.invalid${expected};received=198.51.100.7`;
      assert.equal(sent.headers('via')[1], written);
    }
  });

  it('answers nothing to a Via with port 0', () => {
    const peer = new Alone();
    peer.pipeline.receive(request({ via: ['SIP/2.0/UDP h:0;branch=z9hG4bKx'] }), fromUdp);
    assert.equal(peer.counters.get('sip_drops', 'unanswerable'), 1);
  });
});

describe('Pipeline, what travels on', () => {
  it('states the length of a body that goes over a stream', () => {
    const smuggled = request({ method: 'BYE', callId: 'smuggled' }).toString();
    const bytes = without(request({ body: smuggled }), /\r\nContent-Length: \d+(?=\r\n\r\nBYE)/);
    const sent = new Alone('TCP').receiveBytes(bytes);
    assert.equal(sent.header('content-length'), String(smuggled.length));
    assert.equal(sent.body.toString(), smuggled);
    const answered = new Alone();
    const toStream = answered.receive(
      { via: ['SIP/2.0/TCP 198.51.100.7;branch=z9hG4bK1'] },
      fromTcp,
    );
    const response = answered.respond(toStream, 'sdp');
    answered.pipeline.receiveResponse(without(response, /Content-Length: 3\r\n/));
    assert.equal(parsed(answered.answered[0]!.message).header('content-length'), '3');
  });

  it('begins with the start line', () => {
    const sent = new Alone().receiveBytes(Buffer.concat([Buffer.from('\r\n\r\n'), request()]));
    assert.ok(sent.bytes.toString('latin1').startsWith('INVITE '));
  });

  it('never puts white space of a Route into the request line', () => {
    const peer = new Alone();
    const evil = '<sip:strict.example.org SIP/2.0\r\n X-Evil: 1>';
    const sent = peer.receive({ method: 'BYE', toTag: 't', extra: [`Route: ${evil}`] });
    assert.equal(sent.requestUri, 'sip:alice@example.com');
    assert.equal(sent.flaw, undefined);
    const [own] = peer.receive({}).headers('record-route');
    const uri = own!.slice(1, -1);
    const again = peer.receive({ method: 'BYE', toTag: 't', uri, extra: [`Route: ${evil}`] });
    assert.equal(again.requestUri, uri);
    assert.equal(again.flaw, undefined);
  });

  it('takes the unusual but valid request of RFC 4475 section 3.1.1.1', () => {
    const text = sip(
      [
        'INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0',
        'TO :',
        ' sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n',
        'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>',
        '  ;',
        '  tag = 98asjd8',
        'MaX-fOrWaRdS: 0068',
        'Call-ID: wsinv.ndaksdj@192.0.2.1',
        'Content-Length   : 3',
        'cseq: 0009',
        '  INVITE',
        'Via  : SIP  /   2.0',
        ' /UDP',
        '    192.0.2.2;branch=390skdjuw',
        's :',
        'NewFangledHeader:   newfangled value',
        ' continued newfangled value',
        'UnknownHeaderWithUnusualValue: ;;,,;;,;',
        'Content-Type: application/sdp',
        'Route:',
        ' <sip:services.example.com;lr;unknownwith=value;unknown-no-value>',
        'v:  SIP  / 2.0  / TCP     spindle.example.com   ;',
        '  branch  =   z9hG4bK9ikj8  ,',
        ' SIP  /    2.0   / UDP  192.168.255.111   ; branch=',
        ' z9hG4bK30239',
        'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =',
        '      newvalue ;',
        '  secondparam ; q = 0.33',
      ],
      'v=0',
    );
    const peer = new Alone();
    const sent = peer.receiveBytes(text);
    assert.equal(sent.header('max-forwards'), '67');
    assert.equal(sent.toTag, '1918181833n');
    assert.equal(sent.fromTag, '98asjd8');
    assert.equal(sent.cseqNumber, 9);
    assert.equal(sent.headers('via').length, 4);
    peer.pipeline.receiveResponse(peer.respond(sent));
    assert.equal(peer.answered[0]?.address, '198.51.100.7');
    assert.equal(parsed(peer.answered[0].message).headers('via').length, 3);
  });

  it('does not grow a refusal by what the client wrote', () => {
    const peer = new Alone();
    const bytes = request({ extra: [`Proxy-Require: ${'\xff'.repeat(2_000)}`] });
    peer.pipeline.receive(Buffer.from(bytes.toString('utf8'), 'latin1'), fromUdp);
    const [answer] = peer.answered;
    assert.ok(answer !== undefined && answer.message.length < 1_000);
    assert.equal(parsed(answer.message).status, 400);
  });

  it('answers a request whose header has no room for its source', () => {
    const peer = new Alone();
    const bytes = request({ cseqMethod: 'BYE', extra: ['X: y'] }).toString();
    const room = sipLimits.headerBytesMax - bytes.length + '\r\n\r\n'.length;
    const full = bytes.replace('X: y', `X: ${'y'.repeat(room - 6)}`);
    peer.pipeline.receive(Buffer.from(full), fromTcp);
    assert.equal(peer.counters.get('sip_refusals', 'cseq-method'), 1);
    assert.equal(peer.answered.length, 1);
  });
});

describe('Pipeline, responses that it must not follow', () => {
  it('takes none from outside, even under a signature that a client saw', () => {
    const peer = new Alone();
    const sent = peer.receive({});
    const forged = peer
      .respond(sent)
      .toString('latin1')
      .replace('connid=u0', 'connid=t1-99')
      .replaceAll(/SIP\/2\.0\/UDP 198.*\r\n/g, 'SIP/2.0/TCP 203.0.113.9:22;branch=z9hG4bK1\r\n');
    peer.pipeline.receive(Buffer.from(forged, 'latin1'), fromUdp);
    assert.equal(peer.answered.length, 0);
    assert.equal(peer.counters.get('sip_drops', 'response-not-ours'), 1);
  });

  it('discards one with a broken header or less body than it says', () => {
    const peer = new Alone();
    const text = peer.respond(peer.receive({}), 'sdp').toString();
    for (const broken of [text.slice(0, -1), text.replace('To:', 'X: a\nY: b\r\nTo:')]) {
      peer.pipeline.receiveResponse(Buffer.from(broken));
    }
    assert.equal(peer.answered.length, 0);
    assert.equal(peer.counters.get('sip_drops', 'bad-response'), 2);
  });

  it('dials the port of sent-by, not rport, where a stream was lost', () => {
    const peer = new Alone();
    const via = ['SIP/2.0/TCP 198.51.100.7:5062;branch=z9hG4bK1;rport'];
    peer.pipeline.receiveResponse(peer.respond(peer.receive({ via }, fromTcp)));
    assert.deepEqual([peer.answered[0]?.flow, peer.answered[0]?.port], ['t1-7', 5062]);
    peer.pipeline.receive(request({ via, cseqMethod: 'BYE' }), fromTcp);
    assert.deepEqual([peer.answered[1]?.flow, peer.answered[1]?.port], ['t1-7', 5062]);
  });
});

describe('Generations', () => {
  it('remember no key that is long enough to fill the memory', () => {
    const remembered = new Generations<number>(4);
    remembered.set('short', 1);
    remembered.set('x'.repeat(60_000), 2);
    assert.equal(remembered.get('short'), 1);
    assert.equal(remembered.get('x'.repeat(60_000)), undefined);
  });
});

describe('Stamper, rotation', () => {
  it('signs with its first key also what it verified under another', () => {
    const [old, fresh] = ['old', 'new'].map((id) => ({ id, secret: Buffer.alloc(32, id) }));
    const stamp = { bekey: 'key', beroute: 'a' };
    const before = new Stamper([old!]).signDialog(stamp, 'call');
    const stamper = new Stamper([fresh!, old!]);
    assert.ok(stamper.verifyDialog(stamp, 'call', before));
    assert.match(stamper.signDialog(stamp, 'call'), /^new\./);
    assert.ok(stamper.verifyDialog(stamp, 'call', before));
    assert.ok(!stamper.verifyDialog(stamp, 'other', before));
  });
});
