import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodePacket, labelHeader } from '../../src/gossip/packet.ts';
import type { Seed } from '../../src/gossip/index.ts';
import { GossipNetwork, type SimulatedPeer } from '../support/gossip-network.ts';

const header = labelHeader('test');

function seedOf({ endpoint }: SimulatedPeer): Seed {
  return { host: endpoint.address, port: endpoint.port };
}

/** Names told as alive in packets of one peer. */
function told(network: GossipNetwork, by: SimulatedPeer): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { from, bytes } of network.packets) {
    if (from !== by.name) continue;
    const packet = decodePacket(bytes, header);
    assert.ok(packet.ok);
    for (const message of packet.value.messages) {
      if (message.kind === 'alive') names.add(message.node);
    }
  }
  return names;
}

describe('a peer that joins alone', () => {
  it('tells of itself, and not of those that it learnt of', () => {
    const network = new GossipNetwork({ seed: 1 });
    const peers = network.grow(30);
    network.run(20_000);
    network.packets.length = 0;
    const joiner = network.add('new', { seeds: [seedOf(peers[7]!)] });
    assert.ok(network.runUntil(() => network.allSeeAlive([...peers, joiner]), 5_000) <= 600);
    network.run(5_000);
    assert.deepEqual([...told(network, joiner)], ['new']);
    assert.ok(!joiner.has('suspect'));
  });

  it('tells on what came to it before the answer to its own join', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const network = new GossipNetwork({ seed });
      const ends = [1, 2, 3].map((n) => ({ host: `10.0.0.${n}`, port: 7946 }));
      // Both dial each other while a third dials one of them; no later full sync is waited for.
      const peers = [
        network.add('a', { seeds: [ends[1]!] }),
        network.add('b', { seeds: [ends[0]!] }),
        network.add('c', { seeds: [ends[0]!] }),
      ];
      const tookMs = network.runUntil(() => network.allSeeAlive(peers), 5_000);
      assert.ok(tookMs <= 500, `seed ${seed}: ${tookMs} ms`);
    }
  });
});

describe('peers that join at the same time', () => {
  it('end with equal views, by whatever seeds and in whatever order', () => {
    const peer = fc.record({ delayMs: fc.nat(300), seeds: fc.array(fc.nat(20), { maxLength: 2 }) });
    fc.assert(
      fc.property(fc.nat(1e6), fc.array(peer, { minLength: 2, maxLength: 9 }), (seed, wanted) => {
        const network = new GossipNetwork({ seed });
        const peers = wanted.map(({ delayMs, seeds }, i) => {
          network.run(delayMs);
          // A chain makes them one cluster; the other seeds are earlier peers, later ones and itself.
          const hosts = [Math.max(0, i - 1), ...seeds.map((at) => at % wanted.length)];
          return network.add(`p${i}`, {
            seeds: hosts.map((at) => ({ host: `10.0.0.${at + 1}`, port: 7946 })),
          });
        });
        const tookMs = network.runUntil(() => network.allSeeAlive(peers), 20_000);
        assert.ok(tookMs <= 5_000, `${tookMs} ms`);
      }),
      { numRuns: 200 },
    );
  });
});
