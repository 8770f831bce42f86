import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Arrival } from '../../src/pipeline/arrival.ts';
import { Counters } from '../../src/pipeline/counters.ts';
import { digestOf, KeyDeriver } from '../../src/pipeline/key.ts';
import { Pipeline } from '../../src/pipeline/pipeline.ts';
import type { ClusterView, InstanceStatus } from '../../src/pipeline/view.ts';
import type { KeyResult, Rules } from '../../src/dcr/index.ts';
import { buildResponse } from '../../src/sip/index.ts';
import {
  arrivalOf,
  clusterView,
  parsed,
  pipelineOptions,
  RecordedPorts,
  type Delivered,
} from '../support/pipeline-parts.ts';
import { request, type RequestOptions } from '../support/sip-text.ts';

const arrival = arrivalOf();

/** One peer's pipeline with ports that record; all peers of a test share keys and view. */
class Peer extends RecordedPorts {
  readonly counters = new Counters();
  readonly pipeline: Pipeline;
  view: ClusterView;
  rules: Rules | undefined;

  constructor(
    name: string,
    statuses: Readonly<Record<string, InstanceStatus>>,
    onInvalidStamp: 'ignore' | 'reject' = 'ignore',
  ) {
    super();
    this.view = viewOf(name, statuses);
    this.pipeline = new Pipeline(
      pipelineOptions(name, this, () => this.view, {
        counters: this.counters,
        onInvalidStamp,
        keys: () => new KeyDeriver(this.rules),
      }),
    );
  }

  receive(options: RequestOptions, from: Arrival = arrival): void {
    this.pipeline.receive(request(options), from);
    this.letAnswersArrive();
  }
}

/** All with embedded applications. */
function viewOf(self: string, statuses: Readonly<Record<string, InstanceStatus>>): ClusterView {
  const view = clusterView(self, statuses, { applications: new Map() });
  const instances = [...view.instances].map(
    ([name, instance]) => [name, { ...instance, applications: [] }] as const,
  );
  return { ...view, instances: new Map(instances) };
}

const three = { a: 'ready', b: 'ready', c: 'ready' } as const;

function constantRules(result: KeyResult): Rules {
  return { kind: 'rule', sipKey: () => result, httpKey: () => result };
}

/** In-dialog options with the Route that a UA makes of the Record-Route it saw. */
function inDialog(sent: Delivered, method: string): RequestOptions {
  const [recordRoute] = sent.message.headers('record-route');
  assert.ok(recordRoute !== undefined);
  return { method, cseq: 2, toTag: 'to1', extra: [`Route: ${recordRoute}`] };
}

describe('Pipeline, initial requests', () => {
  it('brings all peers to the same owner, with the same bytes but for the way back', () => {
    const [one, two] = [new Peer('a', three), new Peer('b', three)];
    one.receive({});
    two.receive({});
    assert.equal(one.last.envelope.instance, two.last.envelope.instance);
    assert.equal(one.last.envelope.reason, 'fallback');
    const wayBack = /;felb=.*/;
    assert.equal(
      one.last.message.bytes.toString().replace(wayBack, ''),
      two.last.message.bytes.toString().replace(wayBack, ''),
    );
  });

  it('notes the source, counts the hop down, pushes a Via and records a stamped route', () => {
    const peer = new Peer('a', three);
    peer.receive({});
    const { message, envelope } = peer.last;
    const [ours, client] = message.headers('via');
    assert.match(
      ours!,
      new RegExp(
        `^SIP/2.0/UDP ${peer.view.instances.get(envelope.instance)!.sipInternal.replaceAll('.', '\\.')};branch=z9hG4bK`,
      ),
    );
    assert.match(ours!, /;felb=a;connid=u0;bekey=[\w-]{22};beroute=[abc];besig=k1\.[\w-]{22}$/);
    assert.equal(
      client,
      'SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bKclient1;rport=5070;received=198.51.100.7',
    );
    assert.equal(message.header('max-forwards'), '69');
    assert.match(
      message.header('record-route')!,
      /^<sip:sip\.example\.net:5060;lr;bekey=[\w-]{22};beroute=[abc];besig=k1\.[\w-]{22}>$/,
    );
  });

  it('leaves every other byte of the message alone', () => {
    const peer = new Peer('a', three);
    const odd = ['x-Odd :  a,  b ;c  ', 'Subject: fold', ' ed', 'MAX-FORWARDS2: 9'];
    peer.receive({ extra: odd, body: 'v=0\r\n\0\xff' });
    const text = peer.last.message.bytes.toString('latin1');
    assert.ok(text.includes(`${odd.join('\r\n')}\r\n`));
    assert.ok(text.endsWith(Buffer.from('v=0\r\n\0\xff').toString('latin1')));
  });

  it('uses the key of the rules where they give one', () => {
    const peer = new Peer('a', three);
    peer.rules = constantRules('room-42');
    peer.receive({ callId: 'x' });
    const first = peer.last.envelope;
    peer.receive({ callId: 'y', fromTag: 'other' });
    assert.equal(first.reason, 'rule');
    assert.equal(first.keyDigest, digestOf('room-42'));
    assert.equal(peer.last.envelope.instance, first.instance);
  });

  it('adds 70 where Max-Forwards is absent', () => {
    const peer = new Peer('a', three);
    peer.pipeline.receive(
      Buffer.from(request().toString().replace('Max-Forwards: 70\r\n', '')),
      arrival,
    );
    assert.equal(peer.last.message.header('max-forwards'), '70');
  });

  it('does not believe a received parameter that the client wrote', () => {
    const peer = new Peer('a', three);
    peer.receive({
      via: ['SIP/2.0/UDP client.invalid;received=203.0.113.9;branch=z9hG4bKx;rport'],
    });
    assert.equal(
      peer.last.message.headers('via')[1],
      'SIP/2.0/UDP client.invalid;branch=z9hG4bKx;rport=5070;received=198.51.100.7',
    );
  });

  it('records no route in requests that make no dialog, and Path only where it is supported', () => {
    const peer = new Peer('a', three);
    for (const method of ['OPTIONS', 'MESSAGE', 'CANCEL', 'REGISTER']) {
      peer.receive({ method });
      assert.equal(peer.last.message.header('record-route'), undefined, method);
      assert.equal(peer.last.message.header('path'), undefined, method);
    }
    peer.receive({ method: 'REGISTER', extra: ['Supported: 100rel, path'] });
    assert.match(peer.last.message.header('path')!, /^<sip:sip\.example\.net:5060;lr;bekey=/);
    peer.receive({ method: 'SUBSCRIBE' });
    assert.ok(peer.last.message.header('record-route') !== undefined);
  });

  it('goes to the successor when the owner cannot be reached, with bytes made for it', () => {
    const peer = new Peer('a', three);
    peer.receive({});
    const owner = peer.last.envelope.instance;
    peer.unreachable.add(owner);
    peer.receive({ cseq: 2 });
    assert.notEqual(peer.last.envelope.instance, owner);
    assert.match(
      peer.last.message.header('record-route')!,
      new RegExp(`beroute=${peer.last.envelope.instance};`),
    );
    assert.equal(peer.counters.get('sip_failovers', 'fallback'), 1);
  });

  it('never sends new sessions to a draining instance', () => {
    const peer = new Peer('a', { a: 'draining', b: 'ready', c: 'disabled' });
    for (let call = 0; call < 20; call++) {
      peer.receive({ callId: `call-${call}` });
      assert.equal(peer.last.envelope.instance, 'b');
    }
  });

  it('answers 500 when there is no instance, but never an ACK', () => {
    const peer = new Peer('a', {});
    peer.receive({});
    const [answer] = peer.answered;
    assert.equal(answer?.message.status, 500);
    assert.match(answer.target.message.toString(), /^SIP\/2\.0 500 No instance available\r\n/);
    assert.equal(answer.target.port, 5070);
    peer.receive({ method: 'ACK', toTag: answer.message.toTag! });
    assert.equal(peer.answered.length, 1);
    assert.equal(peer.counters.get('sip_drops', 'own-ack'), 1);
  });

  it('waits for an ENUM answer and then routes', async () => {
    const peer = new Peer('a', three);
    peer.rules = constantRules({ number: '+123' });
    peer.known = () => {
      peer.rules = constantRules('sip:+123@example.com');
      return Promise.resolve();
    };
    peer.receive({});
    assert.equal(peer.delivered.length, 0);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(peer.last.envelope.keyDigest, digestOf('sip:+123@example.com'));
  });

  it('gives up on rules that never come to know their numbers', async () => {
    const peer = new Peer('a', three);
    peer.rules = constantRules({ number: '+123' });
    peer.receive({});
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(peer.counters.get('sip_drops', 'waiting-for-enum'), 1);
  });

  it('survives a defect, counts and reports it', () => {
    const peer = new Peer('a', three);
    peer.rules = {
      ...constantRules(null),
      sipKey: () => {
        throw new Error('broken rule');
      },
    };
    peer.receive({});
    assert.equal(peer.defects.length, 1);
    assert.equal(peer.counters.get('sip_drops', 'defect'), 1);
  });
});

describe('Pipeline, in-dialog requests', () => {
  it('follows the stamp though the ring moved the key, and takes our Route off', () => {
    const peer = new Peer('a', three);
    peer.receive({});
    const first = peer.last;
    const other = new Peer('b', { ...three, d: 'ready', e: 'ready', f: 'ready' });
    other.receive(inDialog(first, 'BYE'));
    assert.equal(other.last.envelope.reason, 'stamp');
    assert.equal(other.last.envelope.instance, first.envelope.instance);
    assert.equal(other.last.message.header('route'), undefined);
    assert.equal(other.last.message.header('record-route'), undefined);
  });

  it('serves from a draining instance, and from the successor of a disabled one except for its ACK', () => {
    const peer = new Peer('a', three);
    peer.receive({});
    const first = peer.last;
    const owner = first.envelope.instance;
    peer.view = viewOf('a', { ...three, [owner]: 'draining' });
    peer.receive(inDialog(first, 'BYE'));
    assert.equal(peer.last.envelope.instance, owner);
    peer.view = viewOf('a', { ...three, [owner]: 'disabled' });
    peer.receive(inDialog(first, 'BYE'));
    assert.notEqual(peer.last.envelope.instance, owner);
    assert.equal(peer.last.envelope.reason, 'stamp-key');
    peer.receive(inDialog(first, 'ACK'));
    assert.equal(peer.last.envelope.instance, owner);
  });

  it('finds one and the same successor from every peer when the instance is gone', () => {
    const peer = new Peer('a', three);
    peer.receive({});
    const first = peer.last;
    const left = Object.fromEntries(
      Object.entries(three).filter(([name]) => name !== first.envelope.instance),
    );
    const chosen = Object.keys(left).map((name) => {
      const survivor = new Peer(name, left);
      survivor.receive(inDialog(first, 'BYE'));
      return survivor.last.envelope;
    });
    assert.equal(new Set(chosen.map((envelope) => envelope.instance)).size, 1);
    assert.ok(chosen.every((envelope) => envelope.keyDigest === first.envelope.keyDigest));
  });

  it('ignores and counts a stamp that was altered or belongs to another call', () => {
    const peer = new Peer('a', three);
    peer.receive({});
    const [route] = peer.last.message.headers('record-route');
    const owner = peer.last.envelope.instance;
    const forged = route!.replace(`beroute=${owner}`, `beroute=${owner === 'a' ? 'b' : 'a'}`);
    peer.receive({ method: 'BYE', toTag: 't', extra: [`Route: ${forged}`] });
    assert.equal(peer.last.envelope.reason, 'fallback');
    assert.equal(peer.last.envelope.instance, owner);
    assert.equal(peer.last.message.header('route'), undefined);
    peer.receive({ method: 'BYE', callId: 'another', toTag: 't', extra: [`Route: ${route!}`] });
    assert.equal(peer.last.envelope.reason, 'fallback');
    assert.equal(peer.counters.get('stamps_invalid', 'route'), 2);
  });

  it('answers 403 to a forged stamp where that is configured', () => {
    const peer = new Peer('a', three, 'reject');
    peer.receive({
      method: 'BYE',
      toTag: 't',
      extra: ['Route: <sip:sip.example.net;lr;bekey=x;beroute=a;besig=k1.AAAAAAAAAAAAAAAAAAAAAA>'],
    });
    assert.equal(peer.answered[0]?.message.status, 403);
  });

  it('keeps foreign Routes, also on a shared line', () => {
    const peer = new Peer('a', three);
    peer.receive({});
    const first = peer.last;
    const [own] = first.message.headers('record-route');
    const far = '<sip:far.example.org;lr>';
    const cases: [string[], string[]][] = [
      [[`Route: ${own!}, ${far}`], [far]],
      [[`Route: ${own!} , <sip:x.example.org;lr>,${far}`], ['<sip:x.example.org;lr>', far]],
      [[`Route: ${own!}`, `Route: ${far}`], [far]],
      [[`Route: ${own!},${own!}`, `Route: ${far}`], [far]],
      [
        [`Route: ${far}`, `Route: ${own!}`],
        [far, own!],
      ],
    ];
    for (const [extra, expected] of cases) {
      peer.receive({ method: 'BYE', cseq: 2, toTag: 'to1', extra });
      assert.deepEqual(peer.last.message.headers('route'), expected, extra.join(' | '));
    }
  });

  it('undoes what a strict router before us did', () => {
    const peer = new Peer('a', three);
    peer.receive({});
    const first = peer.last;
    const own = first.message.headers('record-route')[0]!.slice(1, -1);
    peer.receive({
      method: 'BYE',
      toTag: 'to1',
      uri: own,
      extra: ['Route: <sip:next.example.org;lr>, <sip:alice@198.51.100.20:5080>'],
    });
    assert.equal(peer.last.message.requestUri, 'sip:alice@198.51.100.20:5080');
    assert.deepEqual(peer.last.message.headers('route'), ['<sip:next.example.org;lr>']);
    assert.equal(peer.last.envelope.reason, 'stamp');
  });

  it('puts a strict next hop into the Request-URI and the Request-URI last into Route', () => {
    const peer = new Peer('a', three);
    peer.receive({});
    const own = peer.last.message.headers('record-route')[0]!;
    peer.receive({
      method: 'BYE',
      toTag: 'to1',
      uri: 'sip:alice@198.51.100.20',
      extra: [`Route: ${own}, <sip:strict.example.org>, <sip:z.example.org;lr>`],
    });
    assert.equal(peer.last.message.requestUri, 'sip:strict.example.org');
    assert.deepEqual(peer.last.message.headers('route'), [
      '<sip:z.example.org;lr>',
      '<sip:alice@198.51.100.20>',
    ]);
  });

  it('gives CANCEL and the ACK to a non-2xx the branch and instance of their INVITE', () => {
    const [peer, other] = [new Peer('a', three), new Peer('c', three)];
    peer.receive({});
    other.receive({ method: 'CANCEL' });
    const ack = new Peer('b', three);
    ack.receive({ method: 'ACK', toTag: 'final' });
    const branches = [peer, other, ack].map((each) => each.last.message.topVia?.branch);
    assert.equal(new Set(branches).size, 1);
    assert.equal(new Set([peer, other, ack].map((each) => each.last.envelope.instance)).size, 1);
    peer.receive({ cseq: 2 });
    assert.notEqual(peer.last.message.topVia?.branch, branches[0]);
  });
});

describe('Pipeline, refusals', () => {
  const cases: readonly [string, (text: string) => string, number][] = [
    ['a CSeq of another method', (text) => text.replace('CSeq: 1 INVITE', 'CSeq: 1 BYE'), 400],
    ['a CSeq beyond 2**31', (text) => text.replace('CSeq: 1', 'CSeq: 4294967296'), 400],
    ['a missing From value', (text) => text.replace(/From: .*/, 'From: '), 400],
    ['two Call-IDs', (text) => text.replace('CSeq', 'i: other\r\nCSeq'), 400],
    [
      'white space in the Request-URI',
      (text) => text.replace('sip:alice@example.com SIP', 'sip:alice@example.com; lr SIP'),
      400,
    ],
    [
      'a body shorter than announced',
      (text) => text.replace('Content-Length: 0', 'Content-Length: 10'),
      400,
    ],
    [
      'a Max-Forwards that is no number',
      (text) => text.replace('Max-Forwards: 70', 'Max-Forwards: x'),
      400,
    ],
    [
      'an unknown URI scheme',
      (text) => text.replace('sip:alice@example.com SIP', 'http://example.com SIP'),
      416,
    ],
    [
      'a Request-URI that is too long',
      (text) => text.replace('sip:alice@', `sip:${'a'.repeat(9000)}@`),
      414,
    ],
    [
      'an extension asked of proxies',
      (text) => text.replace('CSeq', 'Proxy-Require: a, b\r\nCSeq'),
      420,
    ],
    [
      'a header that is too large',
      (text) => text.replace('CSeq', `X: ${'y'.repeat(65_536)}\r\nCSeq`),
      513,
    ],
    [
      'too many header fields',
      (text) => text.replace('CSeq', `${'X: y\r\n'.repeat(512)}CSeq`),
      513,
    ],
    ['no hops left', (text) => text.replace('Max-Forwards: 70', 'Max-Forwards: 0'), 483],
    ['another version', (text) => text.replace(' SIP/2.0\r\n', ' SIP/3.0\r\n'), 505],
  ];
  for (const [name, change, status] of cases) {
    it(`answers ${status} to ${name}`, () => {
      const peer = new Peer('a', three);
      peer.pipeline.receive(Buffer.from(change(request().toString())), arrival);
      assert.equal(peer.delivered.length, 0);
      assert.equal(peer.answered[0]?.message.status, status);
      const { message } = peer.answered[0];
      assert.equal(message.callId, 'call-1@client');
      assert.match(message.headers('via')[0]!, /received=198\.51\.100\.7/);
      if (status === 420) assert.equal(message.headers('unsupported').join(), 'a,b');
    });
  }

  it('drops and counts what cannot be answered', () => {
    const peer = new Peer('a', three);
    const drops: readonly [string, string][] = [
      ['empty', '\r\n\r\n'],
      ['not-sip', 'GET / HTTP/1.1\r\n\r\n'],
      ['header-not-ended', 'INVITE sip:a SIP/2.0\r\nVia: x\r\n'],
      ['unanswerable', 'INVITE sip:a@b SIP/2.0\r\nTo: <sip:a@b>\r\n\r\n'],
      ['response-not-ours', buildResponse(parsed(request()), { status: 200 }).toString()],
    ];
    for (const [reason, text] of drops) {
      peer.pipeline.receive(Buffer.from(text), arrival);
      assert.equal(peer.counters.get('sip_drops', reason), 1, reason);
    }
    assert.equal(peer.answered.length + peer.delivered.length, 0);
  });

  it('cuts what a datagram holds beyond its Content-Length', () => {
    const peer = new Peer('a', three);
    const text = request({ body: 'abcd' })
      .toString()
      .replace('Content-Length: 4', 'Content-Length: 2');
    peer.pipeline.receive(Buffer.from(text), arrival);
    assert.equal(peer.last.message.body.toString(), 'ab');
  });
});

describe('Pipeline, responses', () => {
  function answerTo(sent: Delivered, status = 200): Buffer {
    return buildResponse(sent.message, { status, toTag: 'to1', body: Buffer.from('sdp') });
  }

  it('leave on the flow, our Via gone, the rest as the application wrote it', () => {
    const peer = new Peer('a', three);
    peer.receive({});
    peer.pipeline.receiveResponse(answerTo(peer.last));
    const [answer] = peer.answered;
    assert.ok(answer !== undefined);
    assert.equal(answer.flow, 'u0');
    assert.deepEqual([answer.target.address, answer.target.port], ['198.51.100.7', 5070]);
    assert.equal(answer.message.headers('via').length, 1);
    assert.equal(answer.message.header('record-route'), peer.last.message.header('record-route'));
    assert.equal(answer.message.body.toString(), 'sdp');
  });

  it('go over the link to the peer that holds the flow', () => {
    const [ingress, owner] = [new Peer('a', three), new Peer('b', three)];
    ingress.receive({});
    owner.pipeline.receiveResponse(answerTo(ingress.last));
    assert.equal(owner.relayed[0]?.peer, 'a');
    ingress.pipeline.receiveResponse(owner.relayed[0].message);
    assert.equal(ingress.answered.length, 1);
  });

  it('are sent by the owner itself over UDP when the holder of the flow is lost', () => {
    const [ingress, owner] = [new Peer('a', three), new Peer('b', three)];
    ingress.receive({});
    owner.unreachable.add('a');
    owner.pipeline.receiveResponse(answerTo(ingress.last));
    assert.equal(owner.answered[0]?.flow, '');
    assert.equal(owner.answered[0].target.address, '198.51.100.7');
  });

  it('with two Vias on one line lose only ours', () => {
    const peer = new Peer('a', three);
    peer.receive({ method: 'MESSAGE' });
    const text = answerTo(peer.last)
      .toString()
      .replace(/\r\nVia: SIP\/2\.0\/UDP 198/, ' , SIP/2.0/UDP 198');
    peer.pipeline.receiveResponse(Buffer.from(text));
    assert.equal(peer.answered[0]?.message.headers('via').length, 1);
    assert.match(peer.answered[0].message.header('via')!, /^SIP\/2\.0\/UDP 198\.51\.100\.7/);
  });

  it('are dropped when their Via was not signed for their call', () => {
    const peer = new Peer('a', three);
    peer.receive({});
    const text = answerTo(peer.last).toString();
    peer.pipeline.receiveResponse(
      Buffer.from(text.replace('Call-ID: call-1@client', 'Call-ID: other')),
    );
    peer.pipeline.receiveResponse(Buffer.from(text.replace(/beroute=[abc]/, 'beroute=z')));
    assert.equal(peer.counters.get('sip_drops', 'response-not-ours'), 2);
    assert.equal(peer.answered.length, 0);
  });

  it('come from the owner when its application refused: 500, but nothing for an ACK', () => {
    const peer = new Peer('a', three);
    peer.receive({});
    peer.pipeline.refuse(peer.last.message.bytes);
    assert.equal(peer.answered[0]?.message.status, 500);
    peer.receive({ method: 'ACK', toTag: 'x' });
    peer.pipeline.refuse(peer.last.message.bytes);
    assert.equal(peer.answered.length, 1);
  });
});
