import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Arrival } from '../../src/pipeline/arrival.ts';
import { digestOf } from '../../src/pipeline/key.ts';
import { buildResponse } from '../../src/sip/index.ts';
import { clusterView, instanceOf, listenerNames, sipNamesOf } from '../support/pipeline-parts.ts';
import { PipelinePeer, roomRules } from '../support/pipeline-peer.ts';
import type { RequestOptions } from '../support/sip-text.ts';

const three = { a: 'ready', b: 'ready', c: 'ready' } as const;
const callId = 'call-of-a@10.0.0.1';

/** The socket on which the application beside a peer sends. */
function inner(name: string, overrides: Partial<Arrival> = {}): Arrival {
  const { applications, sipInternal } = instanceOf(name, name.charCodeAt(0) - 0x60);
  const transport = overrides.transport ?? 'UDP';
  return {
    transport,
    address: applications[0]!.split(':')[0]!,
    port: 5080,
    flow: 'a0',
    listener: listenerNames({
      type: 'internal',
      transport,
      advertised: sipInternal,
      own: sipInternal,
    }),
    ...overrides,
  };
}

function peerNamed(name: string, view = clusterView(name, three)): PipelinePeer {
  const own = new Set(['sip.example.net:5060', view.instances.get(name)!.sipInternal]);
  const peer = new PipelinePeer(name, view, { names: sipNamesOf(name, { own }) });
  peer.targets = [{ transport: 'UDP', address: '203.0.113.9', port: 5060, serverName: '' }];
  return peer;
}

function fromA(options: RequestOptions = {}): RequestOptions {
  return {
    uri: 'sip:x@10.0.0.2:5080',
    via: ['SIP/2.0/UDP 10.0.0.1:5080;branch=z9hG4bKapp1'],
    callId,
    ...options,
  };
}

/** Routes of the one that called, and of the one that was called. */
function routesIn(peer: PipelinePeer): { caller: string[]; called: string[] } {
  const recorded = peer.last.message.headers('record-route');
  const asRoutes = (values: readonly string[]): string[] => values.map((each) => `Route: ${each}`);
  return { caller: asRoutes(recorded.toReversed()), called: asRoutes(recorded) };
}

describe('a call between two applications of the cluster', () => {
  it('over TCP records no flow, which would name the caller to clients', () => {
    const peer = peerNamed('a');
    const tcp = inner('a', { transport: 'TCP', flow: 'a1-7', port: 40_000 });
    assert.equal(peer.route(fromA(), tcp), 'b');
    const { called } = routesIn(peer);
    assert.ok(!called.join().includes('@'), called.join());
    const other = peerNamed('b');
    const bye = { method: 'BYE', uri: 'sip:a@10.0.0.1:5080', callId, fromTag: 't', toTag: 'from1' };
    assert.equal(other.route({ ...bye, extra: called }, inner('b')), 'a');
    assert.deepEqual(other.onFlows, []);
  });

  it('comes back to its caller by name when the Contact is that of the cluster', () => {
    const peer = peerNamed('a');
    peer.route(fromA(), inner('a'));
    const { caller, called } = routesIn(peer);
    const other = peerNamed('b');
    for (const fromTag of ['t1', 't2', 't3', 't4', 't5']) {
      const info = {
        method: 'INFO',
        uri: 'sip:a@sip.example.net',
        callId,
        fromTag,
        toTag: 'from1',
      };
      assert.equal(other.route({ ...info, extra: called }, inner('b')), 'a');
    }
    const info = { method: 'INFO', uri: 'sip:b@sip.example.net', toTag: 't', extra: caller };
    assert.equal(peer.route(fromA(info), inner('a')), 'b');
  });

  it('stays with one that has called itself', () => {
    const peer = peerNamed('a');
    peer.route(fromA({ uri: 'sip:x@10.0.0.1:5080' }), inner('a'));
    const { caller, called } = routesIn(peer);
    for (const fromTag of ['t1', 't2', 't3', 't4', 't5']) {
      const info = {
        method: 'INFO',
        uri: 'sip:a@sip.example.net',
        callId,
        fromTag,
        toTag: 'from1',
      };
      assert.equal(peer.route({ ...info, extra: called }, inner('a')), 'a');
      assert.equal(peer.route({ ...info, extra: caller }, inner('a')), 'a');
    }
  });

  it('stays inside when the one that was called has left, and goes to its heir', () => {
    const peer = peerNamed('a');
    peer.route(fromA(), inner('a'));
    const { caller } = routesIn(peer);
    const { keyDigest } = peer.last.envelope;
    peer.view = clusterView(
      'a',
      { a: 'ready', c: 'ready' },
      { departed: new Map([['10.0.0.2:5080', 'b']]) },
    );
    const heir = peer.route(fromA({ method: 'BYE', toTag: 't', extra: caller }), inner('a'));
    assert.equal(heir, peer.view.ring.owner(keyDigest));
    assert.equal(peer.sent.length, 0);
    const { message } = peer.last;
    assert.equal(
      message.requestUri,
      `sip:x@${instanceOf(heir, heir === 'a' ? 1 : 3).applications[0]}`,
    );
  });

  for (const call of ['one', 'two', 'three', 'four']) {
    it(`answers the heir of a dead caller, not the one that was called (${call})`, () => {
      const peer = peerNamed('a');
      peer.route(fromA({ callId: call }), inner('a'));
      const response = buildResponse(peer.last.message, { status: 180, toTag: 't' });
      const others = { b: 'ready', c: 'ready' } as const;
      const departed = new Map([['10.0.0.1:5080', 'a']]);
      const other = peerNamed('b', clusterView('b', others, { departed }));
      other.unreachable.add('a');
      other.pipeline.receiveResponse(response);
      const [given] = other.deliveredResponses;
      const heir = other.view.ring.owner(digestOf(`from1\n${call}`));
      assert.ok(given !== undefined);
      assert.equal(given.instance, heir);
      const address = heir === 'b' ? '10.0.0.2:5080' : '10.0.0.3:5080';
      assert.ok(given.message.includes(`Via: SIP/2.0/UDP ${address};`));
    });
  }
});

describe('an application that asks its peer for its state', () => {
  it('is told that it is served while the peer drains; only the outside is to go elsewhere', () => {
    const view = clusterView('a', { ...three, a: 'draining' });
    const peer = peerNamed('a', view);
    const via = ['SIP/2.0/UDP 10.0.0.1:5080;branch=z9hG4bKo'];
    peer.hear({ method: 'OPTIONS', uri: 'sip:10.0.0.1:5090', via }, inner('a'));
    peer.hear({ method: 'OPTIONS', uri: 'sip:sip.example.net' });
    assert.deepEqual(
      peer.answered.map(({ message }) => message.status),
      [200, 503],
    );
  });
});

describe('a request that an application sends on', () => {
  const rooms = ['r1', 'r2', 'r3', 'r4', 'r5', 'r6'];
  const via = [
    'SIP/2.0/UDP 10.0.0.1:5080;branch=z9hG4bKonward',
    'SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bKclient1',
  ];
  const uri = 'sip:conf@sip.example.net';

  it('leaves the one that sent it on out of the dialog when that records no route', () => {
    const peer = peerNamed('a');
    peer.rules = roomRules;
    const room = rooms.find((each) => peer.view.ring.owner(digestOf(each)) !== 'a')!;
    assert.equal(peer.route({ uri: 'sip:x@10.0.0.1:5080' }), 'a');
    const recorded = peer.last.message
      .headers('record-route')
      .map((each) => `Record-Route: ${each}`);
    const next = peer.route({ uri, via, extra: [...recorded, `X-Room: ${room}`] }, inner('a'));
    assert.notEqual(next, 'a');
    const { caller } = routesIn(peer);
    assert.equal(caller.length, 4);
    assert.equal(peer.route({ method: 'BYE', uri, toTag: 't', extra: caller }), next);
  });

  it('is routed by what it says now, not as the one that the application was given', () => {
    const peer = peerNamed('a');
    peer.rules = roomRules;
    for (const room of rooms) {
      const call = { callId: room, uri };
      const served = peer.route({ ...call, extra: ['X-Room: first'] });
      const onward = { ...call, via, extra: [`X-Room: ${room}`] };
      const next = peer.route(onward, inner('a'));
      assert.equal(next, peer.view.ring.owner(digestOf(room)), room);
      assert.equal(peer.route({ ...call, via, method: 'CANCEL' }, inner('a')), next);
      assert.equal(peer.route({ ...call, via, method: 'ACK', toTag: 't' }, inner('a')), next);
      assert.equal(peer.route({ ...call, method: 'CANCEL' }), served);
    }
  });
});
