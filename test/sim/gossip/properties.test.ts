import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { gossipLimits, gossipProfiles } from '../../../src/config/defaults.ts';
import { decodeMessage, encodeMessage, ourVersions } from '../../../src/gossip/codec.ts';
import { Swim, type Endpoint, type SwimEffect } from '../../../src/gossip/index.ts';
import type { Message, RemoteState } from '../../../src/gossip/message.ts';
import { decodePacket, encodePacket, labelHeader } from '../../../src/gossip/packet.ts';
import { newsSendsMax } from '../../../src/gossip/post.ts';
import { StreamDecoder } from '../../../src/gossip/stream-decoder.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import type { GossipNetwork } from './network.ts';
import type { SimulatedPeer } from './peer.ts';
import { seedsUpTo } from './seeds.ts';
import { Soak, type Trouble } from './soak.ts';

const noLabel = new Uint8Array(0);
const from = { address: '10.0.0.9', port: 7_946 };

/** Checks a property with each seed; fast-check says how a failure is found again. */
function holds<T>(property: fc.IProperty<T>, numRuns: number): void {
  for (const seed of seedsUpTo(1)) fc.assert(property, { seed, numRuns });
}

const trouble: fc.Arbitrary<Trouble> = fc
  .tuple(fc.nat(4_000), fc.nat(99))
  .chain(([afterMs, who]): fc.Arbitrary<Trouble> => {
    const base = { afterMs, who };
    const off = fc.constantFrom(0, 3_600_000, -3_600_000);
    return fc.oneof(
      fc
        .constantFrom('process' as const, 'host' as const)
        .map((what) => ({ ...base, kind: 'crash' as const, what })),
      fc.constant({ ...base, kind: 'leave' as const }),
      fc
        .record({ moves: fc.boolean(), wallClockOffMs: off })
        .map((more) => ({ ...base, kind: 'restart' as const, ...more })),
      fc
        .constantFrom('pause' as const, 'resume' as const, 'calm' as const)
        .map((kind) => ({ ...base, kind })),
      fc
        .record({ receiveMs: fc.nat(3_000), sendMs: fc.nat(500) })
        .map((more) => ({ ...base, kind: 'slow' as const, ...more })),
      fc
        .constantFrom(1_000, 3_600_000)
        .map((aheadMs) => ({ ...base, kind: 'jump' as const, aheadMs })),
      fc.nat(480).map((bytes) => ({ ...base, kind: 'tags' as const, bytes })),
      fc.nat(99).map((whom) => ({ ...base, kind: 'cut' as const, whom })),
      fc.integer({ min: 2, max: 4 }).map((groups) => ({ ...base, kind: 'split' as const, groups })),
      fc
        .record({
          loss: fc.double({ min: 0, max: 0.5, noNaN: true }),
          duplicated: fc.constantFrom(0, 0.3),
        })
        .map((more) => ({ ...base, kind: 'weather' as const, ...more })),
    );
  });

const soakRun = fc.record({
  seed: fc.nat(),
  size: fc.integer({ min: 2, max: 7 }),
  troubles: fc.array(trouble, { maxLength: 12 }),
});

/** Every name with its highest incarnation of its own making. */
class OwnIncarnations {
  readonly #highest = new Map<string, number>();
  readonly #network: GossipNetwork;

  constructor(network: GossipNetwork) {
    this.#network = network;
    for (const { name } of network.running()) this.of(name);
  }

  of(name: string): number {
    const self = this.#network.peers.get(name)!.member(name)!;
    const highest = Math.max(this.#highest.get(name) ?? 0, self.incarnation);
    this.#highest.set(name, highest);
    return highest;
  }
}

function messagesOf(bytes: Uint8Array, header: Uint8Array): readonly Message[] {
  const packet = decodePacket(bytes, header);
  assert.ok(packet.ok && packet.value.faults.length === 0);
  return packet.value.messages;
}

describe('whatever happens to a cluster', () => {
  /** Long enough for the longest pause between two tries to join, and for one try to reach the lost. */
  const calmMs =
    gossipLimits.joinBackoffMaxMs + 2 * gossipProfiles.fast.reconnectIntervalMs + 10_000;
  const crashBoundMs = 6_000;

  it('in peace all who live are alive everywhere, and who crashes then is found dead in time', () => {
    holds(
      fc.property(soakRun, ({ seed, size, troubles }) => {
        const names = Array.from({ length: size }, (_, i) => `p${i + 1}`);
        const soak = new Soak({ seed, names, label: 'test' });
        soak.run(troubles, calmMs);
        const { network } = soak;
        assert.ok(network.isWhole(), describeViews(network));
        const [victim, ...left] = network.running();
        if (victim === undefined || left.length === 0) return;
        network.crash(victim);
        const tookMs = network.runUntil(() => network.allSee(victim.name, 'dead'), 60_000);
        assert.ok(tookMs <= crashBoundMs, `${victim.name} was found dead after ${tookMs} ms`);
      }),
      150,
    );
  });

  it('only a member itself raises its incarnation, and no packet exceeds 1400 bytes', () => {
    const run = fc.record({
      seed: fc.nat(),
      // Names and label as long as they may be, so that every packet is as full as it can get.
      names: fc
        .constantFrom(2, 5)
        .map((size) =>
          Array.from({ length: size }, (_, i) => `${i}-`.padEnd(gossipLimits.nameBytesMax, 'n')),
        ),
      label: fc.constantFrom('', 'l'.repeat(gossipLimits.labelBytesMax)),
      keys: fc.constantFrom([], [new Uint8Array(32)]),
      troubles: fc.array(trouble, { maxLength: 8 }),
    });
    holds(
      fc.property(run, ({ troubles, ...options }) => {
        const soak = new Soak(options);
        const { network } = soak;
        const own = new OwnIncarnations(network);
        const header = labelHeader(options.label);
        network.watch({
          onSend: (sender, _to, bytes) => {
            own.of(sender.name);
            for (const message of messagesOf(bytes, header)) {
              if (message.kind !== 'alive' && message.kind !== 'suspect' && message.kind !== 'dead')
                continue;
              assert.ok(message.incarnation <= own.of(message.node), JSON.stringify(message));
            }
          },
        });
        soak.run(troubles, 5_000);
        for (const peer of network.running()) {
          assert.ok(peer.largestPacketBytes <= gossipLimits.packetBytesMax);
          for (const { name, incarnation } of peer.swim.members()) {
            assert.ok(incarnation <= own.of(name), `${peer.name} of ${name}`);
          }
        }
      }),
      40,
    );
  });

  it('each piece of news is told to the living no more often than the limit says, and once to who accuses by old news', () => {
    holds(
      fc.property(soakRun, ({ seed, size, troubles }) => {
        const names = Array.from({ length: size }, (_, i) => `p${i + 1}`);
        const soak = new Soak({ seed, names, label: 'test' });
        const header = labelHeader('test');
        const told = new Map<SimulatedPeer, Counts>();
        /** A duplicated accusation is answered twice. */
        const accusations = new Counts();
        const limit = newsSendsMax(gossipProfiles.fast.retransmitMult, size);
        soak.network.watch({
          onSend: (sender, to, bytes) => {
            const messages = messagesOf(bytes, header);
            const isExtra = messages[0]?.kind === 'ping' || !holdsAlive(soak.network, sender, to);
            for (const message of messages) {
              if (message.kind === 'suspect' || message.kind === 'dead') {
                accusations.add(`${to.address} ${message.node}`, 2);
              }
              if (isExtra || !isNews(message, sender.name)) continue;
              const text = JSON.stringify(message);
              // A process that was started again tells anew.
              const counts = told.get(sender) ?? new Counts();
              told.set(sender, counts);
              const count = counts.add(text, 1);
              const answered = accusations.of(`${sender.endpoint.address} ${message.node}`);
              assert.ok(count <= limit + answered, `${sender.name} told ${count} times: ${text}`);
            }
          },
        });
        soak.run(troubles, 5_000);
      }),
      60,
    );
  });
});

class Counts {
  readonly #counts = new Map<string, number>();

  of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  add(key: string, count: number): number {
    const sum = this.of(key) + count;
    this.#counts.set(key, sum);
    return sum;
  }
}

/** Whether a member at this address lives without suspicion, in the view of that process. */
function holdsAlive(
  { views }: GossipNetwork,
  { swim, view }: SimulatedPeer,
  to: Endpoint,
): boolean {
  return swim
    .members()
    .some(({ name, address }) => address === to.address && views.holds(view, name, 'alive'));
}

/**
 * Accusations of the sender itself ride with pings too, as often as the accused is written to; and that it
 * lives it says anew to whoever accuses it of what it has refuted.
 */
function isNews(
  message: Message,
  sender: string,
): message is Message & { readonly kind: 'alive' | 'suspect' | 'dead' } {
  if (message.kind === 'alive') return message.node !== sender;
  return (message.kind === 'suspect' || message.kind === 'dead') && message.from !== sender;
}

function describeViews(network: GossipNetwork): string {
  return network
    .running()
    .map(({ name, swim }) => {
      const views = swim.members().map((member) => `${member.name} ${member.state}`);
      return `${name}: ${views.join(', ')}`;
    })
    .join('\n');
}

function createSwim(): Swim {
  return new Swim(
    {
      name: 'self',
      incarnation: 5,
      endpoint: { address: '10.0.0.1', port: 7_946 },
      label: '',
      seeds: [],
      profile: gossipProfiles.fast,
      tags: {},
      random: seededRandom(1),
    },
    0,
  );
}

function tell(swim: Swim, messages: readonly Message[]): readonly SwimEffect[] {
  const bytes = encodePacket(noLabel, messages.map(encodeMessage), false);
  return swim.handle({ kind: 'packet', bytes, from }, 0);
}

function alive(node: string, incarnation: number): Message {
  const place = { address: `10.1.0.${incarnation}`, port: 7_946 };
  return { kind: 'alive', incarnation, node, ...place, meta: noLabel, versions: ourVersions };
}

describe('what a machine believes', () => {
  const names = ['x', 'y', 'z'] as const;
  const name = fc.constantFrom(...names);
  const incarnation = fc.integer({ min: 1, max: 4 });
  const accusation = fc
    .record({
      kind: fc.constantFrom('suspect' as const, 'dead' as const),
      node: name,
      incarnation,
      from: fc.constantFrom(...names, 'self'),
    })
    .filter(({ node, from: by }) => node !== by);
  const leave = fc
    .record({ node: name, incarnation })
    .map(({ node, incarnation: at }): Message => ({
      kind: 'dead',
      node,
      incarnation: at,
      from: node,
    }));
  const news = fc.oneof(
    fc.tuple(name, incarnation).map(([node, at]) => alive(node, at)),
    accusation,
    leave,
  );
  /** A death that a sync tells is only a suspicion, so it is not the same as the news of it. */
  const synced = fc
    .record({
      name,
      incarnation,
      state: fc.constantFrom('alive' as const, 'suspect' as const, 'left' as const),
    })
    .map(({ name: node, incarnation: at, state }): RemoteState => {
      const place = { address: `10.1.0.${at}`, port: 7_946 };
      return { name: node, incarnation: at, state, ...place, meta: noLabel, versions: ourVersions };
    });
  type Heard = { readonly packet: readonly Message[] } | { readonly sync: readonly RemoteState[] };
  const heard: fc.Arbitrary<Heard> = fc.oneof(
    fc.array(news, { minLength: 1, maxLength: 4 }).map((packet) => ({ packet })),
    fc.array(synced, { minLength: 1, maxLength: 3 }).map((sync) => ({ sync })),
  );

  const hear = (swim: Swim, one: Heard): void => {
    if ('packet' in one) tell(swim, one.packet);
    else {
      const message = {
        kind: 'pushPull',
        join: false,
        states: one.sync,
        userState: noLabel,
      } as const;
      swim.handle({ kind: 'streamMessage', stream: 1, message }, 0);
    }
  };

  it('is the same in whatever order, packets and syncs it came, and however often', () => {
    const orders = fc
      .array(heard, { minLength: 1, maxLength: 6 })
      .chain((all) =>
        fc.tuple(
          fc.constant(all),
          fc.shuffledSubarray([...all, ...all], { minLength: 2 * all.length }),
        ),
      );
    holds(
      fc.property(orders, ([one, other]) => {
        const views = [one, other].map((order) => {
          const swim = createSwim();
          tell(
            swim,
            names.map((node) => alive(node, 0)),
          );
          for (const each of order) hear(swim, each);
          return swim.members().map(({ name: node, state, incarnation: at, address }) => ({
            node,
            state,
            at,
            address,
          }));
        });
        assert.deepEqual(views[0], views[1]);
      }),
      400,
    );
  });

  it('holds no member that did not say so itself, or is one to others', () => {
    const anyName = fc.oneof(name, fc.constant('self'), fc.string({ maxLength: 12 }));
    const source = { sourceAddress: '10.3.0.1', sourcePort: 9 };
    const notAlive: fc.Arbitrary<Message> = fc.oneof(
      fc.record({
        kind: fc.constantFrom('suspect' as const, 'dead' as const),
        node: anyName,
        incarnation: fc.nat(),
        from: anyName,
      }),
      fc
        .record({ seqNo: fc.nat(), node: anyName, sourceNode: anyName })
        .map((ping): Message => ({ kind: 'ping', ...source, ...ping })),
      fc
        .record({ seqNo: fc.nat(), node: anyName, sourceNode: anyName, nack: fc.boolean() })
        .map((ping): Message => ({
          kind: 'indirectPing',
          address: '10.3.0.2',
          port: 7,
          ...source,
          ...ping,
        })),
      fc.nat().map((seqNo): Message => ({ kind: 'ack', seqNo, payload: noLabel })),
      fc.nat().map((seqNo): Message => ({ kind: 'nack', seqNo })),
    );
    holds(
      fc.property(fc.array(notAlive, { minLength: 1, maxLength: 8 }), (messages) => {
        const swim = createSwim();
        tell(swim, [alive('x', 1)]);
        tell(swim, messages);
        assert.deepEqual(
          swim.members().map((member) => member.name),
          ['self', 'x'],
        );
      }),
      300,
    );
  });
});

describe('bytes that promise more than they hold', () => {
  /** Types of msgpack with a length of 4 bytes: bin, str, array, map. */
  const promise = fc
    .tuple(fc.constantFrom(0xc6, 0xdb, 0xdd, 0xdf), fc.integer({ min: 100_000, max: 0xffff_ffff }))
    .map(([type, length]) => {
      const bytes = Buffer.alloc(5);
      bytes[0] = type;
      bytes.writeUInt32BE(length, 1);
      return bytes;
    });
  const key = Buffer.from([0xa4, ...Buffer.from('Node')]);

  it('are faults and take no memory', () => {
    const before = process.memoryUsage().arrayBuffers;
    holds(
      fc.property(
        fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 11, 13),
        promise,
        fc.boolean(),
        (type, large, isInMap) => {
          const body = isInMap ? [0x81, ...key, ...large] : [...large];
          const bytes = Buffer.from([type, ...body]);
          assert.ok(!decodeMessage(bytes).ok);
          const packet = decodePacket(bytes, noLabel);
          assert.ok(!packet.ok || packet.value.messages.length === 0);
          const read = new StreamDecoder(noLabel, 'accepted').push(bytes);
          assert.ok(!read.ok || read.value === undefined);
        },
      ),
      500,
    );
    assert.ok(process.memoryUsage().arrayBuffers - before < 16_777_216);
  });
});
