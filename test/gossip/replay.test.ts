import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gossipLimits, gossipProfiles } from '../../src/config/defaults.ts';
import { decodeMessage, encodeMessage, ourVersions } from '../../src/gossip/codec.ts';
import { Swim } from '../../src/gossip/index.ts';
import { sealBytes } from '../../src/gossip/keyring.ts';
import type { Message } from '../../src/gossip/message.ts';
import { decodePacket, encodePacket, labelHeader } from '../../src/gossip/packet.ts';
import { GossipNetwork, type SimulatedPeer } from '../support/gossip-network.ts';

const label = labelHeader('test');
const attacker = { address: '192.0.2.66', port: 7_946 };

function inject(network: GossipNetwork, peer: SimulatedPeer, bytes: Uint8Array): void {
  network.input(peer, { kind: 'packet', bytes, from: attacker });
}

/** Packets that were sent with such a message. */
function recorded(network: GossipNetwork, wanted: (message: Message) => boolean): Uint8Array[] {
  return network.packets.flatMap(({ bytes }) => {
    const packet = decodePacket(bytes, label);
    return packet.ok && packet.value.messages.some(wanted) ? [bytes] : [];
  });
}

describe('packets that are sent again by somebody who recorded them', () => {
  for (const seed of [1, 2]) {
    it(`do no harm while their subject is known (seed ${seed})`, () => {
      const network = new GossipNetwork({ seed });
      const [one, two, three] = network.grow(3) as [SimulatedPeer, SimulatedPeer, SimulatedPeer];
      network.partition([one, two], [three]);
      network.runUntil(() => one.state('p3') === 'dead' && two.state('p3') === 'dead', 30_000);
      const accusations = recorded(
        network,
        (message) =>
          (message.kind === 'suspect' || message.kind === 'dead') && message.node === 'p3',
      );
      assert.ok(accusations.length > 0);
      network.heal();
      const all = [one, two, three];
      assert.ok(network.runUntil(() => network.allSeeAlive(all), 60_000) < 60_000);
      network.run(5_000);
      const eventsBefore = all.map(({ events }) => events.length);
      for (const bytes of accusations) for (const peer of all) inject(network, peer, bytes);
      network.run(30_000);
      assert.ok(network.allSeeAlive(all));
      assert.deepEqual(
        all.map(({ events }) => events.length),
        eventsBefore,
      );
    });

    it(`bring a forgotten member back only until it was probed (seed ${seed})`, () => {
      const network = new GossipNetwork({ seed });
      const peers = network.grow(5);
      const gone = peers.at(-1)!;
      const left = peers.slice(0, -1);
      const births = recorded(
        network,
        (message) => message.kind === 'alive' && message.node === gone.name,
      );
      assert.ok(births.length > 0);
      network.crash(gone);
      const isForgotten = (): boolean => left.every((peer) => peer.state(gone.name) === undefined);
      network.run(gossipLimits.forgetFailedMs);
      network.runUntil(isForgotten, 60_000);
      assert.ok(isForgotten());
      for (const bytes of births) inject(network, left[0]!, bytes);
      assert.equal(left[0]!.state(gone.name), 'alive');
      const isOver = (): boolean =>
        left.every((peer) => ['dead', undefined].includes(peer.state(gone.name)));
      network.run(500);
      const tookMs = network.runUntil(isOver, 60_000);
      assert.ok(tookMs <= 10_000, `${tookMs} ms`);
      network.run(60_000);
      assert.ok(isOver());
      assert.ok(network.allSeeAlive(left));
    });
  }
});

describe('packets that will be encrypted', () => {
  it('leave room for it', () => {
    const sent: Uint8Array[] = [];
    const swim = new Swim(
      {
        name: 'p1',
        incarnation: 1,
        endpoint: { address: '127.0.0.1', port: 7_946 },
        label: 'test',
        seeds: [],
        profile: gossipProfiles.fast,
        tags: {},
        packetOverheadBytes: sealBytes,
        random: () => 0.5,
      },
      0,
    );
    let now = 0;
    const give = (input: Parameters<Swim['handle']>[0]): void => {
      for (const effect of swim.handle(input, now)) {
        if (effect.kind === 'send') sent.push(effect.bytes);
      }
    };
    give({ kind: 'start' });
    for (let i = 0; i < 200; i++) {
      const alive = encodeMessage({
        kind: 'alive',
        incarnation: 1,
        node: `member-${i}`,
        address: '127.0.0.1',
        port: 10_000 + i,
        meta: new Uint8Array(i),
        versions: ourVersions,
      });
      assert.ok(decodeMessage(alive).ok);
      give({ kind: 'packet', bytes: encodePacket(label, [alive], false), from: attacker });
    }
    for (; now < 5_000; now += 50) give({ kind: 'timer' });
    const sizes = sent.map((bytes) => bytes.length + sealBytes);
    assert.ok(Math.max(...sizes) <= gossipLimits.packetBytesMax);
    // They are as full as small news can make them.
    assert.ok(Math.max(...sizes) > gossipLimits.packetBytesMax - 60, `${Math.max(...sizes)}`);
  });
});
