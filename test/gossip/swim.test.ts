import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GossipNetwork, type SimulatedPeer } from '../support/gossip-network.ts';

const sizes = [2, 3, 5, 10] as const;
const seeds = [1, 2, 3, 4, 5, 6, 7, 8] as const;

function others(peers: readonly SimulatedPeer[], gone: SimulatedPeer): readonly SimulatedPeer[] {
  return peers.filter((peer) => peer !== gone);
}

function allSee(peers: readonly SimulatedPeer[], name: string, state: string): boolean {
  return peers.every((peer) => peer.state(name) === state);
}

describe('a cluster of any size', () => {
  for (const size of sizes) {
    it(`${size} peers join through one seed and stay quiet`, () => {
      for (const seed of seeds) {
        const network = new GossipNetwork({ seed });
        const peers = network.grow(size);
        assert.ok(network.allSeeAlive(peers), `seed ${seed}`);
        network.run(60_000);
        assert.ok(network.allSeeAlive(peers), `seed ${seed}`);
        for (const peer of peers) assert.ok(!peer.has('suspect'), `seed ${seed} ${peer.name}`);
      }
    });

    it(`${size} peers all find a crashed one dead within the bound`, () => {
      const boundMs = size <= 3 ? 4_000 : 4_500;
      for (const seed of seeds) {
        const network = new GossipNetwork({ seed });
        const peers = network.grow(size);
        network.run(3_000 + seed * 137);
        const gone = peers.at(-1)!;
        network.crash(gone);
        const left = others(peers, gone);
        const tookMs = network.runUntil(() => allSee(left, gone.name, 'dead'), 60_000);
        assert.ok(tookMs <= boundMs, `seed ${seed}: ${tookMs} ms`);
        assert.ok(network.allSeeAlive(left), `seed ${seed}`);
        for (const peer of left) assert.ok(peer.has('fail', gone.name));
      }
    });

    it(`${size} peers all know of a leave within 400 ms, and the leaver knows that`, () => {
      for (const seed of seeds) {
        const network = new GossipNetwork({ seed });
        const peers = network.grow(size);
        network.run(2_000);
        const leaver = peers[0]!;
        network.input(leaver, { kind: 'leave' });
        const left = others(peers, leaver);
        const tookMs = network.runUntil(() => allSee(left, leaver.name, 'left'), 10_000);
        assert.ok(tookMs <= 400, `seed ${seed}: ${tookMs} ms`);
        assert.ok(network.runUntil(() => leaver.has('left'), 10_000) <= 1_000);
        network.crash(leaver);
        network.run(10_000);
        for (const peer of left) {
          assert.equal(peer.state(leaver.name), 'left');
          assert.ok(!peer.has('suspect', leaver.name));
        }
      }
    });
  }

  it('all find a third of it dead when that crashes at once', () => {
    for (const seed of seeds) {
      const network = new GossipNetwork({ seed });
      const peers = network.grow(10);
      network.run(2_000);
      const gone = peers.slice(0, 3);
      for (const peer of gone) network.crash(peer);
      const left = peers.slice(3);
      const agreed = (): boolean => gone.every((peer) => allSee(left, peer.name, 'dead'));
      const tookMs = network.runUntil(agreed, 60_000);
      assert.ok(tookMs <= 6_000, `seed ${seed}: ${tookMs} ms`);
      assert.ok(network.allSeeAlive(left));
    }
  });

  it('accuses nobody falsely while a tenth of the packets is lost', () => {
    for (const seed of seeds) {
      const network = new GossipNetwork({ seed, loss: 0.1 });
      const peers = network.grow(10);
      network.run(120_000);
      assert.ok(network.allSeeAlive(peers), `seed ${seed}`);
      for (const peer of peers) assert.ok(!peer.has('fail'), `seed ${seed} ${peer.name}`);
      const gone = peers[4]!;
      network.crash(gone);
      const tookMs = network.runUntil(() => allSee(others(peers, gone), 'p5', 'dead'), 60_000);
      assert.ok(tookMs <= 6_000, `seed ${seed}: ${tookMs} ms`);
    }
  });

  it('never sends a packet above 1400 bytes, also with full metadata', () => {
    const network = new GossipNetwork({ seed: 3 });
    const tags = { padding: 'x'.repeat(490) };
    const first = network.add('p1', { tags });
    const seeds = [{ host: first.endpoint.address, port: 7946 }];
    const peers = [first];
    for (let i = 2; i <= 20; i++) peers.push(network.add(`p${i}`, { tags, seeds }));
    const tookMs = network.runUntil(() => network.allSeeAlive(peers), 10_000);
    assert.ok(tookMs < 10_000);
    const largest = Math.max(...network.packets.map(({ bytes }) => bytes.length));
    assert.ok(largest <= 1_400 && largest > 700, `${largest}`);
  });
});

describe('a member that is not dead', () => {
  it('refutes a suspicion with a higher incarnation of its own', () => {
    const network = new GossipNetwork({ seed: 5 });
    const peers = network.grow(5);
    network.run(2_000);
    const victim = peers[4]!;
    const before = victim.member('p5')!.incarnation;
    network.dropPacket = (_from, to) => to === 'p5';
    network.blockStream = (_from, to) => to === 'p5';
    assert.ok(
      network.runUntil(() => allSee(others(peers, victim), 'p5', 'suspect'), 10_000) < 5_000,
    );
    network.heal();
    network.runUntil(() => network.allSeeAlive(peers), 5_000);
    assert.ok(network.allSeeAlive(peers));
    assert.ok(peers[0]!.member('p5')!.incarnation > before);
    assert.equal(victim.count('gossip_refutations:refuted'), 1);
    for (const peer of peers) assert.ok(!peer.has('fail'));
  });

  it('is saved by a relay when only its way to the prober is cut', () => {
    for (const isRelayed of [true, false]) {
      const network = new GossipNetwork({ seed: 6 });
      const peers = network.grow(3);
      network.run(2_000);
      const isCut = (from: string, to: string): boolean =>
        (from === 'p1' && to === 'p2') || (!isRelayed && to === 'p2');
      network.dropPacket = isCut;
      network.blockStream = isCut;
      network.run(15_000);
      assert.equal(peers[0]!.has('suspect', 'p2'), !isRelayed);
      if (isRelayed) assert.ok(network.allSeeAlive(peers));
    }
  });

  it('is saved by the ping over a stream when no packet reaches it', () => {
    for (const hasStream of [true, false]) {
      const network = new GossipNetwork({ seed: 7 });
      const [p1] = network.grow(2);
      network.run(2_000);
      network.dropPacket = () => true;
      network.blockStream = () => !hasStream;
      network.run(5_000);
      assert.equal(p1!.state('p2'), hasStream ? 'alive' : 'dead');
    }
  });

  it('is probed at once when a link to it failed', () => {
    const network = new GossipNetwork({ seed: 9 });
    const [p1, p2] = network.grow(3);
    network.run(2_000);
    network.crash(p2!);
    network.packets.length = 0;
    network.input(p1!, { kind: 'probe', name: 'p2' });
    assert.equal(network.packets.length, 1);
    const tookMs = network.runUntil(() => p1!.state('p2') === 'suspect', 5_000);
    assert.ok(tookMs <= 1_001, `${tookMs}`);
  });
});

describe('a peer that comes back', () => {
  for (const isElsewhere of [false, true]) {
    for (const wait of ['at once', 'after its death was seen'] as const) {
      it(`under its name ${isElsewhere ? 'at another address' : 'at its address'}, ${wait}`, () => {
        const network = new GossipNetwork({ seed: 10 });
        const peers = network.grow(5);
        network.run(2_000);
        const old = peers[4]!;
        network.crash(old);
        if (wait === 'at once') network.run(100);
        else network.run(8_000);
        const again = network.add('p5', {
          seeds: [{ host: peers[1]!.endpoint.address, port: 7946 }],
          ...(isElsewhere ? {} : { endpoint: old.endpoint }),
        });
        const now = [...others(peers, old), again];
        const isKnown = (): boolean =>
          network.allSeeAlive(now) &&
          now.every((peer) => peer.member('p5')!.address === again.endpoint.address);
        assert.ok(network.runUntil(isKnown, 5_000) <= 1_000);
        network.run(20_000);
        assert.ok(isKnown());
      });
    }
  }

  it('is outranked by nothing that its former self left, even in the same second', () => {
    const network = new GossipNetwork({ seed: 11 });
    const peers = network.grow(3);
    const old = peers[2]!;
    for (let i = 0; i < 5; i++) network.input(old, { kind: 'setTags', tags: { round: `${i}` } });
    network.run(300);
    const known = peers[0]!.member('p3')!.incarnation;
    network.input(old, { kind: 'leave' });
    network.run(300);
    network.crash(old);
    const again = network.add('p3', {
      incarnation: known - 3,
      tags: { round: 'new' },
      seeds: [{ host: peers[0]!.endpoint.address, port: 7946 }],
    });
    const now = [peers[0]!, peers[1]!, again];
    network.run(1_000);
    assert.ok(network.allSeeAlive(now));
    for (const peer of now) assert.equal(peer.member('p3')!.tags['round'], 'new');
  });

  it('reports a living twin and does not quarrel at the speed of gossip', () => {
    const network = new GossipNetwork({ seed: 12 });
    const [p1] = network.grow(2);
    const seeds = [{ host: p1!.endpoint.address, port: 7946 }];
    const one = network.add('twin', { seeds });
    network.run(2_000);
    const other = network.add('twin', { seeds });
    network.run(30_000);
    assert.ok(one.has('conflict') || other.has('conflict'));
    const raised = [one, other].map((peer) => peer.count('gossip_refutations:refuted'));
    assert.ok(Math.max(...raised) <= 8, raised.join());
  });
});

describe('halves and islands', () => {
  for (const splitMs of [5_000, 20_000, 120_000]) {
    it(`merge after a partition of ${splitMs / 1_000} s`, () => {
      for (const seed of seeds) {
        const network = new GossipNetwork({ seed });
        const peers = network.grow(10);
        network.run(2_000);
        network.partition(peers.slice(0, 5), peers.slice(5));
        network.run(splitMs);
        network.heal();
        const tookMs = network.runUntil(() => network.allSeeAlive(peers), 60_000);
        assert.ok(tookMs <= 15_000, `seed ${seed}: ${tookMs} ms`);
      }
    });
  }

  it('two peers cut from each other meet again', () => {
    for (const seed of seeds) {
      const network = new GossipNetwork({ seed });
      const peers = network.grow(2);
      network.partition([peers[0]!], [peers[1]!]);
      network.run(30_000);
      assert.equal(peers[0]!.state('p2'), 'dead');
      network.heal();
      const tookMs = network.runUntil(() => network.allSeeAlive(peers), 60_000);
      assert.ok(tookMs <= 15_000, `seed ${seed}: ${tookMs} ms`);
    }
  });

  it('merge when one of them has the address of the other as a seed', () => {
    for (const seed of seeds) {
      const network = new GossipNetwork({ seed });
      const host = (n: number): { host: string; port: number } => ({
        host: `10.0.0.${n}`,
        port: 7946,
      });
      network.partition([], []);
      const all = [1, 2, 3, 4].map(host);
      const one = network.add('a1', { seeds: all });
      const two = network.add('a2', { seeds: all });
      network.blockStream = (from, to) => from.startsWith('a') !== to.startsWith('a');
      const three = network.add('b1', { seeds: all });
      const four = network.add('b2', { seeds: all });
      network.run(10_000);
      assert.ok(network.allSeeAlive([one, two]) && network.allSeeAlive([three, four]));
      assert.equal(one.state('b1'), undefined);
      network.heal();
      const tookMs = network.runUntil(() => network.allSeeAlive([one, two, three, four]), 120_000);
      assert.ok(tookMs <= 60_000, `seed ${seed}: ${tookMs} ms`);
    }
  });

  it('never merge under different labels', () => {
    const network = new GossipNetwork({ seed: 13 });
    const one = network.add('p1', { label: 'red' });
    const seeds = [{ host: one.endpoint.address, port: 7946 }];
    const two = network.add('p2', { label: 'blue', seeds });
    const three = network.add('p3', { label: '', seeds });
    network.run(30_000);
    assert.equal(one.swim.members().length, 1);
    assert.equal(two.swim.members().length, 1);
    assert.equal(three.swim.members().length, 1);
    assert.ok(one.count('gossip_drops:label-wrong') > 0);
    assert.ok(one.count('gossip_drops:label-missing') > 0);
  });

  it('a seed that is not there yet is tried until it is', () => {
    const network = new GossipNetwork({ seed: 14 });
    const late = { address: '10.1.0.1', port: 7946 };
    const early = network.add('early', { seeds: [{ host: late.address, port: late.port }] });
    network.run(120_000);
    assert.equal(early.swim.members().length, 1);
    const peer = network.add('late', { endpoint: late });
    const tookMs = network.runUntil(() => network.allSeeAlive([early, peer]), 60_000);
    assert.ok(tookMs <= 10_500, `${tookMs}`);
  });
});

describe('members that are gone', () => {
  it('are forgotten, those that left after a minute, those that failed after an hour', () => {
    const network = new GossipNetwork({ seed: 15 });
    const peers = network.grow(4);
    network.input(peers[2]!, { kind: 'leave' });
    network.run(1_000);
    network.crash(peers[2]!);
    network.crash(peers[3]!);
    network.run(50_000);
    assert.equal(peers[0]!.state('p3'), 'left');
    network.run(25_000);
    assert.equal(peers[0]!.state('p3'), undefined);
    assert.equal(peers[0]!.state('p4'), 'dead');
    network.run(3_600_000);
    assert.equal(peers[0]!.state('p4'), undefined);
  });
});

describe('metadata', () => {
  it('reaches all when it changes', () => {
    const network = new GossipNetwork({ seed: 16 });
    const peers = network.grow(5);
    network.run(1_000);
    network.input(peers[2]!, { kind: 'setTags', tags: { state: 'draining' } });
    const isKnown = (): boolean =>
      peers.every((peer) => peer.member('p3')!.tags['state'] === 'draining');
    assert.ok(network.runUntil(isKnown, 5_000) <= 400);
    for (const peer of peers) assert.ok(peer.has('update', 'p3'));
  });

  it('that does not fit is refused before anything is said', () => {
    const network = new GossipNetwork({ seed: 17 });
    const [p1] = network.grow(1);
    const before = p1!.member('p1');
    assert.throws(() => {
      network.input(p1!, { kind: 'setTags', tags: { big: 'x'.repeat(600) } });
    }, RangeError);
    assert.deepEqual(p1!.member('p1'), before);
  });
});

describe('a process that is stopped for a while', () => {
  for (const [ms, isLost] of [
    [1_500, false],
    [8_000, false],
    [8_000, true],
    [120_000, true],
  ] as const) {
    const what = isLost ? 'having lost what waited' : 'reading what waited';
    it(`for ${ms} ms accuses nobody and is back at once, ${what}`, () => {
      for (const seed of seeds) {
        const network = new GossipNetwork({ seed });
        const peers = network.grow(10);
        network.run(2_000 + seed * 77);
        const sleeper = peers[3]!;
        network.pause(sleeper);
        network.run(ms);
        const isDead = allSee(others(peers, sleeper), sleeper.name, 'dead');
        assert.equal(isDead, ms > 4_500, `seed ${seed}`);
        if (isLost) sleeper.loseWaiting();
        network.resume(sleeper);
        // The next probe of its own tells it that it is held for dead.
        const tookMs = network.runUntil(() => network.allSeeAlive(peers), 30_000);
        assert.ok(tookMs <= (isLost ? 1_200 : 600), `seed ${seed}: ${tookMs} ms`);
        network.run(10_000);
        for (const peer of others(peers, sleeper)) {
          for (const { name } of others(peers, sleeper)) {
            assert.ok(!peer.has('suspect', name), `seed ${seed}: ${name}`);
          }
        }
        assert.ok(!sleeper.has('fail'));
      }
    });
  }
});

describe('incarnations', () => {
  it('are raised by the member itself alone, whatever befalls the cluster', () => {
    for (const seed of seeds) {
      const network = new GossipNetwork({ seed, loss: 0.2 });
      const peers = network.grow(6);
      const check = (): boolean => {
        for (const peer of peers) {
          for (const other of peers) {
            const held = peer.member(other.name);
            const own = other.member(other.name)!.incarnation;
            assert.ok(held === undefined || held.incarnation <= own, `seed ${seed}`);
          }
        }
        return false;
      };
      network.partition(peers.slice(0, 2), peers.slice(2));
      network.runUntil(check, 8_000);
      network.heal();
      network.pause(peers[4]!);
      network.runUntil(check, 4_000);
      network.resume(peers[4]!);
      network.runUntil(check, 20_000);
      assert.ok(network.allSeeAlive(peers), `seed ${seed}`);
    }
  });
});
