import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { arrivalOf, clusterView } from '../support/pipeline-parts.ts';
import { callOf, PipelinePeer, routesOf } from '../support/pipeline-peer.ts';
import type { RequestOptions } from '../support/sip-text.ts';

const statuses = { a: 'ready', b: 'ready', c: 'ready' } as const;

describe('What belongs to an instance that may only be held up', () => {
  const overTcp = arrivalOf({ transport: 'TCP', flow: 't1-7' });
  let peer: PipelinePeer;
  let invite: RequestOptions;
  let bye: RequestOptions;

  beforeEach(() => {
    peer = new PipelinePeer('a', clusterView('a', statuses));
    invite = { callId: callOf('b', statuses) };
    assert.equal(peer.route(invite), 'b');
    bye = { ...invite, method: 'BYE', cseq: 2, toTag: 't', extra: routesOf(peer.last.message) };
    peer.unreachable.add('b');
    peer.silent.add('b');
  });

  it('is left to retransmission, and reaches it when it is back', () => {
    const [delivered, answered] = [peer.delivered.length, peer.answered.length];
    for (const request of [bye, { ...invite, method: 'CANCEL' }, invite]) {
      peer.hear(request);
      peer.letAnswersArrive();
    }
    assert.equal(peer.delivered.length, delivered);
    assert.equal(peer.answered.length, answered);
    assert.equal(peer.counters.get('sip_drops', 'instance-silent'), 3);
    peer.unreachable.clear();
    assert.equal(peer.route(bye), 'b');
  });

  it('goes to the successor once it refuses, or is known to be dead', () => {
    peer.silent.clear();
    assert.notEqual(peer.route(bye), 'b');
    peer.silent.add('b');
    peer.view = clusterView('a', { a: 'ready', c: 'ready' });
    assert.notEqual(peer.route({ ...bye, cseq: 3 }), 'b');
    assert.equal(peer.counters.get('sip_drops', 'instance-silent'), 0);
  });

  it('goes to the successor when it came by a stream, where nothing is repeated', () => {
    assert.notEqual(peer.route(bye, overTcp), 'b');
  });

  it('is not what begins: that need not wait', () => {
    const other = { callId: callOf('b', statuses), fromTag: 'from1', cseq: 7 };
    assert.notEqual(peer.route({ ...other, method: 'MESSAGE' }), 'b');
    assert.equal(peer.counters.get('sip_drops', 'instance-silent'), 0);
  });
});
