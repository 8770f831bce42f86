import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { transactionLimits } from '../../src/config/defaults.ts';
import { digestOf } from '../../src/pipeline/key.ts';
import type { PipelineOptions } from '../../src/pipeline/ports.ts';
import type { InstanceStatus } from '../../src/pipeline/view.ts';
import { createRing, type Ring } from '../../src/ring/index.ts';
import { assignmentKey } from '../../src/sip/index.ts';
import { clusterView, parsed } from '../support/pipeline-parts.ts';
import { connected, PipelinePeer, roomRules } from '../support/pipeline-peer.ts';
import { request, type RequestOptions } from '../support/sip-text.ts';

const names = ['a', 'b', 'c', 'd', 'e', 'f'] as const;
const six = Object.fromEntries(names.map((name): [string, InstanceStatus] => [name, 'ready']));

function cluster(overrides: Partial<PipelineOptions> = {}): Readonly<Record<string, PipelinePeer>> {
  return connected(names.map((name) => new PipelinePeer(name, clusterView(name, six), overrides)));
}

/** Peers that keep notes of a call. */
function holdersOf(ring: Ring, callId: string): readonly string[] {
  return ring.successors(digestOf(`from1\n${callId}`), transactionLimits.noteHolders);
}

/** A call whose peer `at` and instance by rule `served` are both none of its holders. */
function farCall(at: string, served: string): RequestOptions {
  const { ring } = clusterView('a', six);
  for (let call = 0; call < 1_000; call++) {
    const callId = `far-${call}`;
    const holders = holdersOf(ring, callId);
    if (holders.includes(at) || holders.includes(served)) continue;
    return { callId, extra: [`X-Room: ${roomOf(served)}`] };
  }
  throw new Error('no such call');
}

/** A room whose key belongs to this instance. */
function roomOf(instance: string): string {
  const { ring } = clusterView('a', six);
  for (let room = 0; room < 1_000; room++) {
    if (ring.owner(digestOf(`room-${room}`)) === instance) return `room-${room}`;
  }
  throw new Error('no such room');
}

function withRules(peers: Readonly<Record<string, PipelinePeer>>): typeof peers {
  for (const peer of Object.values(peers)) peer.rules = roomRules;
  return peers;
}

function withoutRoom({ callId = '' }: RequestOptions): RequestOptions {
  return { callId };
}

describe('Notes of a transaction', () => {
  it('are left once, at the holders of its default key alone', () => {
    const peers = withRules(cluster());
    const call = farCall('a', 'b');
    const holders = holdersOf(peers['a']!.view.ring, call.callId!);
    assert.equal(peers['a']!.route(call), 'b');
    assert.equal(peers['a']!.route(call), 'b');
    assert.deepEqual(
      peers['a']!.notes.map(({ peer }) => peer),
      holders,
    );
    const transaction = assignmentKey(parsed(request(call)));
    const assignment = { instance: 'b', keyDigest: digestOf(roomOf('b')) };
    for (const { name, memory } of Object.values(peers)) {
      const knows = name === 'a' || name === 'b' || holders.includes(name);
      assert.deepEqual(memory.get(transaction, 1_000), knows ? assignment : undefined, name);
    }
  });

  it('are not sent to the peer itself, nor to the instance that learns it with the request', () => {
    const peers = cluster();
    for (let call = 0; call < 50; call++) {
      const instance = peers['a']!.route({ callId: `call-${call}` });
      const holders = holdersOf(peers['a']!.view.ring, `call-${call}`);
      const expected = holders.filter((name) => name !== 'a' && name !== instance);
      const sent = peers['a']!.notes.splice(0).map(({ peer }) => peer);
      assert.deepEqual(sent, expected);
    }
  });

  it('go to all when the request could not go where it belonged, for others may reach that still', () => {
    const peers = withRules(cluster());
    const call = farCall('a', 'b');
    peers['a']!.unreachable.add('b');
    const served = peers['a']!.route(call);
    assert.notEqual(served, 'b');
    const told = names.filter((name) => name !== 'a' && name !== served);
    assert.deepEqual(peers['a']!.notes.map(({ peer }) => peer).toSorted(), told.toSorted());
    assert.equal(peers['c']!.route(call), served);
  });

  it('are asked for everywhere when a call rang on while the ring changed, and only then', () => {
    for (const [changedAtMs, everybody] of [
      [0, false],
      [100_000, true],
    ] as const) {
      const unsettledUntilMs = changedAtMs === 0 ? 0 : changedAtMs + transactionLimits.timeoutMs;
      const view = clusterView('a', six, { unsettledUntilMs });
      const peer = new PipelinePeer('a', view);
      peer.nowMs = 290_000;
      peer.hear({ method: 'CANCEL', callId: 'long' });
      peer.letAnswersArrive();
      peer.letAnswersArrive();
      const asked = new Set(peer.questions.map((question) => question.peer));
      const holders = holdersOf(view.ring, 'long').filter((name) => name !== 'a');
      assert.equal(asked.size, everybody ? names.length - 1 : holders.length);
    }
  });

  /** To whom the peer a sends notes of a call at this time, with the instance that it chose. */
  function notedAt(
    peer: PipelinePeer,
    nowMs: number,
  ): { noted: string[]; callId: string; instance: string } {
    peer.nowMs = nowMs;
    const callId = `call-${nowMs}`;
    const instance = peer.route({ callId });
    return { noted: peer.notes.splice(0).map((note) => note.peer), callId, instance };
  }

  it('are left with the holders of past rings, too, while peers may still decide by those', () => {
    const past = createRing(['e', 'f'].map((name) => ({ name, weight: 1 })));
    const pastRings = [{ ring: past, untilMs: 50_000, heldMs: 60_000 }];
    const view = clusterView('a', six, { pastRings, unsettledUntilMs: 50_000 });
    const peer = new PipelinePeer('a', view);
    for (const [nowMs, rings] of [
      [49_999, [view.ring, past]],
      [50_000, [view.ring]],
    ] as const) {
      const { noted, callId, instance } = notedAt(peer, nowMs);
      const holders = new Set(rings.flatMap((ring) => holdersOf(ring, callId)));
      const expected = [...holders].filter((name) => name !== 'a' && name !== instance);
      assert.deepEqual(noted.toSorted(), expected.toSorted());
    }
  });

  it('are left with all peers while news of a change spreads, unless they are too many', () => {
    const { timeoutMs, newsSpreadMs, newsNotesMax, noteHolders } = transactionLimits;
    const unsettledUntilMs = 1_000 + timeoutMs;
    const small = new PipelinePeer('a', clusterView('a', six, { unsettledUntilMs }));
    const { noted, instance } = notedAt(small, 1_000 + newsSpreadMs - 1);
    assert.deepEqual(
      noted,
      names.filter((name) => name !== 'a' && name !== instance),
    );
    assert.ok(notedAt(small, 1_000 + newsSpreadMs).noted.length <= noteHolders);
    const many = Array.from({ length: newsNotesMax }, (_, number) => `p${number}`);
    const statuses = Object.fromEntries(
      many.map((name): [string, InstanceStatus] => [name, 'ready']),
    );
    const large = new PipelinePeer(
      'a',
      clusterView('a', { a: 'ready', ...statuses }, { unsettledUntilMs }),
    );
    assert.ok(notedAt(large, 1_000).noted.length <= noteHolders);
  });

  it('are corrected when a successor took the transaction over', () => {
    const peers = withRules(cluster());
    const call = farCall('a', 'b');
    peers['a']!.route(call);
    peers['a']!.unreachable.add('b');
    const successor = peers['a']!.route(call);
    assert.notEqual(successor, 'b');
    const [holder] = holdersOf(peers['a']!.view.ring, call.callId!);
    const transaction = assignmentKey(parsed(request(call)));
    assert.equal(peers[holder!]!.memory.get(transaction, 1_000)?.instance, successor);
    peers['a']!.unreachable.clear();
    assert.equal(peers['a']!.route(call), successor);
  });

  it('are none of a request that its stamp routed, nor of an unknown CANCEL or ACK', () => {
    const peer = new PipelinePeer('a', clusterView('a', six));
    for (const method of ['CANCEL', 'ACK']) peer.route({ method, toTag: 'x', callId: method });
    assert.deepEqual([peer.notes, peer.memory.size], [[], 0]);
    assert.equal(peer.last.envelope.transaction, '');
  });

  it('and questions that are malformed are counted and believed nowhere', () => {
    const peer = new PipelinePeer('a', clusterView('a', six));
    const good = { instance: 'b', keyDigest: digestOf('k') };
    const transaction = assignmentKey(parsed(request()));
    const bad: readonly (readonly [string, typeof good])[] = [
      ['', good],
      ['x123456789', good],
      [`i${'0'.repeat(15)}`, good],
      ['i12345678\n', good],
      [transaction, { ...good, instance: 'b;lr' }],
      [transaction, { ...good, instance: '' }],
      [transaction, { ...good, instance: 'b'.repeat(129) }],
      [transaction, { ...good, keyDigest: 'short' }],
    ];
    for (const [name, assignment] of bad) {
      peer.pipeline.noteArrived(name, assignment);
      assert.equal(peer.pipeline.questionArrived(name, assignment), undefined);
    }
    assert.equal(peer.memory.size, 0);
    assert.equal(peer.counters.get('sip_directory', 'malformed'), 2 * bad.length);
    peer.pipeline.noteArrived(transaction, good);
    assert.deepEqual(peer.pipeline.questionArrived(transaction, undefined), good);
  });
});

describe('Questions to the directory', () => {
  it('bring CANCEL and ACK to the INVITE’s instance through any peer, whatever the rules read', () => {
    const peers = withRules(cluster());
    const call = farCall('a', 'b');
    peers['a']!.route(call);
    for (const method of ['CANCEL', 'ACK']) {
      for (const peer of Object.values(peers)) {
        const toTag = method === 'ACK' ? { toTag: 'final' } : {};
        assert.equal(peer.route({ ...withoutRoom(call), ...toTag, method }), 'b', peer.name);
      }
    }
    assert.equal(peers['b']!.served.length, 13);
  });

  it('go wrong when the directory is broken: the CANCEL misses its INVITE', () => {
    const peers = withRules(cluster());
    const missed = names.filter((name) => {
      const call = farCall(name, 'b');
      peers[name]!.route(call);
      const other = names.find((each) => {
        return (
          each !== name &&
          each !== 'b' &&
          !holdersOf(peers[each]!.view.ring, call.callId!).includes(each)
        );
      });
      peers[other!]!.directory = () => undefined;
      return peers[other!]!.route({ ...withoutRoom(call), method: 'CANCEL' }) !== 'b';
    });
    assert.ok(missed.length > 0);
  });

  it('are asked of holders of the present ring and of those in force a time-out ago', () => {
    const past = createRing(names.map((name) => ({ name, weight: 1 })));
    const grown = { ...six, g: 'ready', h: 'ready', i: 'ready', j: 'ready' } as const;
    for (let call = 0; call < 30; call++) {
      const callId = `call-${call}`;
      const pastRings = [
        { ring: past, untilMs: 5_000, heldMs: 60_000 },
        { ring: createRing([{ name: 'f', weight: 1 }]), untilMs: 1_000, heldMs: 60_000 },
      ];
      const peer = new PipelinePeer('a', clusterView('a', grown, { pastRings }));
      peer.route({ method: 'CANCEL', callId });
      const asked = peer.questions.map((question) => question.peer);
      const expected = [...holdersOf(peer.view.ring, callId), ...holdersOf(past, callId)];
      assert.deepEqual(new Set(asked), new Set(expected.filter((name) => name !== 'a')));
      assert.equal(asked.length, new Set(asked).size);
      assert.ok(peer.questions.every(({ claim }) => claim === undefined));
    }
  });

  it('are not asked of peers that are gone', () => {
    const { ring } = clusterView('a', six);
    const left = { a: 'ready', b: 'ready' } as const;
    const view = clusterView('a', left, { pastRings: [{ ring, untilMs: 9_000, heldMs: 60_000 }] });
    const peer = new PipelinePeer('a', view);
    for (let call = 0; call < 20; call++) peer.route({ method: 'CANCEL', callId: `call-${call}` });
    assert.deepEqual(new Set(peer.questions.map((question) => question.peer)), new Set(['b']));
  });

  it('are not asked while all peers decide alike, only while they may differ', () => {
    const peer = new PipelinePeer('a', clusterView('a', six, { unsettledUntilMs: 5_000 }));
    const asked = (): number => peer.questions.length;
    peer.nowMs = 5_000;
    peer.route({ callId: 'settled' });
    assert.equal(asked(), 0);
    peer.nowMs = 4_999;
    peer.hear({ callId: 'unsettled' });
    assert.equal(peer.delivered.length, 1);
    assert.ok(asked() > 0);
    peer.letAnswersArrive();
    assert.equal(peer.delivered.length, 2);
    assert.equal(peer.last.envelope.reason, 'fallback');
  });

  it('claim the instance that would be chosen, at the first holder alone', () => {
    const peer = new PipelinePeer('a', clusterView('a', six, { unsettledUntilMs: 5_000 }));
    const claims: string[] = [];
    for (let call = 0; call < 30; call++) {
      const callId = `call-${call}`;
      const holders = holdersOf(peer.view.ring, callId);
      const instance = peer.route({ callId });
      const asked = peer.questions.splice(0);
      const claim = { instance, keyDigest: peer.last.envelope.keyDigest };
      for (const question of asked) {
        const isFirst = question.peer === holders[0];
        assert.deepEqual(question.claim, isFirst ? claim : undefined);
        if (isFirst) claims.push(callId);
      }
      assert.equal(asked.length, holders.filter((name) => name !== 'a').length);
    }
    assert.ok(claims.length > 15);
  });

  it('find what an earlier holder knows, though the new one only heard the claim', () => {
    const peers = cluster({ algorithm: () => 'round-robin' });
    const { a, b } = peers;
    const past = createRing([
      { name: 'e', weight: 1 },
      { name: 'f', weight: 1 },
    ]);
    const pastRings = [{ ring: past, untilMs: 5_000, heldMs: 60_000 }];
    const corrected: string[] = [];
    for (let call = 0; call < 30; call++) {
      const callId = `call-${call}`;
      b!.view = clusterView('b', six, { ring: past });
      b!.route({ callId });
      const first = b!.last.envelope.instance;
      a!.view = clusterView('a', six, { pastRings, unsettledUntilMs: 5_000 });
      assert.equal(a!.route({ callId }), first);
      const [holder] = holdersOf(a!.view.ring, callId);
      const transaction = assignmentKey(parsed(request({ callId })));
      if (holder === 'e' || holder === 'f' || holder === 'a') continue;
      corrected.push(callId);
      assert.equal(peers[holder!]!.memory.get(transaction, 1_000)?.instance, first);
    }
    assert.ok(corrected.length > 5);
  });

  it('end at once where nobody else is there', () => {
    const peer = new PipelinePeer(
      'a',
      clusterView('a', { a: 'ready' }, { unsettledUntilMs: 9_000 }),
    );
    peer.hear({});
    peer.hear({ method: 'CANCEL', callId: 'stray' });
    assert.deepEqual([peer.delivered.length, peer.questions.length], [2, 0]);
  });
});

describe('Round robin', () => {
  it('takes turns and brings each retransmission through any peer to the first one’s instance', () => {
    const peers = cluster({ algorithm: () => 'round-robin' });
    const chosen = new Set<string>();
    for (let call = 0; call < 12; call++) {
      const callId = `call-${call}`;
      const instance = peers['a']!.route({ callId });
      assert.equal(peers['a']!.last.envelope.reason, 'round-robin');
      chosen.add(instance);
      for (const peer of Object.values(peers)) assert.equal(peer.route({ callId }), instance);
      assert.equal(peers['d']!.route({ callId, method: 'CANCEL' }), instance);
    }
    assert.equal(chosen.size, 6);
  });

  it('gives two copies that enter at the same time to one instance', () => {
    const { a, b, ...others } = cluster({ algorithm: () => 'round-robin' });
    b!.route({ callId: 'turn' });
    for (let call = 0; call < 12; call++) {
      const callId = `call-${call}`;
      for (const peer of [a!, b!]) peer.hear({ callId });
      for (const peer of [b!, a!]) peer.letAnswersArrive();
      const copies = [a!, b!, ...Object.values(others)].flatMap(({ served }) => served);
      const instances = copies
        .filter(({ message }) => message.callId === callId)
        .map(({ envelope }) => envelope.instance);
      assert.equal(instances.length, 2);
      assert.equal(instances[0], instances[1]);
    }
  });

  it('leaves the default key’s digest in the stamp, so that all peers find one successor', () => {
    const peer = new PipelinePeer('a', clusterView('a', six), { algorithm: () => 'round-robin' });
    peer.route({ callId: 'x' });
    assert.equal(peer.last.envelope.keyDigest, digestOf('from1\nx'));
  });

  it('is for what begins without a rule’s key only', () => {
    const peer = new PipelinePeer('a', clusterView('a', six), { algorithm: () => 'round-robin' });
    peer.rules = roomRules;
    peer.route({ extra: ['X-Room: r'] });
    assert.equal(peer.last.envelope.reason, 'rule');
    peer.route({ method: 'BYE', toTag: 't', cseq: 2 });
    assert.equal(peer.last.envelope.reason, 'fallback');
    peer.route({ method: 'CANCEL', callId: 'stray' });
    assert.equal(peer.last.envelope.reason, 'fallback');
    assert.equal(
      new Set(names.map(() => peer.route({ method: 'CANCEL', callId: 'stray' }))).size,
      1,
    );
  });
});

describe('Requests that wait for the directory', () => {
  function waiting(): PipelinePeer {
    return new PipelinePeer('a', clusterView('a', six, { unsettledUntilMs: 9_000 }));
  }

  it('absorb their retransmissions, and others of the transaction follow in order', () => {
    const peer = waiting();
    peer.hear({});
    peer.hear({});
    peer.hear({ method: 'CANCEL' });
    const asked = peer.questions.length;
    peer.hear({ method: 'CANCEL' });
    assert.equal(peer.questions.length, asked);
    peer.letAnswersArrive();
    assert.deepEqual(
      peer.delivered.map(({ message }) => message.method),
      ['INVITE', 'CANCEL'],
    );
    assert.equal(new Set(peer.delivered.map(({ envelope }) => envelope.instance)).size, 1);
    assert.equal(peer.counters.get('sip_drops', 'retransmitted-while-asking'), 2);
  });

  it('keep forked copies of one request apart', () => {
    const peer = waiting();
    for (const branch of ['z9hG4bK1', 'z9hG4bK2']) {
      peer.hear({ via: [`SIP/2.0/UDP 198.51.100.7:5070;branch=${branch}`] });
    }
    peer.letAnswersArrive();
    assert.equal(peer.delivered.length, 2);
  });

  it('follow what one directory knows before another has answered', () => {
    const peer = waiting();
    const assignment = { instance: 'e', keyDigest: digestOf('k') };
    peer.directory = () => assignment;
    assert.equal(peer.route({}), 'e');
    assert.equal(peer.last.envelope.reason, 'memory');
    assert.equal(peer.last.envelope.keyDigest, assignment.keyDigest);
    assert.equal(peer.counters.get('sip_directory', 'known'), 1);
  });

  it('are bounded: above that, requests go without asking', () => {
    const peer = waiting();
    for (let call = 0; call < transactionLimits.asksMax; call++) peer.hear({ callId: `c${call}` });
    assert.equal(peer.delivered.length, 0);
    peer.hear({ callId: 'one-more' });
    assert.equal(peer.delivered.length, 1);
    assert.equal(peer.counters.get('sip_directory', 'too-many-asks'), 1);
    peer.hear({ callId: 'c0', method: 'CANCEL' });
    assert.equal(peer.counters.get('sip_drops', 'too-many-asks'), 1);
    peer.letAnswersArrive();
    assert.equal(peer.delivered.length, transactionLimits.asksMax + 1);
    peer.hear({ callId: 'later' });
    assert.equal(peer.delivered.length, transactionLimits.asksMax + 1);
  });
});
