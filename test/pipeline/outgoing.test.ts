import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Arrival, SipTransport } from '../../src/pipeline/arrival.ts';
import { depart } from '../../src/pipeline/depart.ts';
import { Pipeline } from '../../src/pipeline/pipeline.ts';
import { digestOf } from '../../src/pipeline/key.ts';
import type { PipelineOptions } from '../../src/pipeline/ports.ts';
import { recognise, type Recognised } from '../../src/pipeline/recognise.ts';
import { returnResponse } from '../../src/pipeline/return-response.ts';
import { rewriteRequest } from '../../src/pipeline/rewrite.ts';
import { applicationOf } from '../../src/pipeline/sender.ts';
import type { SipTarget } from '../../src/pipeline/sip-target.ts';
import { buildResponse, type Refusal, type SipMessage } from '../../src/sip/index.ts';
import {
  arrivalOf,
  clusterView,
  instanceOf,
  listenerNames,
  parsed,
  pipelineOptions,
  RecordedPorts,
  sipNamesOf,
} from '../support/pipeline-parts.ts';
import { request, sip, type RequestOptions } from '../support/sip-text.ts';

const three = { a: 'ready', b: 'ready', c: 'ready' } as const;

/** The socket on which the application beside peer `a` sends. */
const inner: Arrival = {
  transport: 'UDP',
  address: '10.0.0.1',
  port: 5080,
  flow: 'a0',
  listener: listenerNames({ type: 'internal', advertised: '10.0.0.1:5090', own: '10.0.0.1:5090' }),
};

const remote: SipTarget = { transport: 'UDP', address: '203.0.113.9', port: 5062, serverName: '' };

const fromApplication: RequestOptions = {
  uri: 'sip:carol@203.0.113.9:5062',
  via: ['SIP/2.0/UDP 10.0.0.1:5080;branch=z9hG4bKapp1;rport'],
  callId: 'call-of-a@10.0.0.1',
};

function listeners(...transports: SipTransport[]) {
  return transports.map((transport) =>
    listenerNames({
      transport,
      own: `192.0.2.1:${transport === 'UDP' ? 5060 : 5061}`,
      advertised: `sip.example.net:${transport === 'UDP' ? 5060 : 5061}`,
    }),
  );
}

class Peer {
  readonly ports = new RecordedPorts();
  readonly refusals: Refusal[] = [];
  readonly options: PipelineOptions;

  constructor(
    self: string,
    overrides: Partial<PipelineOptions> = {},
    view = clusterView(self, three),
  ) {
    this.ports.targets = [remote];
    this.options = pipelineOptions(self, this.ports, () => view, {
      names: sipNamesOf(self, {
        listeners: listeners('UDP', 'TCP', 'TLS', 'WSS'),
        own: new Set(['sip.example.net:5060', 'sip.example.net:443']),
      }),
      ...overrides,
    });
  }

  /** What is left to be routed to an instance, after the journey's first steps. */
  depart(options: RequestOptions, arrival: Arrival = inner): Recognised | undefined {
    const message = parsed(request(options));
    const recognised = recognise(message, this.options.names, this.options.stamper);
    const sender = applicationOf(message, arrival, this.options.view());
    return depart({ message, arrival, recognised, sender }, this.options, (_request, refusal) =>
      this.refusals.push(refusal),
    );
  }

  /** What instance `b` is given of an initial request that entered here. */
  inbound(options: RequestOptions, arrival: Arrival, instance = instanceOf('b', 2)): SipMessage {
    const message = parsed(request(options));
    const recognised = recognise(message, this.options.names, this.options.stamper);
    const stamp = { bekey: digestOf('k'), beroute: instance.name };
    const sender = applicationOf(message, arrival, this.options.view());
    const input = { message, arrival, recognised, sender };
    return parsed(rewriteRequest(input, stamp, instance, this.options));
  }

  respond(message: Buffer, status = 200): string | undefined {
    const response = buildResponse(parsed(message), { status, toTag: 'remote' });
    return returnResponse(parsed(response), this.options);
  }

  get sent(): SipMessage {
    const sent = this.ports.sent.at(-1);
    assert.ok(sent !== undefined, 'nothing was sent');
    return parsed(sent.message);
  }
}

const wss: Arrival = arrivalOf({
  transport: 'WSS',
  flow: 'x4-17',
  listener: listenerNames({ transport: 'WSS', advertised: 'sip.example.net:443' }),
});

describe('a request of the application', () => {
  it('leaves with our Via, which names this peer and the way back to the application', () => {
    const peer = new Peer('a');
    assert.equal(peer.depart(fromApplication), undefined);
    const [ours, theirs] = peer.sent.headers('via');
    assert.match(
      ours!,
      /^SIP\/2\.0\/UDP 192\.0\.2\.1:5060;branch=z9hG4bKsr\w+;felb=a;connid=a0;bekey=[\w-]{22};beroute=a;besig=k1\.[\w-]{22}$/,
    );
    assert.equal(
      theirs,
      'SIP/2.0/UDP 10.0.0.1:5080;branch=z9hG4bKapp1;rport=5080;received=10.0.0.1',
    );
    assert.equal(peer.sent.header('max-forwards'), '69');
  });

  it('names the sprayer in Via where any peer is to get the response', () => {
    const peer = new Peer('a', { viaNamesSprayer: true });
    peer.depart(fromApplication);
    assert.match(peer.sent.headers('via')[0]!, /^SIP\/2\.0\/UDP sip\.example\.net:5060;/);
  });

  it('is recorded with a face for each side, both with the stamp of its instance', () => {
    const peer = new Peer('a');
    peer.depart(fromApplication);
    const [outer, innerFace] = peer.sent.headers('record-route');
    const digest = digestOf('from1\ncall-of-a@10.0.0.1');
    const stamp = `bekey=${digest};beroute=a;besig=k1\\.[\\w-]{22}`;
    assert.match(outer!, new RegExp(`^<sip:sip\\.example\\.net:5060;lr;${stamp}>$`));
    assert.match(innerFace!, new RegExp(`^<sip:10\\.0\\.0\\.1:5090;lr;${stamp}>$`));
  });

  it('comes home: the answer is sent to the application on its own flow', () => {
    const peer = new Peer('a');
    peer.depart(fromApplication);
    assert.equal(peer.respond(peer.sent.bytes), undefined);
    const [answer] = peer.ports.answered;
    assert.equal(answer?.flow, 'a0');
    assert.equal(answer.target.address, '10.0.0.1');
    assert.equal(answer.target.port, 5080);
    assert.deepEqual(answer.message.headers('via').length, 1);
  });

  it('comes home from another peer, over the link', () => {
    const peer = new Peer('a');
    const other = new Peer('b');
    peer.depart(fromApplication);
    assert.equal(other.respond(peer.sent.bytes), undefined);
    assert.equal(other.ports.relayed[0]?.peer, 'a');
  });

  for (const known of [true, false]) {
    it(`comes to the successor of a dead instance, which its Via then names (${known ? 'known dead' : 'link down'})`, () => {
      const dead = new Peer('a');
      dead.depart(fromApplication);
      const others = { b: 'ready', c: 'ready' } as const;
      const view = known
        ? clusterView('c', others, { departed: new Map([['10.0.0.1:5080', 'a']]) })
        : clusterView('c', three);
      const peer = new Peer('c', {}, view);
      peer.ports.unreachable.add('a');
      assert.equal(peer.respond(dead.sent.bytes, 180), undefined);
      const [given] = peer.ports.deliveredResponses;
      assert.ok(given !== undefined);
      const digest = digestOf('from1\ncall-of-a@10.0.0.1');
      const successor = clusterView('c', others).ring.owner(digest);
      assert.equal(given.instance, successor);
      const number = successor === 'b' ? 2 : 3;
      assert.deepEqual(parsed(given.message).headers('via'), [
        `SIP/2.0/UDP 10.0.0.${number}:5080;branch=z9hG4bKapp1`,
      ]);
    });
  }

  it('takes no response whose Via we did not sign, wherever it says that it goes', () => {
    const peer = new Peer('a');
    peer.depart(fromApplication);
    const text = peer.sent.bytes.toString('latin1');
    for (const [from, to] of [
      ['connid=a0', 'connid=u0'],
      ['felb=a', 'felb=b'],
      ['beroute=a', 'beroute=b'],
    ] as const) {
      const forged = text.replace(from, to);
      assert.equal(peer.respond(Buffer.from(forged, 'latin1')), 'response-not-ours');
    }
    const [recordRoute] = peer.sent.headers('record-route');
    const known = /bekey=[^>]+/.exec(recordRoute!)![0];
    const crafted = text.replace(/bekey=[^\r]+/, known);
    assert.equal(peer.respond(Buffer.from(crafted, 'latin1')), 'response-not-ours');
  });

  it('goes to the next target with a branch of its own when the first one cannot be reached', () => {
    const peer = new Peer('a');
    const second = { ...remote, address: '203.0.113.10' };
    peer.ports.targets = [remote, second];
    peer.depart(fromApplication);
    const first = peer.sent;
    peer.ports.sent[0]!.failed();
    assert.equal(peer.ports.sent[1]?.target, second);
    assert.notEqual(peer.sent.topVia?.branch, first.topVia?.branch);
    peer.ports.sent[1].failed();
    assert.deepEqual(
      peer.refusals.map(({ status, cause }) => [status, cause]),
      [[500, 'outgoing-unreachable']],
    );
  });

  it('keeps one branch for an INVITE, its CANCEL and its retransmission', () => {
    const peer = new Peer('a');
    for (const method of ['INVITE', 'INVITE', 'CANCEL']) {
      peer.depart({ ...fromApplication, method });
    }
    const branches = peer.ports.sent.map(({ message }) => parsed(message).topVia?.branch);
    assert.equal(new Set(branches).size, 1);
  });

  it('is refused when it names no host, and when its transport is none of ours', () => {
    const peer = new Peer('a');
    peer.depart({ ...fromApplication, uri: 'tel:+4912345' });
    peer.ports.targets = [{ ...remote, transport: 'WS' }];
    peer.depart(fromApplication);
    assert.deepEqual(
      peer.refusals.map(({ cause }) => cause),
      ['outgoing-scheme', 'outgoing-unreachable'],
    );
  });

  it('to a SIPS resource leaves by TLS alone and is recorded so, whatever its Route says', () => {
    const peer = new Peer('a');
    const schemes: string[] = [];
    peer.ports.resolve = ({ scheme }, _seed, found): void => {
      schemes.push(scheme);
      found([remote]);
    };
    const route = (uri: string): string[] => [`Route: <${uri}>`];
    const secure = { ...fromApplication, uri: 'sips:carol@203.0.113.9' };
    peer.depart({ ...secure, extra: route('sip:198.51.100.1;lr') });
    assert.match(peer.sent.headers('record-route')[0]!, /^<sips:/);
    peer.depart({ ...secure, extra: route('sip:198.51.100.1') });
    peer.depart({ ...fromApplication, extra: route('sips:198.51.100.1;lr') });
    assert.match(peer.sent.headers('record-route')[0]!, /^<sips:/);
    peer.depart({ ...fromApplication, extra: route('sip:198.51.100.1;lr') });
    assert.match(peer.sent.headers('record-route')[0]!, /^<sip:/);
    assert.deepEqual(schemes, ['sips', 'sips', 'sips', 'sip']);
  });

  it('stays inside when it is for the cluster or for another application', () => {
    const peer = new Peer('a');
    const cluster = peer.depart({ ...fromApplication, uri: 'sip:conf@sip.example.net' });
    const neighbour = peer.depart({ ...fromApplication, uri: 'sip:x@10.0.0.2:5080' });
    assert.ok(cluster !== undefined && neighbour !== undefined);
    assert.equal(peer.ports.sent.length, 0);
  });

  it('in a dialog of two applications goes back to the caller, not to itself', () => {
    const peer = new Peer('b');
    const invite = peer.inbound({ ...fromApplication, uri: 'sip:x@10.0.0.2:5080' }, inner);
    const routes = invite.headers('record-route').map((value) => `Route: ${value}`);
    const own: Arrival = {
      ...inner,
      address: '10.0.0.2',
      listener: listenerNames({ type: 'internal', advertised: '10.0.0.2:5090' }),
    };
    const options = { method: 'BYE', callId: fromApplication.callId!, toTag: 't' };
    const back = peer.depart({ ...options, uri: 'sip:a@10.0.0.1:5080', extra: routes }, own);
    assert.ok(back !== undefined);
    assert.equal(back.stamp?.beroute, 'a');
    assert.equal(back.removed.length, 2);
  });

  it('is known on a listener for everybody by its source, and nobody else is', () => {
    const peer = new Peer('b');
    const onePort = arrivalOf({ address: '10.0.0.1', port: 5080 });
    assert.equal(peer.depart(fromApplication, onePort), undefined);
    assert.equal(peer.sent.headers('via')[0]?.includes(';beroute=a;'), true);
    assert.ok(peer.depart(fromApplication, arrivalOf()) !== undefined);
    assert.ok(
      peer.depart(fromApplication, {
        ...onePort,
        listener: listenerNames({ type: 'external' }),
      }) !== undefined,
    );
    const stream = arrivalOf({ transport: 'TCP', address: '10.0.0.1', port: 40_000, flow: 't1-1' });
    assert.equal(peer.depart(fromApplication, stream), undefined);
    assert.ok(peer.depart(fromApplication, { ...stream, address: '198.51.100.7' }) !== undefined);
  });
});

describe('a flow token', () => {
  const register: RequestOptions = {
    method: 'REGISTER',
    via: ['SIP/2.0/WSS abc.invalid;branch=z9hG4bKw1'],
    extra: ['Supported: path, outbound'],
  };

  it('stands in the Path of a client on a stream, with ob where the client speaks outbound', () => {
    const peer = new Peer('a');
    const [path] = peer.inbound(register, wss).headers('path');
    assert.match(
      path!,
      /^<sip:ob~a~x4-17~k1\.[\w-]{22}@sip\.example\.net:443;transport=ws;lr;ob;bekey=[\w-]{22};beroute=b;besig=/,
    );
    const plain = { ...register, extra: ['Supported: path'] };
    assert.ok(!peer.inbound(plain, wss).headers('path')[0]!.includes(';ob;'));
    const second = [...register.via!, 'SIP/2.0/WSS proxy.example;branch=z9hG4bKx'];
    assert.ok(
      !peer
        .inbound({ ...register, via: second }, wss)
        .headers('path')[0]!
        .includes(';ob;'),
    );
  });

  it('of a datagram names the address, for a client that speaks outbound alone', () => {
    const peer = new Peer('a');
    const [path] = peer.inbound(register, arrivalOf()).headers('path');
    assert.match(path!, /^<sip:ob~a~u0!198\.51\.100\.7!5070~k1\./);
    const plain = { ...register, extra: ['Supported: path'] };
    assert.match(peer.inbound(plain, arrivalOf()).headers('path')[0]!, /^<sip:sip\.example\.net/);
  });

  it('leads the application to the connection, at this peer and at another', () => {
    const peer = new Peer('a');
    const [path] = peer.inbound(register, wss).headers('path');
    const call = { ...fromApplication, uri: 'sip:js@abc.invalid', extra: [`Route: ${path!}`] };
    assert.equal(peer.depart(call), undefined);
    const [here] = peer.ports.onFlows;
    assert.deepEqual([here?.peer, here?.flow], [undefined, 'x4-17']);
    const message = parsed(here!.message);
    assert.equal(message.headers('route').length, 0);
    assert.match(message.headers('via')[0]!, /^SIP\/2\.0\/WSS /);
    assert.match(
      message.headers('record-route')[0]!,
      /^<sip:fl~a~x4-17~k1\.[\w-]{22}@sip\.example\.net:5061;transport=ws;lr;bekey=/,
    );

    const other = new Peer('b');
    assert.equal(other.depart(call), undefined);
    assert.deepEqual([other.ports.onFlows[0]?.peer, other.ports.onFlows[0]?.flow], ['a', 'x4-17']);
  });

  it('of a Path leads anybody there, of a Record-Route the application alone', () => {
    const peer = new Peer('a');
    const [path] = peer.inbound(register, wss).headers('path');
    const outside = arrivalOf();
    const call = { uri: 'sip:js@abc.invalid', extra: [`Route: ${path!}`] };
    assert.equal(peer.depart(call, outside), undefined);
    assert.equal(peer.ports.onFlows.length, 1);

    const invite = peer.inbound({ via: register.via! }, wss);
    const routes = invite.headers('record-route').map((value) => `Route: ${value}`);
    const inDialog = { method: 'BYE', toTag: 't', extra: routes.toReversed() };
    const left = peer.depart(inDialog, outside);
    assert.equal(left?.stamp?.beroute, 'b');
    assert.equal(peer.depart({ ...inDialog, extra: routes }, inner), undefined);
    assert.equal(peer.ports.onFlows.at(-1)?.flow, 'x4-17');
  });

  it('is not followed back to the connection that a request came on', () => {
    const peer = new Peer('a');
    const [path] = peer.inbound(register, wss).headers('path');
    const left = peer.depart({ uri: 'sip:conf@x', extra: [`Route: ${path!}`] }, wss);
    assert.equal(left?.stamp?.beroute, 'b');
    assert.equal(peer.ports.onFlows.length, 0);
  });

  it('of a flow that is gone answers 430', () => {
    const peer = new Peer('a');
    const [path] = peer.inbound(register, wss).headers('path');
    peer.ports.unreachable.add('x4-17');
    peer.depart({ ...fromApplication, extra: [`Route: ${path!}`] });
    assert.deepEqual(
      peer.refusals.map(({ status }) => status),
      [430],
    );
  });

  it('that was tampered with is told apart, and that of another call', () => {
    const peer = new Peer('a');
    const [path] = peer.inbound(register, wss).headers('path');
    const [dialog] = peer.inbound({ via: register.via! }, wss).headers('record-route').toReversed();
    const { names, stamper } = peer.options;
    const isForged = (route: string, callId = 'call-1@client'): boolean =>
      recognise(parsed(request({ callId, extra: [`Route: ${route}`] })), names, stamper)
        .isFlowForged;
    assert.equal(isForged(path!), false);
    assert.equal(isForged(path!.replace('x4-17', 'x4-18')), true);
    assert.equal(isForged(path!.replace('~a~', '~b~')), true);
    assert.equal(isForged(path!.replace(/~k1\.[\w-]{22}@/, '@')), true);
    assert.equal(isForged(dialog!), false);
    assert.equal(isForged(dialog!, 'other-call'), true);
  });
});

describe('a response', () => {
  it('finds our Via though its writer has set white space in it', () => {
    const peer = new Peer('a');
    peer.depart(fromApplication);
    const spaced = peer.sent.bytes.toString('latin1').replace(';felb=a', ' ; felb = a');
    assert.equal(peer.respond(Buffer.from(spaced, 'latin1')), undefined);
  });

  it('leaves quoted text in the Via of its client whole', () => {
    const peer = new Peer('a');
    const via =
      'SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bKq;note="a;received=1";received=1.2.3.4';
    const message = peer.inbound({ via: [via] }, arrivalOf());
    assert.match(message.headers('via')[1]!, /;note="a;received=1";received=198\.51\.100\.7$/);
  });

  it('for an address of IPv6 in brackets goes there', () => {
    const peer = new Peer('a');
    peer.depart({ ...fromApplication, via: ['SIP/2.0/UDP [2001:db8::1]:5080;branch=z9hG4bK6'] });
    peer.respond(peer.sent.bytes);
    assert.equal(peer.ports.answered[0]?.target.address, '10.0.0.1');
    const text = peer.sent.bytes
      .toString('latin1')
      .replace('received=10.0.0.1', 'received=[2001:db8::9]');
    peer.respond(Buffer.from(text, 'latin1'));
    assert.equal(peer.ports.answered[1]?.target.address, '2001:db8::9');
  });
});

describe('a client of RFC 2543', () => {
  const via = ['SIP/2.0/UDP 198.51.100.7:5070;branch=1'];
  const branchOf = (options: RequestOptions): string | undefined =>
    new Peer('a').inbound({ via, ...options }, arrivalOf()).topVia?.branch;

  it('has one branch for INVITE, CANCEL and the ACK to its failure', () => {
    const invite = branchOf({});
    assert.equal(branchOf({ method: 'CANCEL' }), invite);
    assert.equal(branchOf({ method: 'ACK', toTag: 't' }), invite);
  });

  it('has another one for another transaction', () => {
    const invite = branchOf({});
    assert.notEqual(branchOf({ cseq: 2 }), invite);
    assert.notEqual(branchOf({ uri: 'sip:other@example.com' }), invite);
    const info = { method: 'INFO', cseq: 7 };
    assert.notEqual(branchOf({ ...info, toTag: 'one' }), branchOf({ ...info, toTag: 'two' }));
  });
});

describe('the whole journey', () => {
  it('answers 403 to a forged flow token and 430 for a flow that the holder lost', () => {
    const peer = new Peer('a');
    const pipeline = new Pipeline(peer.options);
    const token = '<sip:ob~a~x4-17~k1.AAAAAAAAAAAAAAAAAAAAAA@sip.example.net;lr>';
    pipeline.receive(request({ extra: [`Route: ${token}`] }), arrivalOf());
    assert.equal(peer.ports.answered[0]?.message.status, 403);

    const holder = new Peer('b');
    const [path] = holder
      .inbound({ method: 'REGISTER', extra: ['Supported: path, outbound'] }, wss)
      .headers('path');
    pipeline.receive(request({ ...fromApplication, extra: [`Route: ${path!}`] }), inner);
    const [relayed] = peer.ports.onFlows;
    assert.equal(relayed?.peer, 'b');
    new Pipeline(holder.options).flowGone(relayed.message);
    assert.equal(holder.ports.relayed[0]?.peer, 'a');
    pipeline.receiveResponse(holder.ports.relayed[0].message);
    const answer = peer.ports.answered.at(-1);
    assert.deepEqual([answer?.flow, answer?.message.status], ['a0', 430]);
  });

  it('takes a response from outside, and the refusal of a request goes to its application', () => {
    const peer = new Peer('a');
    const pipeline = new Pipeline(peer.options);
    pipeline.receive(request(fromApplication), inner);
    pipeline.receive(buildResponse(peer.sent, { status: 180, toTag: 'r' }), arrivalOf());
    assert.deepEqual(
      [peer.ports.answered[0]?.flow, peer.ports.answered[0]?.message.status],
      ['a0', 180],
    );
    peer.ports.sent[0]!.failed();
    assert.equal(peer.ports.answered[1]?.message.status, 500);
    assert.equal(peer.ports.answered[1].target.port, 5080);
  });

  it('never answers an ACK, and never relays what comes from outside', () => {
    const peer = new Peer('a');
    const pipeline = new Pipeline(peer.options);
    const ack = { ...fromApplication, method: 'ACK', toTag: 't', uri: 'sip:x@203.0.113.9' };
    pipeline.receive(request(ack), inner);
    peer.ports.sent[0]!.failed();
    assert.equal(peer.ports.answered.length, 0);
    pipeline.receive(request({ uri: 'sip:carol@203.0.113.9:5062' }), arrivalOf());
    pipeline.receive(
      request({ callId: 'c2', extra: ['Route: <sip:203.0.113.9:5062;lr>'] }),
      arrivalOf(),
    );
    assert.equal(peer.ports.sent.length, 1);
    assert.equal(peer.ports.delivered.length, 2);
  });

  it('says nothing to a program that is ignored, but hears its application', () => {
    const peer = new Peer('a', { ignores: () => true });
    const pipeline = new Pipeline(peer.options);
    pipeline.receive(request(), arrivalOf());
    assert.equal(peer.ports.delivered.length + peer.ports.answered.length, 0);
    pipeline.receive(request(fromApplication), inner);
    assert.equal(peer.ports.sent.length, 1);
  });

  it('answers a datagram with at most one and a half times its size', () => {
    const peer = new Peer('a');
    const pipeline = new Pipeline(peer.options);
    const bare = [
      'OPTIONS x:y SIP/2.0',
      'v:SIP/2.0/UDP a;branch=z9hG4bK1;rport',
      'f:<sip:a@b>;tag=1',
      't:<sip:c@d>',
      'i:1',
      'CSeq:1 OPTIONS',
    ];
    pipeline.receive(sip(bare), arrivalOf());
    assert.equal(peer.ports.answered.length, 0);
    assert.equal(peer.options.counters.get('sip_drops', 'amplification'), 1);
    pipeline.receive(sip(bare), arrivalOf({ transport: 'TCP', flow: 't1-1' }));
    assert.equal(peer.ports.answered.length, 1);
  });
});
