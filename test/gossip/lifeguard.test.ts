import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gossipLimits, gossipProfiles } from '../../src/config/defaults.ts';
import { encodeMessage, ourVersions } from '../../src/gossip/codec.ts';
import { Health } from '../../src/gossip/health.ts';
import { endpointText, Swim, type Endpoint, type SwimEffect } from '../../src/gossip/index.ts';
import type { Message } from '../../src/gossip/message.ts';
import { decodePacket, encodePacket } from '../../src/gossip/packet.ts';
import { GossipNetwork, pass, seededRandom } from '../support/gossip-network.ts';

const noLabel = new Uint8Array(0);
const { fast } = gossipProfiles;

/** A machine that knows members m1, m2, … at 10.1.0.1, … and probes none of its own accord. */
class Bench {
  readonly endpoint: Endpoint = { address: '10.0.0.1', port: 7946 };
  readonly swim: Swim;
  now = 0;

  constructor(members: number, profile: typeof fast = fast, random = seededRandom(1)) {
    this.swim = new Swim(
      {
        name: 'self',
        incarnation: 5,
        endpoint: this.endpoint,
        label: '',
        seeds: [],
        profile,
        tags: {},
        random,
      },
      0,
    );
    for (let i = 1; i <= members; i++) {
      this.hear({
        kind: 'alive',
        incarnation: 1,
        node: `m${i}`,
        address: `10.1.0.${i}`,
        port: 7946,
        meta: new Uint8Array(0),
        versions: ourVersions,
      });
    }
  }

  hear(message: Message, by = '10.9.9.9'): readonly SwimEffect[] {
    const bytes = encodePacket(noLabel, [encodeMessage(message)], false);
    const from = { address: by, port: 7946 };
    return this.swim.handle({ kind: 'packet', bytes, from }, this.now);
  }

  wait(ms: number): readonly SwimEffect[] {
    const effects = pass(this.swim, this.now, this.now + ms);
    this.now += ms;
    return effects;
  }

  state(name: string): string | undefined {
    return this.swim.members().find((member) => member.name === name)?.state;
  }

  /** Probes m1; the number of the ping. */
  probe(): number {
    const effects = this.swim.handle({ kind: 'probe', name: 'm1' }, this.now);
    const ping = messages(effects).find(({ kind }) => kind === 'ping');
    assert.ok(ping?.kind === 'ping');
    return ping.seqNo;
  }
}

function messages(effects: readonly SwimEffect[]): readonly Message[] {
  return effects.flatMap((effect) => {
    if (effect.kind !== 'send') return [];
    const packet = decodePacket(effect.bytes, noLabel);
    return packet.ok ? packet.value.messages : [];
  });
}

function isRelayed(effect: SwimEffect): effect is SwimEffect & { readonly kind: 'send' } {
  return effect.kind === 'send' && messages([effect]).some(({ kind }) => kind === 'indirectPing');
}

function sum(effects: readonly SwimEffect[], name: string): number {
  return effects.reduce(
    (total, effect) => total + (effect.kind === 'count' && effect.name === name ? effect.by : 0),
    0,
  );
}

describe('local health', () => {
  it('stays between 0 and its worst, and stretches time by one length for each point', () => {
    const health = new Health(3);
    const seen: number[] = [];
    for (const points of [-1, 1, 1, 0, 4, -1, -9]) {
      health.add(points);
      seen.push(health.score, health.scale(200));
    }
    assert.deepEqual(seen, [0, 200, 1, 400, 2, 600, 2, 600, 3, 800, 2, 600, 0, 200]);
    const off = new Health(0);
    off.add(5);
    assert.equal(off.scale(200), 200);
  });

  it('hears a relay say no before the probe is over, whatever the profile', () => {
    for (const profile of Object.values(gossipProfiles)) {
      const asker = new Bench(5, profile);
      const relay = new Bench(5, profile);
      asker.probe();
      const asked = asker.wait(profile.probeTimeoutMs).find(isRelayed);
      assert.ok(asked !== undefined);
      relay.swim.handle({ kind: 'packet', bytes: asked.bytes, from: asker.endpoint }, 0);
      const leftMs = profile.probeIntervalMs - profile.probeTimeoutMs;
      const said = messages(relay.wait(0.9 * leftMs)).map(({ kind }) => kind);
      assert.ok(said.includes('nack'), `${leftMs} ms`);
    }
  });

  it('suffers from relays that say nothing, not from those that say no', () => {
    for (const [nacks, score] of [
      [0, 3],
      [1, 2],
      [3, 0],
    ] as const) {
      const bench = new Bench(5);
      const seqNo = bench.probe();
      const relays = bench.wait(200).flatMap((effect) => {
        return isRelayed(effect) ? [effect.to.address] : [];
      });
      assert.equal(relays.length, 3);
      for (const relay of relays.slice(0, nacks)) {
        // The network may bring it twice.
        for (let i = 0; i < 2; i++) bench.hear({ kind: 'nack', seqNo }, relay);
      }
      bench.wait(300);
      assert.equal(bench.swim.health, score, `${nacks} nacks`);
    }
  });

  it('suffers from a failed probe by one where there are no relays', () => {
    const bench = new Bench(1);
    bench.probe();
    bench.wait(500);
    assert.equal(bench.swim.health, 1);
  });

  it('recovers by one with each answer, and suffers by one from each accusation', () => {
    const bench = new Bench(1);
    for (let i = 1; i <= 10; i++) {
      bench.hear({ kind: 'suspect', incarnation: 4 + i, node: 'self', from: 'm1' });
    }
    assert.equal(bench.swim.health, fast.healthMax);
    for (let left = fast.healthMax - 1; left >= 0; left--) {
      const seqNo = bench.probe();
      bench.hear({ kind: 'ack', seqNo, payload: new Uint8Array(0) });
      assert.equal(bench.swim.health, left);
    }
  });

  it('does not suffer from an accusation of the past, nor from its own name after a restart', () => {
    const bench = new Bench(1);
    bench.hear({ kind: 'suspect', incarnation: 4, node: 'self', from: 'm1' });
    bench.hear({
      kind: 'alive',
      incarnation: 9,
      node: 'self',
      address: '10.0.0.1',
      port: 7946,
      meta: Uint8Array.of(1),
      versions: ourVersions,
    });
    assert.equal(bench.swim.members()[0]?.incarnation, 10);
    assert.equal(bench.swim.health, 0);
  });

  it('stretches the time-out and the time of a probe', () => {
    for (const healthMax of [fast.healthMax, 0]) {
      const bench = new Bench(1, { ...fast, healthMax });
      bench.hear({ kind: 'suspect', incarnation: 5, node: 'self', from: 'm1' });
      bench.hear({ kind: 'suspect', incarnation: 6, node: 'self', from: 'm1' });
      const times = healthMax === 0 ? 1 : 3;
      bench.probe();
      const isTried = (effects: readonly SwimEffect[]): boolean =>
        effects.some(({ kind }) => kind === 'openStream');
      assert.ok(!isTried(bench.wait(200 * times - 10)));
      assert.ok(isTried(bench.wait(10)));
      assert.equal(sum(bench.wait(300 * times - 10), 'gossip_probes'), 0);
      assert.equal(sum(bench.wait(10), 'gossip_probes'), 1);
    }
  });

  it('makes probes rarer while they are not answered, and takes the next turn once one is over', () => {
    const network = new GossipNetwork({ seed: 4 });
    const [p1, p2] = network.grow(2);
    network.run(1_000);
    const start = network.now;
    const own = p1!.member('p1')!.incarnation;
    for (let i = 0; i < 3; i++) {
      const bytes = encodePacket(
        Uint8Array.from([244, 4, ...Buffer.from('test')]),
        [encodeMessage({ kind: 'suspect', incarnation: own + i, node: 'p1', from: 'p2' })],
        false,
      );
      network.input(p1!, { kind: 'packet', bytes, from: p2!.endpoint });
    }
    assert.equal(p1!.swim.health, 3);
    network.dropPacket = () => true;
    network.blockStream = () => true;
    network.run(10_000);
    const [suspect, fail] = ['suspect', 'fail'].map(
      (kind) => p1!.events.find(({ event }) => event.kind === kind)!.at - start,
    );
    // A probe of 4 x 0.5 s, which began within the first 0.5 s.
    assert.ok(suspect! > 2_000 && suspect! <= 2_500, `${suspect}`);
    // The second, of 5 x 0.5 s, begins at the end of the first and is still open when p2 is dead.
    assert.equal(fail! - suspect!, 2_000);
    assert.equal(p1!.count('gossip_probes:failed'), 1);
  });
});

describe('a suspicion', () => {
  const accused = (accusers: number, members = 10, profile = fast): Bench => {
    const bench = new Bench(members, profile);
    for (const from of ['self', 'm2', 'm3'].slice(0, accusers)) {
      bench.hear({ kind: 'suspect', incarnation: 1, node: 'm1', from });
    }
    return bench;
  };
  /** Numbers of the probes of m1; each may be sent twice. */
  const probesIn = (effects: readonly SwimEffect[]): readonly number[] =>
    messages(effects).flatMap((one) =>
      one.kind === 'ping' && one.node === 'm1' ? [one.seqNo] : [],
    );
  const isPinged = (effects: readonly SwimEffect[]): boolean => probesIn(effects).length > 0;

  it('makes a few who hear of it look for themselves at once, if they are well', () => {
    const accusation: Message = { kind: 'suspect', incarnation: 1, node: 'm1', from: 'm2' };
    const looks = (random: number, members = 9, change?: (bench: Bench) => void): boolean => {
      const bench = new Bench(members, fast, () => random);
      change?.(bench);
      return isPinged(bench.hear(accusation));
    };
    // Two for each of the two confirmations, of 10 members.
    assert.ok(looks(0.39));
    assert.ok(!looks(0.4));
    assert.ok(!looks(0, 2), 'nobody is waited for in a tiny cluster');
    const ill = (bench: Bench): void => {
      bench.hear({ kind: 'suspect', incarnation: 5, node: 'self', from: 'm2' });
    };
    assert.ok(!looks(0, 9, ill));
    const bench = new Bench(9, fast, () => 0);
    assert.ok(!isPinged(bench.hear({ ...accusation, from: 'self' })));
  });

  it('that others confirm ends soon, and does not wait for another probe', () => {
    const bench = accused(3);
    assert.ok(!isPinged(bench.wait(2_070)));
    assert.equal(bench.state('m1'), 'suspect');
    bench.wait(20);
    assert.equal(bench.state('m1'), 'dead');
  });

  it('that nobody confirms ends with one more probe, more of them if we doubt ourselves', () => {
    for (const [healthMax, tries] of [
      [0, 0],
      [8, 3],
    ] as const) {
      const bench = accused(1, 10, { ...fast, healthMax });
      assert.ok(!isPinged(bench.wait(12_490)));
      for (let i = 0; i < healthMax; i++) {
        bench.hear({ kind: 'suspect', incarnation: 5 + i, node: 'self', from: 'm2' });
      }
      const seen = new Set<number>();
      for (let i = 0; i < 2_000 && bench.state('m1') === 'suspect'; i++) {
        for (const seqNo of probesIn(bench.wait(10))) seen.add(seqNo);
      }
      assert.equal(bench.state('m1'), 'dead');
      assert.equal(seen.size, tries, `health ${healthMax}`);
    }
  });

  it('begins anew when the suspect answers us, and ends when it refutes', () => {
    const bench = accused(3);
    bench.wait(1_500);
    bench.hear({ kind: 'ack', seqNo: bench.probe(), payload: new Uint8Array(0) });
    bench.wait(1_900);
    assert.equal(bench.state('m1'), 'suspect');
    bench.hear({ kind: 'ack', seqNo: bench.probe(), payload: new Uint8Array(0) });
    bench.wait(2_100);
    assert.equal(bench.state('m1'), 'dead');
  });

  it('gives one that hears late a moment between the confirmation and the death', () => {
    const bench = accused(1);
    for (let i = 0; i < 4; i++) {
      bench.hear({ kind: 'suspect', incarnation: 5 + i, node: 'self', from: 'm2' });
    }
    bench.wait(7_000);
    for (const by of ['m3', 'm4']) {
      bench.hear({ kind: 'suspect', incarnation: 1, node: 'm1', from: by });
    }
    // Long over by the table; with a health of 4 there are 5 times 200 ms.
    bench.wait(990);
    assert.equal(bench.state('m1'), 'suspect');
    bench.wait(10);
    assert.equal(bench.state('m1'), 'dead');
  });
});

describe('an accusation that is out of date', () => {
  const alive = (incarnation: number): Message => ({
    kind: 'alive',
    incarnation,
    node: 'm1',
    address: '10.1.0.1',
    port: 7946,
    meta: new Uint8Array(0),
    versions: ourVersions,
  });

  it('is answered with what refutes it, to members alone', () => {
    for (const kind of ['suspect', 'dead'] as const) {
      const bench = new Bench(3);
      bench.hear(alive(2));
      const old: Message = { kind, incarnation: 1, node: 'm1', from: 'm2' };
      const answers = bench.hear(old, '10.1.0.3').filter((effect) => effect.kind === 'send');
      assert.deepEqual(
        answers.map(({ to }) => to.address),
        ['10.1.0.3'],
      );
      assert.deepEqual(messages(answers)[0], alive(2));
      assert.ok(!bench.hear(old, '10.66.6.6').some((effect) => effect.kind === 'send'));
      assert.equal(bench.state('m1'), 'alive');
    }
  });

  it('is answered by one packet, however many of them a packet brings', () => {
    const bench = new Bench(60);
    const old = Array.from({ length: 60 }, (_, i) =>
      encodeMessage({ kind: 'suspect', incarnation: 0, node: `m${i + 1}`, from: 'm2' }),
    );
    const bytes = encodePacket(noLabel, [...old, ...old], false);
    const from = { address: '10.1.0.2', port: 7946 };
    const sent = bench.swim
      .handle({ kind: 'packet', bytes, from }, 0)
      .filter((effect) => effect.kind === 'send');
    assert.equal(sent.length, 1);
    assert.ok(sent[0]!.bytes.length <= gossipLimits.packetBytesMax);
    const told = messages(sent).map((message) => (message.kind === 'alive' ? message.node : ''));
    assert.ok(told.length > 5, `${told.length} in a packet`);
    assert.equal(new Set(told).size, told.length);
  });

  it('against ourselves is answered at once', () => {
    const bench = new Bench(2);
    const effects = bench.hear(
      { kind: 'suspect', incarnation: 5, node: 'self', from: 'm2' },
      '10.1.0.2',
    );
    const [answer] = messages(effects.filter((effect) => effect.kind === 'send'));
    assert.ok(answer?.kind === 'alive' && answer.node === 'self' && answer.incarnation === 6);
  });
});

describe('relays that are silent while others answer', () => {
  it('are probed themselves, but not those that are silent then', () => {
    const bench = new Bench(9);
    const seqNo = bench.probe();
    const relays = bench.wait(200).flatMap((effect) => {
      return isRelayed(effect) ? [effect.to.address] : [];
    });
    bench.hear({ kind: 'nack', seqNo }, relays[0]);
    const pinged = (effects: readonly SwimEffect[]): readonly string[] =>
      effects.flatMap((effect) => {
        const isPing = effect.kind === 'send' && messages([effect])[0]?.kind === 'ping';
        return isPing ? [effect.to.address] : [];
      });
    assert.deepEqual(new Set(pinged(bench.wait(300))), new Set(relays.slice(1)));
    const next = bench.wait(3_000);
    // Each of the two once more, because all its relays were silent; nobody else.
    assert.ok(pinged(next).every((address) => relays.slice(1).includes(address)));
  });
});

describe('a process that stood still', () => {
  it('judges nobody by the time it stood, and counts it against itself', () => {
    const bench = new Bench(3);
    const seqNo = bench.probe();
    bench.wait(200);
    bench.now += 60_000;
    const late = bench.swim.handle({ kind: 'timer' }, bench.now);
    assert.equal(sum(late, 'gossip_timers'), 1);
    assert.equal(sum(late, 'gossip_probes'), 0);
    assert.equal(bench.swim.health, 1);
    bench.hear({ kind: 'ack', seqNo, payload: new Uint8Array(0) });
    assert.equal(sum(bench.wait(1_000), 'gossip_probes'), 0);
    assert.equal(bench.swim.health, 0);
  });

  it('does not condemn a suspect that it could not hear', () => {
    const bench = new Bench(1);
    bench.hear({ kind: 'suspect', incarnation: 1, node: 'm1', from: 'self' });
    bench.wait(1_000);
    bench.now += 60_000;
    bench.swim.handle({ kind: 'timer' }, bench.now);
    assert.equal(bench.swim.members()[1]?.state, 'suspect');
    // Nothing was due before the end of the 2 s for which it is suspect, so only the grace is left.
    bench.wait(40);
    assert.equal(bench.swim.members()[1]?.state, 'suspect');
    bench.wait(10);
    assert.equal(bench.swim.members()[1]?.state, 'dead');
  });

  it('asks to be woken when its time is up, not when that would have been', () => {
    const bench = new Bench(1);
    bench.wait(10);
    bench.probe();
    bench.now += 5_000;
    const effects = bench.swim.handle({ kind: 'timer' }, bench.now);
    const wake = effects.findLast((effect) => effect.kind === 'wake');
    assert.equal(wake?.at, 5_060);
  });
});

describe('the buddy rule', () => {
  it('tells a suspect with its ping, unless it is switched off', () => {
    for (const buddyRule of [true, false]) {
      const bench = new Bench(2, { ...fast, buddyRule });
      bench.hear({ kind: 'suspect', incarnation: 1, node: 'm1', from: 'm2' });
      const sent = messages(bench.swim.handle({ kind: 'probe', name: 'm1' }, bench.now));
      const own = sent.filter((one) => one.kind === 'suspect' && one.from === 'self');
      assert.equal(own.length, buddyRule ? 1 : 0);
    }
  });
});

describe('the probe over a stream', () => {
  it('is not made where the profile has none', () => {
    const bench = new Bench(1, { ...fast, streamProbe: false });
    bench.probe();
    const effects = bench.wait(500);
    assert.ok(!effects.some(({ kind }) => kind === 'openStream'));
    assert.equal(bench.swim.members()[1]?.state, 'suspect');
  });
});

describe('a member that is probed out of turn', () => {
  it('is not probed a second time when its turn comes meanwhile', () => {
    const network = new GossipNetwork({ seed: 31 });
    const peers = network.grow(2);
    network.run(2_000);
    const [p1, p2] = peers;
    network.crash(p2!);
    network.packets.length = 0;
    network.input(p1!, { kind: 'probe', name: 'p2' });
    const start = network.now;
    network.runUntil(() => p1!.state('p2') === 'suspect', 5_000);
    // The turn of p2 comes within 500 ms.
    assert.ok(network.now - start <= 501);
    const label = Uint8Array.from([244, 4, ...Buffer.from('test')]);
    const probes = new Set(
      network.packets.flatMap(({ bytes }) => {
        const packet = decodePacket(bytes, label);
        assert.ok(packet.ok);
        return packet.value.messages.flatMap((one) => (one.kind === 'ping' ? [one.seqNo] : []));
      }),
    );
    assert.equal(probes.size, 1);
  });
});

describe('one that is held for dead', () => {
  it('hears of it from others, and gets no other news', () => {
    const network = new GossipNetwork({ seed: 21 });
    const peers = network.grow(10);
    network.run(2_000);
    const gone = peers[9]!;
    network.crash(gone);
    const left = peers.slice(0, 9);
    const isDead = (): boolean => left.every((peer) => peer.state(gone.name) === 'dead');
    network.runUntil(isDead, 10_000);
    network.packets.length = 0;
    for (const peer of left) network.input(peer, { kind: 'setTags', tags: { zone: 'b' } });
    network.run(2_000);
    const label = Uint8Array.from([244, 4, ...Buffer.from('test')]);
    const told = network.packets.flatMap(({ to, bytes }) => {
      if (to !== endpointText(gone.endpoint)) return [];
      const packet = decodePacket(bytes, label);
      assert.ok(packet.ok);
      return packet.value.messages;
    });
    assert.ok(told.length > 0);
    for (const message of told) {
      assert.ok(message.kind === 'dead' && message.node === gone.name);
    }
    // Long dead it gets nothing any more.
    network.run(fast.gossipToDeadMs);
    network.packets.length = 0;
    for (const peer of left) network.input(peer, { kind: 'setTags', tags: { zone: 'c' } });
    network.run(2_000);
    assert.ok(network.packets.every(({ to }) => to !== endpointText(gone.endpoint)));
  });
});
