import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Arrival } from '../../src/pipeline/arrival.ts';
import {
  arrivalOf,
  clusterView,
  listenerNames,
  parsed,
  sipNamesOf,
} from '../support/pipeline-parts.ts';
import { PipelinePeer } from '../support/pipeline-peer.ts';
import type { RequestOptions } from '../support/sip-text.ts';

/** The browser that calls, and the one that is called. */
const caller = webSocket('x4-17');
const called = webSocket('x4-18');
const via = (branch: string): string[] => [`SIP/2.0/WSS abc.invalid;branch=z9hG4bK${branch}`];

function webSocket(flow: string): Arrival {
  const listener = listenerNames({ transport: 'WSS', advertised: 'sip.example.net:443' });
  return arrivalOf({ transport: 'WSS', flow, listener });
}

/** The socket on which the application beside peer `a` sends. */
const inner: Arrival = arrivalOf({
  address: '10.0.0.1',
  port: 5080,
  flow: 'a0',
  listener: listenerNames({ type: 'internal', advertised: '10.0.0.1:5090' }),
});

function peerA(): PipelinePeer {
  const own = new Set(['sip.example.net:5060', 'sip.example.net:443', '10.0.0.1:5090']);
  return new PipelinePeer('a', clusterView('a', { a: 'ready' }), {
    names: sipNamesOf('a', { own }),
  });
}

/** The Path with which a browser registered. */
function pathOf(peer: PipelinePeer, client: Arrival, branch: string): string {
  const extra = ['Supported: path, outbound'];
  peer.route({ method: 'REGISTER', callId: branch, via: via(branch), extra }, client);
  return peer.last.message.header('path')!;
}

function routes(values: readonly string[]): string[] {
  return values.map((value) => `Route: ${value}`);
}

describe('a dialog of two clients through a proxy that records no route of its own', () => {
  const invite: RequestOptions = { uri: 'sip:carol@sip.example.net', via: via('i') };

  /** Record-Route as the one that is called gets it. */
  function recorded(peer: PipelinePeer, from: Arrival): string[] {
    const path = pathOf(peer, called, 'r');
    peer.route(from === caller ? invite : { uri: invite.uri! }, from);
    const given = peer.last.message;
    const extra = [
      `Route: ${path}`,
      ...given.headers('record-route').map((value) => `Record-Route: ${value}`),
    ];
    const onward = ['SIP/2.0/UDP 10.0.0.1:5080;branch=z9hG4bKp', ...given.headers('via')];
    peer.hear({ uri: 'sip:carol@xyz.invalid', via: onward, extra }, inner);
    return parsed(peer.onFlows.at(-1)!.message).headers('record-route');
  }

  for (const [kind, from] of [
    ['a browser', caller],
    ['a phone', arrivalOf()],
  ] as const) {
    it(`leads from ${kind} to the other one's connection and back`, () => {
      const peer = peerA();
      const route = recorded(peer, from);
      const sent = peer.onFlows.length;
      const delivered = peer.delivered.length;
      const bye = { method: 'BYE', uri: 'sip:carol@xyz.invalid', toTag: 't', cseq: 2 };
      peer.hear({ ...bye, via: via('b'), extra: routes(route.toReversed()) }, from);
      assert.equal(peer.delivered.length, delivered);
      assert.equal(peer.onFlows.length, sent + 1);
      assert.equal(peer.onFlows.at(-1)?.flow, 'x4-18');
      const back = { method: 'BYE', uri: 'sip:bob@abc.invalid', fromTag: 't', toTag: 'from1' };
      peer.hear({ ...back, via: via('c'), extra: routes(route) }, called);
      if (from === caller) assert.equal(peer.onFlows.at(-1)?.flow, 'x4-17');
      else assert.equal(peer.delivered.length, delivered + 1);
    });
  }

  it('takes the way of a client that came back on another connection for no way to itself', () => {
    const peer = peerA();
    peer.route({ ...invite, callId: 'other' }, caller);
    const extra = routes(peer.last.message.headers('record-route').toReversed());
    const preloaded = ['Route: <sip:sip.example.net;lr>', ...extra, ...extra];
    const bye = { method: 'BYE', callId: 'other', toTag: 't', via: via('e'), extra: preloaded };
    assert.equal(peer.route(bye, webSocket('x4-99')), 'a');
    assert.deepEqual(peer.onFlows, []);
  });
});

describe('a dialog that a server outside begins with a client by its Path', () => {
  it('leads to the connection, and from it to the instance of the registration', () => {
    const peer = peerA();
    const path = pathOf(peer, called, 'r');
    const outside = arrivalOf();
    peer.hear({ uri: 'sip:carol@xyz.invalid', extra: [`Route: ${path}`] }, outside);
    const route = parsed(peer.onFlows.at(-1)!.message).headers('record-route');
    assert.equal(route.length, 1);
    const ack = { method: 'ACK', uri: 'sip:carol@xyz.invalid', toTag: 't', extra: routes(route) };
    const delivered = peer.delivered.length;
    peer.hear({ ...ack, via: ['SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bKack'] }, outside);
    assert.equal(peer.delivered.length, delivered);
    assert.deepEqual(
      peer.onFlows.map(({ flow }) => flow),
      ['x4-18', 'x4-18'],
    );
    const bye = { method: 'BYE', uri: 'sip:bob@198.51.100.7', fromTag: 't', toTag: 'from1' };
    assert.equal(peer.route({ ...bye, via: via('d'), extra: routes(route) }, called), 'a');
  });
});
