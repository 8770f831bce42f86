import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { Arrival, SipTransport } from '../../src/pipeline/arrival.ts';
import type { SipDestination } from '../../src/pipeline/sip-target.ts';
import { buildResponse } from '../../src/sip/index.ts';
import {
  arrivalOf,
  clusterView,
  listenerNames,
  parsed,
  sipNamesOf,
} from '../support/pipeline-parts.ts';
import { PipelinePeer } from '../support/pipeline-peer.ts';
import type { RequestOptions } from '../support/sip-text.ts';

const contact = 'sip:trunk@198.51.100.7:5070;transport=tcp';
const target = { transport: 'TCP', address: '198.51.100.7', port: 5070, serverName: '' } as const;

/** The socket on which the application beside peer `a` sends. */
const inner: Arrival = arrivalOf({
  address: '10.0.0.1',
  port: 5080,
  flow: 'a0',
  listener: listenerNames({ type: 'internal', advertised: '10.0.0.1:5090' }),
});

function peerNamed(name: string): PipelinePeer {
  const own = new Set(['sip.example.net:5060', '10.0.0.1:5090']);
  const listeners = (['TCP', 'TLS', 'WSS'] as const).map((transport) =>
    listenerNames({ transport }),
  );
  const view = clusterView(name, { a: 'ready', b: 'ready' });
  return new PipelinePeer(name, view, { names: sipNamesOf(name, { own, listeners }) });
}

describe('a connection that the other end has closed in mid-dialog', () => {
  let holder: PipelinePeer;
  let peer: PipelinePeer;
  let asked: SipDestination[];

  beforeEach(() => {
    holder = peerNamed('b');
    peer = peerNamed('a');
    asked = [];
    for (const each of [holder, peer]) {
      each.resolve = (destination, _seed, found): void => {
        asked.push(destination);
        found([{ ...target, transport: 'UDP' }, target]);
      };
    }
  });

  /** What the application sends in a call that came to the holder over this transport. */
  function inDialog(transport: SipTransport = 'TCP', uri = contact): RequestOptions {
    const flow = transport === 'TCP' ? 't1-7' : 'x1-7';
    const via = [`SIP/2.0/${transport} 198.51.100.7;branch=z9hG4bKt`];
    const invite = { via, uri: 'sip:x@10.0.0.1:5080' };
    holder.route(invite, arrivalOf({ transport, flow }));
    const routes = holder.last.message.headers('record-route').map((value) => `Route: ${value}`);
    return {
      method: 'BYE',
      uri,
      fromTag: 't',
      toTag: 'from1',
      via: ['SIP/2.0/UDP 10.0.0.1:5080;branch=z9hG4bKbye'],
      extra: routes,
    };
  }

  it('is dialled again where its peer has died, as the Contact says', () => {
    const bye = inDialog();
    peer.unreachable.add('b');
    peer.hear(bye, inner);
    assert.deepEqual(
      asked.map(({ host, port, transport }) => [host, port, transport]),
      [['198.51.100.7', 5070, 'TCP']],
    );
    assert.equal(peer.sent.length, 1);
    assert.equal(peer.answered.length, 0);
    peer.sent[0]!.failed();
    assert.deepEqual(
      peer.answered.map(({ message }) => message.status),
      [430],
    );
  });

  it('is dialled again by its peer, with the bytes that were meant for it', () => {
    const bye = inDialog();
    peer.hear(bye, inner);
    const [relayed] = peer.onFlows;
    assert.equal(relayed?.peer, 'b');
    holder.pipeline.flowGone(relayed.message);
    assert.deepEqual(
      holder.sent.map((sent) => [sent.target, sent.message]),
      [[target, relayed.message]],
    );
    const answer = buildResponse(parsed(relayed.message), { status: 200 });
    holder.pipeline.receive(answer, arrivalOf());
    assert.equal(holder.relayed[0]?.peer, 'a');
    holder.sent[0]!.failed();
    assert.equal(parsed(holder.relayed[1]!.message).status, 430);
  });

  it('is not where nobody can be dialled, and not for a request from outside', () => {
    const bye = inDialog('WSS', 'sip:js@abc.invalid');
    peer.hear(bye, inner);
    holder.pipeline.flowGone(peer.onFlows[0]!.message);
    assert.equal(parsed(holder.relayed[0]!.message).status, 430);

    const extra = ['Supported: path'];
    holder.route({ method: 'REGISTER', extra }, arrivalOf({ transport: 'TCP', flow: 't1-7' }));
    const path = `Route: ${holder.last.message.header('path')!}`;
    peer.hear({ uri: 'sip:victim@203.0.113.66', toTag: 't', extra: [path] });
    const relayed = peer.onFlows.at(-1)!;
    holder.pipeline.flowGone(relayed.message);
    peer.unreachable.add('b');
    peer.hear({ uri: 'sip:victim@203.0.113.66', toTag: 't', extra: [path], cseq: 2 });
    assert.deepEqual([...holder.sent, ...peer.sent, ...asked], []);
  });
});
