import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gossipLimits } from '../../src/config/defaults.ts';
import { endpointText, type Seed } from '../../src/gossip/index.ts';
import { GossipNetwork, type SimulatedPeer } from '../support/gossip-network.ts';

const random = [1, 2, 3, 4, 5, 6, 7, 8] as const;

function seedOf({ endpoint }: SimulatedPeer): Seed {
  return { host: endpoint.address, port: endpoint.port };
}

function found(network: GossipNetwork, peer: SimulatedPeer, seeds: readonly Seed[]): void {
  network.input(peer, { kind: 'seeds', seeds });
}

/** The addresses that one input makes a peer dial. */
function dialled(network: GossipNetwork, peer: SimulatedPeer, seeds: readonly Seed[]): string[] {
  return peer.swim
    .handle({ kind: 'seeds', seeds }, network.now)
    .flatMap((effect) => (effect.kind === 'openStream' ? [endpointText(effect.to)] : []));
}

describe('seeds that discovery found', () => {
  it('are dialled at once while the peer is alone', () => {
    for (const seed of random) {
      const network = new GossipNetwork({ seed });
      const peers = [network.add('a'), network.add('b')] as const;
      network.run(20_000);
      assert.equal(peers[0].state('b'), undefined);
      found(network, peers[0], [seedOf(peers[0]), seedOf(peers[1])]);
      assert.ok(network.runUntil(() => network.allSeeAlive(peers), 100) <= 100, `seed ${seed}`);
    }
  });

  it('merge islands when one peer hears of one of the others', () => {
    for (const seed of random) {
      const network = new GossipNetwork({ seed });
      const north = [network.add('n1')];
      north.push(network.add('n2', { seeds: [seedOf(north[0]!)] }));
      const south = [network.add('s1')];
      south.push(network.add('s2', { seeds: [seedOf(south[0]!)] }));
      network.run(5_000);
      found(network, north[1]!, [seedOf(south[0]!)]);
      const peers = [...north, ...south];
      assert.ok(network.runUntil(() => network.allSeeAlive(peers), 120_000) <= 120_000);
    }
  });

  it('replace those found before, and leave the configured ones', () => {
    const network = new GossipNetwork({ seed: 1 });
    const tried = new Set<string>();
    network.blockStream = (from, to) => {
      if (from === 'peer') tried.add(to);
      return true;
    };
    const [configured, first, second] = ['configured', 'first', 'second'].map((name) =>
      seedOf(network.add(name)),
    );
    const peer = network.add('peer', { seeds: [configured!] });
    found(network, peer, [first!]);
    assert.deepEqual([...tried], ['configured', 'first']);
    found(network, peer, [second!]);
    // What was dialled before is given up by then.
    network.run(2 * network.profile.streamTimeoutMs);
    tried.clear();
    network.run(120_000);
    assert.deepEqual([...tried].sort(), ['configured', 'second']);
  });

  it('lose nobody when discovery lists nobody any more', () => {
    const network = new GossipNetwork({ seed: 1 });
    const peers = network.grow(5);
    for (const peer of peers) found(network, peer, peers.map(seedOf));
    network.run(30_000);
    for (const peer of peers) found(network, peer, []);
    network.run(300_000);
    assert.ok(network.allSeeAlive(peers));
    for (const peer of peers) assert.ok(!peer.has('suspect') && !peer.has('leave'), peer.name);
  });

  it('are dialled once when they are configured too or listed twice', () => {
    const network = new GossipNetwork({ seed: 1 });
    const peer = network.add('peer');
    const seed = { host: '10.9.0.1', port: 1 };
    assert.deepEqual(dialled(network, peer, [seed, { ...seed, host: '::ffff:10.9.0.1' }]), [
      '10.9.0.1:1',
    ]);
  });

  it('count up to the limit; the one above it is never tried', () => {
    const network = new GossipNetwork({ seed: 1 });
    const peer = network.add('peer');
    const seeds = Array.from({ length: gossipLimits.seedsMax }, () => seedOf(peer));
    assert.deepEqual(dialled(network, peer, [...seeds, { host: '10.9.0.1', port: 1 }]), []);
    assert.deepEqual(dialled(network, peer, [...seeds.slice(1), { host: '10.9.0.1', port: 1 }]), [
      '10.9.0.1:1',
    ]);
  });

  it('are not dialled by a peer that leaves', () => {
    const network = new GossipNetwork({ seed: 1 });
    const peer = network.add('peer');
    network.input(peer, { kind: 'leave' });
    assert.deepEqual(dialled(network, peer, [{ host: '10.9.0.1', port: 1 }]), []);
  });

  it('with names are looked up at once', () => {
    const network = new GossipNetwork({ seed: 1 });
    const peer = network.add('peer');
    const effects = peer.swim.handle(
      { kind: 'seeds', seeds: [{ host: 'peer-2.example', port: 7946 }] },
      network.now,
    );
    assert.deepEqual(
      effects.filter(({ kind }) => kind === 'resolve'),
      [{ kind: 'resolve', host: 'peer-2.example' }],
    );
  });
});
