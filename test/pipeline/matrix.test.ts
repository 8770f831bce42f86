import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ClusterView, InstanceStatus } from '../../src/pipeline/view.ts';
import type { Ring } from '../../src/ring/index.ts';
import { clusterView } from '../support/pipeline-parts.ts';
import { connected, PipelinePeer, roomRules, routesOf } from '../support/pipeline-peer.ts';
import type { RequestOptions } from '../support/sip-text.ts';

const names = ['a', 'b', 'c', 'd'] as const;
const ready = Object.fromEntries(names.map((name): [string, InstanceStatus] => [name, 'ready']));

/** What became of the instance after the dialog or transaction began. */
type Fate = 'alive' | 'draining' | 'disabled' | 'disabled, link closed' | 'dead' | 'dead, unknown';
const fates: readonly Fate[] = [
  'alive',
  'draining',
  'disabled',
  'disabled, link closed',
  'dead',
  'dead, unknown',
];

/** Who takes a message: the same instance as before, or its successor on the ring. */
type Taker = 'owner' | 'successor';

interface Row {
  readonly name: string;
  /** What came before: nothing, an INVITE that is open, a dialog, or a re-INVITE in it. */
  readonly before: 'nothing' | 'invite' | 'dialog';
  readonly send: RequestOptions;
  /** In the order of {@link fates}. */
  readonly takers: readonly Taker[];
}

const rows: readonly Row[] = [
  {
    name: 'initial request',
    before: 'nothing',
    send: {},
    takers: ['owner', 'successor', 'successor', 'successor', 'successor', 'successor'],
  },
  {
    name: 'in-dialog request with a valid stamp',
    before: 'dialog',
    send: { method: 'BYE', cseq: 2, toTag: 'to1' },
    takers: ['owner', 'owner', 'successor', 'successor', 'successor', 'successor'],
  },
  {
    name: 'ACK to a 2xx',
    before: 'dialog',
    send: { method: 'ACK', toTag: 'to1' },
    takers: ['owner', 'owner', 'owner', 'successor', 'successor', 'successor'],
  },
  {
    name: 'ACK to a non-2xx',
    before: 'invite',
    send: { method: 'ACK', toTag: 'to1' },
    takers: ['owner', 'owner', 'owner', 'successor', 'successor', 'successor'],
  },
  {
    name: 'CANCEL',
    before: 'invite',
    send: { method: 'CANCEL' },
    takers: ['owner', 'owner', 'owner', 'successor', 'successor', 'successor'],
  },
  {
    name: 'retransmission',
    before: 'invite',
    send: {},
    takers: ['owner', 'owner', 'owner', 'successor', 'successor', 'successor'],
  },
];

function viewAfter(fate: Fate, owner: string, self: string, before: Ring): ClusterView {
  const statuses: Record<string, InstanceStatus> = { ...ready };
  if (fate === 'draining') statuses[owner] = 'draining';
  if (fate.startsWith('disabled')) statuses[owner] = 'disabled';
  const left = Object.entries(statuses).filter(([name]) => fate !== 'dead' || name !== owner);
  const hasChanged = fate !== 'alive' && fate !== 'dead, unknown';
  return clusterView(self, Object.fromEntries(left), {
    pastRings: hasChanged ? [{ ring: before, untilMs: 33_000, heldMs: 60_000 }] : [],
    unsettledUntilMs: hasChanged ? 33_000 : 0,
  });
}

/** Rules on a header that CANCEL, ACK and the dialog's requests do not carry. */
const room = ['X-Room: matrix'];

for (const row of rows) {
  describe(`Matrix, ${row.name}`, () => {
    for (const [index, fate] of fates.entries()) {
      const expected = row.takers[index];
      it(`goes to the ${expected} when the instance is ${fate}`, () => {
        for (const entry of names) meets(row, fate, entry, expected);
      });
    }
  });
}

function meets(row: Row, fate: Fate, entry: string, expected: Taker | undefined): void {
  const all = names.map((name) => new PipelinePeer(name, clusterView(name, ready)));
  for (const peer of all) peer.rules = roomRules;
  const peers = connected(all);
  const extra = row.before === 'dialog' || row.send.method !== undefined ? [] : room;
  const first = peers['a']!;
  const [owner] = first.view.ring.successors(digestFor(first), 4);
  if (row.before !== 'nothing') assert.equal(first.route({ extra: room }), owner);
  const routes = row.before === 'dialog' ? routesOf(first.last.message) : extra;
  const { ring } = first.view;
  const isCut = fate === 'dead' || fate === 'dead, unknown' || fate === 'disabled, link closed';
  for (const peer of all) {
    peer.view = viewAfter(fate, owner!, peer.name, ring);
    if (isCut) peer.unreachable.add(owner!);
  }
  // What is cut off hears nothing from outside either.
  if (entry === owner && isCut) return;
  const digest = row.before === 'nothing' ? undefined : digestFor(first);
  const taker = peers[entry]!.route({ ...row.send, extra: routes });
  const last = peers[entry]!.last.envelope;
  const successor = ring.successors(digest ?? last.keyDigest, 4).find((name) => name !== owner);
  assert.equal(taker, expected === 'owner' ? owner : successor, `through ${entry}`);
}

function digestFor(peer: PipelinePeer): string {
  const probe = new PipelinePeer(peer.name, peer.view);
  probe.rules = roomRules;
  probe.route({ callId: 'probe', extra: room });
  return probe.last.envelope.keyDigest;
}

describe('Matrix, what a re-INVITE left', () => {
  it('CANCEL and ACK follow the re-INVITE to the successor while the old instance is still linked', () => {
    const peers = connected(names.map((name) => new PipelinePeer(name, clusterView(name, ready))));
    const a = peers['a']!;
    const owner = a.route({});
    const extra = routesOf(a.last.message);
    const { ring } = a.view;
    for (const peer of Object.values(peers)) {
      peer.view = viewAfter('disabled', owner, peer.name, ring);
    }
    const entry = Object.values(peers).find(({ name }) => name !== owner)!;
    const heir = entry.route({ cseq: 2, toTag: 'to1', extra });
    assert.notEqual(heir, owner);
    for (const peer of Object.values(peers)) {
      assert.equal(peer.route({ method: 'CANCEL', cseq: 2, toTag: 'to1', extra }), heir);
      assert.equal(peer.route({ method: 'ACK', cseq: 2, toTag: 'to1', extra }), heir);
      // The 2xx of the old instance to the first INVITE is acknowledged where it came from.
      assert.equal(peer.route({ method: 'ACK', toTag: 'to1', extra }), owner);
    }
  });

  it('a request that left its stamped instance, because no link led there, stays with its taker', () => {
    const peer = new PipelinePeer('a', clusterView('a', ready));
    const owner = peer.route({});
    const extra = routesOf(peer.last.message);
    peer.unreachable.add(owner);
    const heir = peer.route({ method: 'INFO', cseq: 2, toTag: 'to1', extra });
    assert.notEqual(heir, owner);
    peer.view = viewAfter('dead', owner, 'a', peer.view.ring);
    assert.equal(peer.route({ method: 'INFO', cseq: 2, toTag: 'to1', extra }), heir);
    assert.equal(peer.last.envelope.reason, 'memory');
  });
});

describe('Matrix, no instance at all', () => {
  it('answers 500, but drops an ACK', () => {
    const peer = new PipelinePeer('a', clusterView('a', {}));
    for (const method of ['INVITE', 'BYE', 'CANCEL', 'ACK']) peer.hear({ method, toTag: 'x' });
    assert.deepEqual(
      peer.answered.map(({ message }) => message.status),
      [500, 500, 500],
    );
    assert.equal(peer.counters.get('sip_drops', 'ack-no-instance'), 1);
  });
});

describe('Matrix, instances that must get nothing new', () => {
  it('are the joining, draining and disabled ones', () => {
    const statuses = { a: 'joining', b: 'draining', c: 'disabled', d: 'ready' } as const;
    for (const algorithm of ['consistent-hash', 'round-robin'] as const) {
      const peer = new PipelinePeer('a', clusterView('a', statuses), {
        algorithm: () => algorithm,
      });
      for (let call = 0; call < 20; call++) assert.equal(peer.route({ callId: `c${call}` }), 'd');
    }
  });

  it('keep their sessions, but for a disabled one', () => {
    const peer = new PipelinePeer('a', clusterView('a', ready));
    const owner = peer.route({});
    const extra = routesOf(peer.last.message);
    for (const status of ['joining', 'draining'] as const) {
      peer.view = clusterView('a', { ...ready, [owner]: status });
      assert.equal(peer.route({ method: 'BYE', cseq: 2, toTag: 'to1', extra }), owner);
    }
  });
});

describe('Relayed requests', () => {
  it('are served without a second decision, and what they are is known from then on', () => {
    const peers = connected(names.map((name) => new PipelinePeer(name, clusterView(name, ready))));
    const [a] = Object.values(peers);
    for (let call = 0; call < 10; call++) {
      const instance = a!.route({ callId: `c${call}` });
      if (instance === 'a') continue;
      const owner = peers[instance]!;
      const { envelope } = owner.served.at(-1)!;
      assert.deepEqual([envelope.hop, envelope.ingressPeer], [1, 'a']);
      assert.equal(owner.memory.get(envelope.transaction, owner.nowMs)?.instance, instance);
    }
  });

  it('are answered by the owner when its application takes them no more, or they are for another', () => {
    const [ingress, owner] = ['a', 'b'].map(
      (name) => new PipelinePeer(name, clusterView(name, ready)),
    );
    ingress!.route({});
    const { message, envelope } = ingress!.last;
    owner!.pipeline.receiveRelayed(message.bytes, { ...envelope, instance: 'c' });
    owner!.unreachable.add('b');
    owner!.pipeline.receiveRelayed(message.bytes, { ...envelope, instance: 'b' });
    assert.equal(owner!.served.length, 0);
    assert.deepEqual(
      owner!.relayed.map(({ peer }) => peer),
      ['a', 'a'],
    );
    assert.equal(owner!.memory.size, 0);
  });
});
