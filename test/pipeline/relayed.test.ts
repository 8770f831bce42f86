import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Counters } from '../../src/pipeline/counters.ts';
import type { Envelope, RoutingReason } from '../../src/pipeline/envelope.ts';
import { digestOf } from '../../src/pipeline/key.ts';
import { compareRings } from '../../src/pipeline/relayed.ts';
import type { ClusterView } from '../../src/pipeline/view.ts';
import { createRing, type Ring } from '../../src/ring/index.ts';
import { clusterView, pipelineOptions, RecordedPorts } from '../support/pipeline-parts.ts';
import { Pipeline } from '../../src/pipeline/pipeline.ts';
import { request } from '../support/sip-text.ts';

const ringOf = (...names: string[]): Ring => createRing(names.map((name) => ({ name, weight: 1 })));

const past = ringOf('a', 'b');
const present: ClusterView = clusterView(
  'a',
  { a: 'ready', b: 'ready', c: 'ready' },
  { pastRings: [{ ring: past, untilMs: 32_000, heldMs: 1_000 }] },
);

/** A digest whose owners under the present and the past ring are these. */
function digestWith(now: string, before: string): string {
  for (let key = 0; key < 10_000; key++) {
    const digest = digestOf(String(key));
    if (present.ring.owner(digest) === now && past.owner(digest) === before) return digest;
  }
  throw new Error('no such key');
}

function envelope(ringVersion: string, keyDigest: string, reason: RoutingReason): Envelope {
  return {
    keyDigest,
    instance: 'a',
    reason,
    ringVersion,
    ingressPeer: 'b',
    hop: 1,
    transaction: '',
  };
}

function compared(ring: Ring, keyDigest: string, reason: RoutingReason = 'rule'): unknown[] {
  const counters = new Counters();
  const opinion = compareRings(envelope(ring.version, keyDigest, reason), present, counters, 'sip');
  const rings = ['past', 'unknown'].map((name) => counters.get('relayed_rings', name));
  return [opinion, ...rings, counters.get('misroutes_served', 'sip')];
}

describe('The ring of a relayed request', () => {
  const strange = ringOf('a', 'z');

  it('is the same, one of the past, or unknown', () => {
    const own = digestWith('a', 'a');
    assert.deepEqual(compared(present.ring, own), ['same', 0, 0, 0]);
    assert.deepEqual(compared(past, own), ['past', 1, 0, 0]);
    assert.deepEqual(compared(strange, own), ['unknown', 0, 1, 0]);
  });

  it('tells a misroute where the key was the instance’s by no ring', () => {
    assert.deepEqual(compared(past, digestWith('c', 'a')), ['past', 1, 0, 0]);
    assert.deepEqual(compared(strange, digestWith('c', 'b')), ['unknown', 0, 1, 1]);
    assert.deepEqual(compared(strange, digestWith('b', 'b'), 'fallback'), ['unknown', 0, 1, 1]);
  });

  it('tells none where no key chose, or the same ring did and the owner was out of reach', () => {
    const digest = digestWith('b', 'b');
    for (const reason of ['stamp', 'memory', 'addressed', 'round-robin', 'flow'] as const) {
      assert.deepEqual(compared(strange, digest, reason), ['unknown', 0, 1, 0]);
    }
    assert.deepEqual(compared(present.ring, digest), ['same', 0, 0, 0]);
  });

  it('does not keep the request from being served here, and an unknown one is told of', () => {
    const ports = new RecordedPorts();
    let seen = 0;
    const options = pipelineOptions('a', ports, () => present, { otherRingSeen: () => seen++ });
    const pipeline = new Pipeline(options);
    const digest = digestWith('c', 'b');
    for (const ring of [present.ring, past, strange]) {
      pipeline.receiveRelayed(request({}), envelope(ring.version, digest, 'rule'));
    }
    assert.equal(ports.delivered.length, 3);
    assert.ok(
      ports.delivered.every(({ envelope: { instance, hop } }) => instance === 'a' && hop === 1),
    );
    assert.equal(seen, 1);
  });
});
