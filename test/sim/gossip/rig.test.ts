import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gossipLimits, gossipProfiles } from '../../../src/config/defaults.ts';
import { labelHeader, type SwimInput } from '../../../src/gossip/index.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import { GossipNetwork, type NetworkOptions } from './network.ts';
import { calm, cut, lossy, passes, transitMs } from './path.ts';
import type { SimulatedPeer } from './peer.ts';

function warmNetwork(
  count: number,
  options: Partial<NetworkOptions> = {},
): { readonly network: GossipNetwork; readonly peers: readonly SimulatedPeer[] } {
  const network = new GossipNetwork({ seed: 1, ...options });
  network.warm(Array.from({ length: count }, (_, i) => `p${i + 1}`));
  network.run(2_000);
  return { network, peers: network.running() };
}

/** Kinds of what the machine was given from now on, and when. */
function inputsOf(
  network: GossipNetwork,
  peer: SimulatedPeer,
): readonly { readonly kind: SwimInput['kind']; readonly atMs: number }[] {
  const seen: { kind: SwimInput['kind']; atMs: number }[] = [];
  const handle = peer.swim.handle.bind(peer.swim);
  peer.swim.handle = (input, now) => {
    seen.push({ kind: input.kind, atMs: network.nowMs });
    return handle(input, now);
  };
  return seen;
}

describe('chance', () => {
  it('is the seed alone: the same one gives the same run, another one another', () => {
    const digestOf = (seed: number): string => {
      const { network, peers } = warmNetwork(8, { seed });
      network.path = () => ({ ...calm, loss: 0.2, duplicated: 0.1, overtaken: 0.1 });
      network.run(5_000);
      network.crash(peers[2]!);
      peers[3]!.pause();
      network.run(5_000);
      peers[3]!.resume();
      network.run(20_000);
      return network.digest.text;
    };
    assert.equal(digestOf(7), digestOf(7));
    assert.notEqual(digestOf(7), digestOf(8));
  });

  it('loses, delays and reorders as told', () => {
    const random = seededRandom(1);
    const tries = 20_000;
    let passed = 0;
    for (let i = 0; i < tries; i++) if (passes(lossy(0.3), random)) passed++;
    assert.ok(Math.abs(passed / tries - 0.7) < 0.02, `${passed}`);
    assert.ok(!passes(cut, random) && passes(calm, random));
    const sum = (path: typeof calm): number => {
      let total = 0;
      for (let i = 0; i < tries; i++) {
        const transit = transitMs(path, random);
        assert.ok(transit >= path.leastMs);
        total += transit;
      }
      return total / tries;
    };
    assert.ok(Math.abs(sum({ ...calm, leastMs: 5, meanExtraMs: 3 }) - 8) < 0.2);
    const overtaken = sum({ ...calm, overtaken: 0.5, heldBackMs: 40 });
    assert.ok(Math.abs(overtaken - (0.6 + 0.5 * 20)) < 0.5, `${overtaken}`);
  });
});

describe('packets', () => {
  it('come twice when the path doubles them', () => {
    const { network, peers } = warmNetwork(2);
    network.path = () => ({ ...calm, duplicated: 1 });
    const sent = peers[1]!.sentPackets;
    const seen = inputsOf(network, peers[0]!);
    network.run(5_000);
    const packets = seen.filter(({ kind }) => kind === 'packet').length;
    // The last one may still be on its way.
    assert.ok(Math.abs(packets - 2 * (peers[1]!.sentPackets - sent)) <= 2);
  });

  it('pass one way when only the other is cut', () => {
    const { network, peers } = warmNetwork(2);
    const [one, other] = peers;
    network.path = (from) => (from === one ? cut : calm);
    const seen = [one!, other!].map((peer) => inputsOf(network, peer));
    network.run(3_000);
    assert.equal(seen[1]!.filter(({ kind }) => kind === 'packet').length, 0);
    assert.ok(seen[0]!.some(({ kind }) => kind === 'packet'));
  });

  it('larger than a frame are dropped and counted', () => {
    const { network, peers } = warmNetwork(2);
    const seen = inputsOf(network, peers[1]!);
    const sendOf = (length: number): void => {
      const bytes = Buffer.alloc(length);
      bytes.set(labelHeader('test'));
      peers[0]!.swim.handle = () => [{ kind: 'send', to: peers[1]!.endpoint, bytes }];
      network.input(peers[0]!, { kind: 'timer' });
    };
    sendOf(1_473);
    network.run(20);
    assert.equal(seen.length + network.oversized, 1);
    sendOf(1_472);
    network.run(20);
    assert.ok(seen.some(({ kind }) => kind === 'packet'));
    assert.equal(network.oversized, 1);
  });

  it('leave late from a slow sender and are handled late by a slow receiver', () => {
    for (const side of ['sendDelayMs', 'receiveDelayMs'] as const) {
      const { network, peers } = warmNetwork(2);
      const [one, other] = peers;
      if (side === 'sendDelayMs') one!.sendDelayMs = 700;
      else other!.receiveDelayMs = 700;
      network.run(50);
      const seen = inputsOf(network, other!);
      const at = network.nowMs;
      network.input(one!, { kind: 'sendUser', to: other!.endpoint, bytes: Uint8Array.of(1) });
      network.run(699);
      const before = seen.filter(({ kind }) => kind === 'packet').length;
      network.run(100);
      const late = seen.filter(({ kind, atMs }) => kind === 'packet' && atMs > at + 700);
      assert.ok(late.length > 0 && before === 0, side);
    }
  });
});

describe('keys', () => {
  it('keep strangers out, by packets and by streams', () => {
    const network = new GossipNetwork({ seed: 1 });
    const key = (byte: number): Uint8Array => new Uint8Array(16).fill(byte);
    const first = network.add('p1', { keys: [key(1), key(2)] });
    const seeds = [{ host: first.endpoint.address, port: first.endpoint.port }];
    const second = network.add('p2', { keys: [key(2), key(1)], seeds });
    const stranger = network.add('p3', { keys: [key(3)], seeds });
    const open = network.add('p4', { seeds });
    network.run(5_000);
    assert.equal(first.state('p2'), 'alive');
    assert.equal(second.state('p1'), 'alive');
    for (const peer of [stranger, open]) {
      assert.equal(peer.swim.members().length, 1);
      assert.equal(first.state(peer.name), undefined);
    }
    assert.ok(first.count('gossip_drops:wrong-key') > 0);
  });
});

describe('streams', () => {
  /** How long one exchange takes that peer 1 begins with peer 2, and how it ends. */
  const exchange = (
    network: GossipNetwork,
    peers: readonly SimulatedPeer[],
  ): { readonly tookMs: number; readonly end: SwimInput['kind'] | undefined } => {
    const [one, other] = peers;
    const seen = inputsOf(network, one!);
    const startMs = network.nowMs;
    network.input(one!, { kind: 'sync', name: other!.name });
    network.run(20_000);
    const end = seen.find(({ kind }) => kind.startsWith('stream'));
    return { tookMs: (end?.atMs ?? Infinity) - startMs, end: end?.kind };
  };
  /** Probes would open streams of their own: this profile has none while a test looks. */
  const profile = {
    ...gossipProfiles.fast,
    probeIntervalMs: 1e9,
    probeTimeoutMs: 1e9,
    syncIntervalMs: 1e9,
  };

  it('take a few round trips', () => {
    const { network, peers } = warmNetwork(2, { profile });
    const { tookMs, end } = exchange(network, peers);
    assert.equal(end, 'streamMessage');
    assert.ok(tookMs > 0.8 && tookMs < 20, `${tookMs}`);
    assert.equal(peers[0]!.streams.size + peers[1]!.streams.size, 0);
  });

  it('are refused at once by a machine whose process is gone', () => {
    const { network, peers } = warmNetwork(2, { profile });
    network.crash(peers[1]!);
    const { tookMs, end } = exchange(network, peers);
    assert.equal(end, 'streamClosed');
    assert.ok(tookMs < 20, `${tookMs}`);
    assert.equal(peers[0]!.count('gossip_drops:stream-error'), 1);
  });

  for (const [what, begin] of [
    [
      'a machine that is gone',
      (network, peer) => {
        network.crash(peer, 'host');
      },
    ],
    [
      'a process that stands still',
      (_, peer) => {
        peer.pause();
      },
    ],
    ['behind a cut', (network) => (network.path = () => cut)],
  ] as readonly [string, (network: GossipNetwork, peer: SimulatedPeer) => unknown][]) {
    it(`end with the time of the shell: ${what}`, () => {
      const { network, peers } = warmNetwork(2, { profile });
      begin(network, peers[1]!);
      const { tookMs, end } = exchange(network, peers);
      assert.equal(end, 'streamClosed');
      assert.equal(tookMs, profile.streamTimeoutMs);
      assert.equal(peers[0]!.count('gossip_drops:stream-timeout'), 1);
    });
  }

  it('pay for lost packets with time-outs', () => {
    const times = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((seed) => {
      const { network, peers } = warmNetwork(2, { seed, profile });
      network.path = () => lossy(0.3);
      return exchange(network, peers).tookMs;
    });
    assert.ok(times.some((ms) => ms >= 200) && times.some((ms) => ms >= 1_000), times.join());
    assert.ok(times.some((ms) => ms < 50));
  });

  it('that are open end when a process ends', () => {
    const { network, peers } = warmNetwork(2, { profile });
    peers[1]!.pause();
    network.input(peers[0]!, { kind: 'sync', name: 'p2' });
    network.run(100);
    assert.equal(peers[0]!.streams.size, 1);
    peers[1]!.resume();
    network.crash(peers[0]!);
    network.run(100);
    assert.equal(peers[1]!.streams.size, 0);
  });
});

describe('a process that stood still', () => {
  it('takes what waited in its socket, as much as fits', () => {
    const { network, peers } = warmNetwork(2);
    const [one, other] = peers;
    other!.pause();
    const bytes = new Uint8Array(gossipLimits.userMessageBytesMax);
    for (let i = 0; i < 1_000; i++) {
      network.input(one!, { kind: 'sendUser', to: other!.endpoint, bytes });
    }
    network.run(100);
    const seen = inputsOf(network, other!);
    assert.equal(seen.length, 0);
    other!.resume();
    const packets = seen.filter(({ kind }) => kind === 'packet').length;
    assert.ok(packets > 500 && packets < 700, `${packets}`);
  });

  it('runs its timers before that', () => {
    const { network, peers } = warmNetwork(2);
    const [one, other] = peers;
    other!.pause();
    for (let i = 0; i < 70; i++) {
      network.input(one!, { kind: 'sendUser', to: other!.endpoint, bytes: Uint8Array.of(i) });
    }
    network.run(1_000);
    const seen = inputsOf(network, other!);
    other!.resume();
    assert.equal(seen[0]?.kind, 'timer');
    assert.ok(seen.filter(({ kind }) => kind === 'packet').length >= 70);
    assert.ok(other!.count('gossip_timers:late') > 0);
  });
});

describe('clocks', () => {
  it('that jump ahead make every timer late', () => {
    const { network, peers } = warmNetwork(2);
    const seen = inputsOf(network, peers[0]!);
    peers[0]!.jumpAhead(3_600_000);
    assert.equal(seen[0]?.kind, 'timer');
    assert.ok(peers[0]!.count('gossip_timers:late') > 0);
  });

  it('of the wall that are off give another first incarnation', () => {
    const network = new GossipNetwork({ seed: 1 });
    const right = network.add('right');
    const behind = network.add('behind', { wallClockOffMs: -3_600_000 });
    const difference = right.member('right')!.incarnation - behind.member('behind')!.incarnation;
    assert.equal(difference, 3_600);
  });
});

describe('views', () => {
  it('say what the machines say', () => {
    const { network, peers } = warmNetwork(6);
    network.crash(peers[5]!);
    network.input(peers[4]!, { kind: 'leave' });
    network.run(2_000);
    network.crash(peers[4]!);
    network.run(10_000);
    assert.ok(network.isWhole());
    for (const peer of network.running()) {
      for (const { name, state } of peer.swim.members()) {
        assert.ok(network.views.holds(peer.view, name, state), `${peer.name} of ${name}`);
        assert.ok(network.allSee(name, state));
      }
    }
    assert.equal(peers[0]!.state('p6'), 'dead');
    assert.equal(peers[0]!.state('p5'), 'left');
  });
});
