import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gossipLimits } from '../../src/config/defaults.ts';
import { decodePacket, labelHeader } from '../../src/gossip/packet.ts';
import { GossipNetwork, type SimulatedPeer } from '../support/gossip-network.ts';

const header = labelHeader('test');

function texts(peer: SimulatedPeer, kind: 'userState' | 'userMessage'): readonly string[] {
  return peer.received
    .filter((effect) => effect.kind === kind)
    .map(({ bytes }) => Buffer.from(bytes).toString());
}

function say(network: GossipNetwork, peer: SimulatedPeer, text: string): void {
  network.input(peer, { kind: 'setUserState', bytes: Buffer.from(text) });
}

describe('user state', () => {
  it('goes both ways with the full sync of a join, before its members are merged', () => {
    const network = new GossipNetwork({ seed: 1 });
    network.dropPacket = () => true;
    const first = network.add('p1');
    say(network, first, 'old');
    say(network, first, 'of p1');
    const seeds = [{ host: first.endpoint.address, port: first.endpoint.port }];
    const second = network.add('p2', { seeds, userState: Buffer.from('of p2') });
    network.run(100);
    assert.deepEqual(texts(first, 'userState'), ['of p2']);
    assert.deepEqual(texts(second, 'userState'), ['of p1']);
    for (const peer of [first, second]) assert.deepEqual(peer.order, ['userState', 'join']);
  });

  it('names the member that was dialled', () => {
    const network = new GossipNetwork({ seed: 2 });
    const [p1, p2] = network.grow(2);
    say(network, p2!, 'state');
    network.input(p1!, { kind: 'sync', name: 'p2' });
    network.run(50);
    assert.deepEqual(
      p1!.received.map((effect) => effect.kind === 'userState' && effect.from),
      ['p2'],
    );
    network.input(p2!, { kind: 'sync', name: 'p1' });
    network.run(50);
    assert.deepEqual(p2!.received, []);
    assert.equal(p1!.received.length, 2);
    assert.ok(p1!.received[1]?.kind === 'userState' && p1!.received[1].from === undefined);
  });

  it('is exchanged at once on demand, once at a time, and not with the dead', () => {
    const network = new GossipNetwork({ seed: 3 });
    const [p1, p2, p3] = network.grow(3);
    const opened = (name: string): number =>
      p1!.swim.handle({ kind: 'sync', name }, network.now).filter(({ kind }) => {
        return kind === 'openStream';
      }).length;
    assert.equal(opened('p2') + opened('p2'), 1);
    assert.equal(opened('nobody') + opened('p1'), 0);
    network.crash(p3!);
    network.runUntil(() => p1!.state('p3') === 'dead', 10_000);
    assert.equal(opened('p3'), 0);
    assert.equal(p2!.state('p1'), 'alive');
  });

  it('is refused above 6 MiB', () => {
    const network = new GossipNetwork({ seed: 4 });
    const [p1] = network.grow(1);
    const bytes = new Uint8Array(gossipLimits.userStateBytesMax + 1);
    assert.throws(() => {
      network.input(p1!, { kind: 'setUserState', bytes });
    }, RangeError);
    network.input(p1!, { kind: 'setUserState', bytes: bytes.subarray(1) });
  });
});

describe('user messages', () => {
  it('are told by the one that has them, a newer one instead of an older of its name', () => {
    const network = new GossipNetwork({ seed: 5 });
    const peers = network.grow(4);
    network.run(1_000);
    const [p1, ...others] = peers;
    for (const text of ['first', 'second']) {
      network.input(p1!, { kind: 'broadcast', name: 'p2', bytes: Buffer.from(text) });
    }
    network.input(p1!, { kind: 'broadcast', name: 'other', bytes: Buffer.from('third') });
    network.run(1_000);
    for (const peer of others) {
      const heard = new Set(texts(peer, 'userMessage'));
      assert.ok(heard.has('second') && heard.has('third'), peer.name);
      assert.equal(peer.state('p2'), 'alive');
    }
    assert.ok(others.some((peer) => !texts(peer, 'userMessage').includes('first')));
    assert.deepEqual(texts(p1!, 'userMessage'), []);
  });

  it('go to one member alone when they are meant for it, and tell where they are from', () => {
    const network = new GossipNetwork({ seed: 6 });
    const [p1, p2, p3] = network.grow(3);
    network.input(p1!, { kind: 'sendUser', to: p2!.endpoint, bytes: Buffer.from('psst') });
    network.run(1_000);
    assert.deepEqual(texts(p2!, 'userMessage'), ['psst']);
    assert.deepEqual(p2!.received[0]?.from, p1!.endpoint);
    assert.deepEqual(p3!.received, []);
  });

  it('are refused when they would not fit a packet', () => {
    const network = new GossipNetwork({ seed: 7 });
    const [p1, p2] = network.grow(2);
    const bytes = new Uint8Array(gossipLimits.userMessageBytesMax + 1);
    for (const input of [
      { kind: 'broadcast', name: 'x', bytes },
      { kind: 'sendUser', to: p2!.endpoint, bytes },
      { kind: 'leave', intent: bytes },
    ] as const) {
      assert.throws(() => {
        network.input(p1!, input);
      }, RangeError);
    }
    network.input(p1!, { kind: 'broadcast', name: 'x', bytes: bytes.subarray(1) });
    network.run(1_000);
    assert.equal(p2!.received[0]?.bytes.length, gossipLimits.userMessageBytesMax);
  });

  it('with the intent to leave arrive before the leave', () => {
    const network = new GossipNetwork({ seed: 8 });
    const peers = network.grow(10);
    network.run(1_000);
    network.packets.length = 0;
    const leaver = peers[3]!;
    network.input(leaver, { kind: 'leave', intent: Buffer.from('going') });
    network.run(1_000);
    for (const peer of peers) {
      if (peer === leaver) continue;
      assert.equal(texts(peer, 'userMessage')[0], 'going', peer.name);
      const toPeer = network.packets.filter(({ to }) => to === peer.name);
      const kinds = toPeer.flatMap(({ bytes }) => {
        const packet = decodePacket(bytes, header);
        assert.ok(packet.ok);
        return packet.value.messages.map(({ kind }) => kind);
      });
      assert.ok(kinds.indexOf('user') < kinds.indexOf('dead'), peer.name);
    }
  });
});
