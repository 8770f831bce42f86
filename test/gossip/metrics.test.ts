import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gossipLimits } from '../../src/config/defaults.ts';
import { Accusers } from '../../src/gossip/accusers.ts';
import { decodePacket, labelHeader } from '../../src/gossip/packet.ts';
import { packetKind } from '../../src/gossip/message.ts';
import { GossipNetwork, type SimulatedPeer } from '../support/gossip-network.ts';

const header = labelHeader('test');

/** Counts of one name by reason. */
function counts(peer: SimulatedPeer, name: string): ReadonlyMap<string, number> {
  return new Map(
    [...peer.counts]
      .filter(([key]) => key.startsWith(`${name}:`))
      .map(([key, count]) => [key.slice(name.length + 1), count]),
  );
}

describe('accusers', () => {
  it('are counted by name as far as there is room', () => {
    const accusers = new Accusers();
    for (let i = 0; i < gossipLimits.accusersMax; i++) {
      assert.equal(accusers.label(`m${i}`), `m${i}`);
    }
    assert.equal(accusers.label('one more'), 'other');
    assert.equal(accusers.label('m3'), 'm3');
  });

  it('are counted at all members, whoever they accuse', () => {
    const network = new GossipNetwork({ seed: 3 });
    const peers = network.grow(5);
    network.run(2_000);
    network.crash(peers[4]!);
    network.run(6_000);
    for (const peer of peers.slice(0, 4)) {
      const accusers = counts(peer, 'gossip_accusations');
      assert.ok(accusers.size > 0, peer.name);
      for (const [name, count] of accusers) {
        assert.match(name, /^p[1-4]$/);
        assert.equal(count, 1);
      }
    }
  });
});

describe('traffic', () => {
  it('is counted by what packets are sent for, in packets and in bytes', () => {
    const network = new GossipNetwork({ seed: 5 });
    const peers = network.grow(4);
    network.run(2_000);
    network.crash(peers[3]!);
    network.run(10_000);
    const [p1] = peers;
    const sent = new Map<string, number>();
    const bytesSent = new Map<string, number>();
    for (const { from, bytes } of network.packets) {
      if (from !== 'p1') continue;
      const packet = decodePacket(bytes, header);
      assert.ok(packet.ok);
      const kind = packetKind(packet.value.messages);
      sent.set(kind, (sent.get(kind) ?? 0) + 1);
      bytesSent.set(kind, (bytesSent.get(kind) ?? 0) + bytes.length);
    }
    assert.deepEqual(new Map([...counts(p1!, 'gossip_packets_out')].sort()), sorted(sent));
    assert.deepEqual(new Map([...counts(p1!, 'gossip_bytes_out')].sort()), sorted(bytesSent));
    assert.deepEqual([...sent.keys()].sort(), ['ack', 'indirect-ping', 'nack', 'news', 'ping']);
    // What one peer sends another one gets: nothing is lost here but what the crashed one was sent.
    const total = (name: string, kind: string): number =>
      peers.slice(0, 3).reduce((sum, peer) => sum + (counts(peer, name).get(kind) ?? 0), 0);
    assert.equal(total('gossip_packets_in', 'nack'), total('gossip_packets_out', 'nack'));
    assert.equal(total('gossip_bytes_in', 'nack'), total('gossip_bytes_out', 'nack'));
    assert.ok((counts(p1!, 'gossip_rounds').get('told') ?? 0) > 0);
  });
});

function sorted(counted: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  return new Map([...counted].sort());
}
