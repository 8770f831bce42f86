import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { gossipLimits, gossipProfiles } from '../../src/config/defaults.ts';
import { encodeMessage, ourVersions } from '../../src/gossip/codec.ts';
import { Swim, type Member, type SwimEffect, type SwimEvent } from '../../src/gossip/index.ts';
import type { Message, PushPull, RemoteState } from '../../src/gossip/message.ts';
import { decodePacket, encodePacket } from '../../src/gossip/packet.ts';
import { StreamDecoder } from '../../src/gossip/stream-decoder.ts';
import { pass, seededRandom } from '../support/gossip-network.ts';

const noLabel = new Uint8Array(0);
const from = { address: '10.0.0.9', port: 7946 };

function createSwim(): Swim {
  return new Swim(
    {
      name: 'self',
      incarnation: 5,
      endpoint: { address: '10.0.0.1', port: 7946 },
      label: '',
      seeds: [],
      profile: gossipProfiles.fast,
      tags: {},
      random: seededRandom(1),
    },
    0,
  );
}

function alive(node: string, incarnation: number, fields: Partial<Message> = {}): Message {
  return {
    kind: 'alive',
    incarnation,
    node,
    // The content belongs to the incarnation: only the node itself makes it.
    address: `10.1.0.${incarnation}`,
    port: 7946,
    meta: new Uint8Array(0),
    versions: ourVersions,
    ...fields,
  } as Message;
}

function accuse(kind: 'suspect' | 'dead', node: string, incarnation: number, by: string): Message {
  return { kind, node, incarnation, from: by };
}

/** Gives messages in one packet and returns all effects. */
function tell(swim: Swim, ...messages: readonly Message[]): readonly SwimEffect[] {
  const bytes = encodePacket(noLabel, messages.map(encodeMessage), false);
  return swim.handle({ kind: 'packet', bytes, from }, 0);
}

function sync(swim: Swim, ...states: readonly RemoteState[]): readonly SwimEffect[] {
  const userState = new Uint8Array(0);
  const message: PushPull = { kind: 'pushPull', join: false, states, userState };
  return swim.handle({ kind: 'streamMessage', stream: 1, message }, 0);
}

function state(name: string, incarnation: number, held: RemoteState['state']): RemoteState {
  return {
    name,
    address: `10.1.0.${incarnation}`,
    port: 7946,
    meta: new Uint8Array(0),
    incarnation,
    state: held,
    versions: ourVersions,
  };
}

function member(swim: Swim, name: string): Member | undefined {
  return swim.members().find((one) => one.name === name);
}

function events(effects: readonly SwimEffect[]): readonly SwimEvent['kind'][] {
  return effects.flatMap((effect) => (effect.kind === 'event' ? [effect.event.kind] : []));
}

function drops(effects: readonly SwimEffect[]): readonly string[] {
  return effects.flatMap((effect) =>
    effect.kind === 'count' && effect.name === 'gossip_drops' ? [effect.reason] : [],
  );
}

describe('what is heard of a member', () => {
  const x = 'x';
  const rows: readonly {
    name: string;
    heard: readonly Message[];
    held: Member['state'];
    incarnation: number;
  }[] = [
    {
      name: 'suspect wins over alive of an equal incarnation',
      heard: [alive(x, 3), accuse('suspect', x, 3, 'self')],
      held: 'suspect',
      incarnation: 3,
    },
    {
      name: 'alive does not win over suspect of an equal incarnation',
      heard: [alive(x, 3), accuse('suspect', x, 3, 'self'), alive(x, 3)],
      held: 'suspect',
      incarnation: 3,
    },
    {
      name: 'alive wins over suspect with a higher incarnation',
      heard: [alive(x, 3), accuse('suspect', x, 3, 'self'), alive(x, 4)],
      held: 'alive',
      incarnation: 4,
    },
    {
      name: 'an accusation of the past is nothing',
      heard: [alive(x, 3), accuse('suspect', x, 2, 'self'), accuse('dead', x, 2, 'self')],
      held: 'alive',
      incarnation: 3,
    },
    {
      name: 'dead wins over suspect of an equal incarnation',
      heard: [alive(x, 3), accuse('suspect', x, 3, 'self'), accuse('dead', x, 3, 'self')],
      held: 'dead',
      incarnation: 3,
    },
    {
      name: 'dead from itself means left, also after it was held for dead',
      heard: [alive(x, 3), accuse('dead', x, 3, 'self'), accuse('dead', x, 3, x)],
      held: 'left',
      incarnation: 3,
    },
    {
      name: 'a leave that is sent again after the member came back is nothing',
      heard: [alive(x, 3), accuse('dead', x, 3, x), alive(x, 4), accuse('dead', x, 3, x)],
      held: 'alive',
      incarnation: 4,
    },
  ];
  for (const { name, heard, held, incarnation } of rows) {
    it(name, () => {
      const swim = createSwim();
      tell(swim, ...heard);
      assert.equal(member(swim, x)?.state, held);
      assert.equal(member(swim, x)?.incarnation, incarnation);
    });
  }

  it('gives the same view in any order and however often', () => {
    const incarnation = fc.integer({ min: 1, max: 4 });
    const heard = fc.oneof(
      incarnation.map((number) => alive(x, number)),
      fc
        .tuple(fc.constantFrom('suspect' as const, 'dead' as const), incarnation)
        .map(([kind, number]) => accuse(kind, x, number, 'self')),
      incarnation.map((number) => accuse('dead', x, number, x)),
    );
    const known = alive(x, 0);
    fc.assert(
      fc.property(
        fc.array(heard, { minLength: 1, maxLength: 8 }).chain((all) =>
          fc.tuple(
            fc.constant(all),
            // Every message at least once, some twice, in another order.
            fc.shuffledSubarray([...all, ...all], { minLength: all.length * 2 }),
          ),
        ),
        ([one, other]) => {
          const [first, second] = [createSwim(), createSwim()];
          tell(first, known, ...one);
          tell(second, known, ...other);
          assert.deepEqual(first.members(), second.members());
        },
      ),
      { numRuns: 300 },
    );
  });

  it('makes a member only by its own word', () => {
    const swim = createSwim();
    const heard = tell(swim, accuse('suspect', x, 9, 'self'), accuse('dead', x, 9, x));
    assert.deepEqual(drops(heard), ['unknown-member', 'unknown-member']);
    sync(swim, state('dead', 1, 'dead'), state('left', 1, 'left'), state('s', 1, 'suspect'));
    assert.deepEqual(
      swim.members().map(({ name }) => name),
      ['self'],
    );
  });

  it('needs an accuser that is a member and another', () => {
    const swim = createSwim();
    tell(swim, alive(x, 3));
    for (const by of ['', x, 'stranger']) {
      assert.deepEqual(drops(tell(swim, accuse('suspect', x, 3, by))), ['bad-accuser']);
    }
    for (const by of ['', 'stranger']) {
      assert.deepEqual(drops(tell(swim, accuse('dead', x, 3, by))), ['bad-accuser']);
    }
    assert.equal(member(swim, x)?.state, 'alive');
  });

  it('is no member without name, address, port or a protocol in common', () => {
    const swim = createSwim();
    const bad = [
      alive('', 1),
      alive(x, 1, { address: '' }),
      alive(x, 1, { address: '0.0.0.0' }),
      alive(x, 1, { address: '::' }),
      alive(x, 1, { port: 0 }),
      alive(x, 1, { versions: Uint8Array.of(6, 7, 6, 2, 5, 4) }),
    ];
    assert.deepEqual(
      drops(tell(swim, ...bad)),
      bad.map(() => 'bad-alive'),
    );
    assert.equal(swim.members().length, 1);
  });

  it('is only a suspicion when a full sync tells of a death', () => {
    const swim = createSwim();
    tell(swim, alive(x, 3));
    assert.deepEqual(events(sync(swim, state(x, 3, 'dead'))), ['suspect']);
    assert.equal(member(swim, x)?.state, 'suspect');
    assert.deepEqual(events(sync(swim, state(x, 3, 'left'))), ['leave']);
  });

  it('is taken for another address at once when the name comes back', () => {
    const swim = createSwim();
    tell(swim, alive(x, 3), accuse('dead', x, 3, 'self'));
    assert.deepEqual(events(tell(swim, alive(x, 70))), ['join']);
    assert.equal(member(swim, x)?.address, '10.1.0.70');
    assert.deepEqual(events(tell(swim, alive(x, 71))), ['update']);
    assert.equal(member(swim, x)?.address, '10.1.0.71');
  });

  it('stops at 4096 members', () => {
    const swim = createSwim();
    for (let i = 1; i < gossipLimits.membersMax; i++) tell(swim, alive(`m${i}`, 1));
    assert.equal(swim.members().length, gossipLimits.membersMax);
    assert.deepEqual(drops(tell(swim, alive('one-more', 1))), ['members-full']);
    assert.equal(member(swim, 'one-more'), undefined);
  });
});

describe('what is heard of ourselves', () => {
  const heardOfSelf = fc.oneof(
    fc.nat(50).map((number) => alive('self', number)),
    fc
      .tuple(fc.constantFrom('suspect' as const, 'dead' as const), fc.nat(50), fc.boolean())
      .map(([kind, number, own]) => accuse(kind, 'self', number, own ? 'self' : 'x')),
  );

  it('never makes us anything but alive, and we outbid what accuses us', () => {
    fc.assert(
      fc.property(fc.array(heardOfSelf, { minLength: 1, maxLength: 10 }), (heard) => {
        const swim = createSwim();
        tell(swim, alive('x', 1));
        let last = 5;
        for (const message of heard) {
          const effects = tell(swim, message);
          const self = member(swim, 'self')!;
          assert.equal(self.state, 'alive');
          assert.equal(self.address, '10.0.0.1');
          assert.ok(self.incarnation >= last);
          const isRaised = self.incarnation > last;
          const isCounted = effects.some(
            (effect) => effect.kind === 'count' && effect.name === 'gossip_refutations',
          );
          assert.equal(isRaised, isCounted);
          last = self.incarnation;
        }
      }),
    );
  });

  it('is refuted also when the accuser is not known yet, but not when it is nobody', () => {
    const swim = createSwim();
    tell(swim, accuse('suspect', 'self', 5, 'stranger'));
    assert.equal(member(swim, 'self')?.incarnation, 6);
    tell(swim, accuse('dead', 'self', 6, 'stranger'));
    assert.equal(member(swim, 'self')?.incarnation, 7);
    assert.deepEqual(drops(tell(swim, accuse('suspect', 'self', 7, ''))), ['bad-accuser']);
    assert.equal(member(swim, 'self')?.incarnation, 7);
  });

  it('is refuted above the accused incarnation and told on', () => {
    const swim = createSwim();
    tell(swim, alive('x', 1), accuse('suspect', 'self', 30, 'x'));
    assert.equal(member(swim, 'self')?.incarnation, 31);
    tell(swim, accuse('suspect', 'self', 30, 'x'));
    assert.equal(member(swim, 'self')?.incarnation, 31);
    const effects = swim.handle({ kind: 'timer' }, 1);
    const told = effects.flatMap((effect) => {
      if (effect.kind !== 'send') return [];
      const packet = decodePacket(effect.bytes, noLabel);
      return packet.ok ? packet.value.messages : [];
    });
    assert.ok(
      told.some((one) => one.kind === 'alive' && one.node === 'self' && one.incarnation === 31),
    );
  });

  it('in a full sync is refuted in the answer to it', () => {
    for (const held of ['dead', 'suspect', 'left'] as const) {
      const swim = createSwim();
      const [answer] = sync(swim, state('self', 9, held)).filter(
        (effect) => effect.kind === 'answerStream',
      );
      const decoded = new StreamDecoder(noLabel, 'opened').push(answer!.bytes);
      assert.ok(decoded.ok && decoded.value?.kind === 'pushPull');
      assert.equal(decoded.value.states[0]?.incarnation, 10);
      assert.equal(decoded.value.states[0].state, 'alive');
    }
  });

  it('leaves room above: an accusation at the end of the numbers is dropped', () => {
    const swim = createSwim();
    tell(swim, alive('x', 1));
    assert.deepEqual(drops(tell(swim, accuse('suspect', 'self', 0xffff_ffff, 'x'))), [
      'bad-incarnation',
    ]);
    assert.equal(member(swim, 'self')?.incarnation, 5);
  });

  it('beyond the numbers that its subject could outbid is dropped, of others too', () => {
    const swim = createSwim();
    const { incarnationMax } = gossipLimits;
    tell(swim, alive('x', 1), alive('y', 2));
    for (const kind of ['suspect', 'dead'] as const) {
      for (const by of ['x', 'y']) {
        const said = tell(swim, accuse(kind, 'x', incarnationMax, by));
        assert.ok(drops(said).length === 1, `${kind} by ${by}`);
      }
    }
    const far = { address: '10.1.0.66' };
    assert.deepEqual(drops(tell(swim, alive('x', incarnationMax + 1, far))), ['bad-incarnation']);
    sync(swim, state('x', incarnationMax + 1, 'left'));
    assert.deepEqual(
      [member(swim, 'x')?.state, member(swim, 'x')?.incarnation, member(swim, 'x')?.address],
      ['alive', 1, '10.1.0.1'],
    );
  });

  it('is not refuted once we leave', () => {
    const swim = createSwim();
    tell(swim, alive('x', 1));
    swim.handle({ kind: 'leave' }, 0);
    tell(swim, accuse('dead', 'self', 5, 'x'), alive('self', 8));
    assert.equal(member(swim, 'self')?.state, 'left');
    assert.equal(member(swim, 'self')?.incarnation, 5);
  });
});

describe('a probe that nobody answers', () => {
  /** A machine that knows x and one relay, right after it began to probe x. */
  const probing = (): { readonly swim: Swim; readonly seqNo: number } => {
    const swim = createSwim();
    tell(swim, alive('x', 1), alive('relay', 2));
    const [first] = pings(swim.handle({ kind: 'probe', name: 'x' }, 0), '10.1.0.1');
    assert.ok(first);
    return { swim, seqNo: first.seqNo };
  };
  const pings = (effects: readonly SwimEffect[], to: string): { seqNo: number }[] =>
    effects.flatMap((effect) => {
      if (effect.kind !== 'send' || effect.to.address !== to) return [];
      const packet = decodePacket(effect.bytes, noLabel);
      assert.ok(packet.ok);
      return packet.value.messages.filter((message) => message.kind === 'ping');
    });
  const packet = (message: Message): Uint8Array =>
    encodePacket(noLabel, [encodeMessage(message)], false);

  it('is made again, by a relay and over a stream too, after the time-out', () => {
    const { swim, seqNo } = probing();
    const effects = pass(swim, 0, 200);
    const stream = effects.find((effect) => effect.kind === 'openStream');
    assert.equal(stream?.to.address, '10.1.0.1');
    assert.deepEqual(
      pings(effects, '10.1.0.1').map((ping) => ping.seqNo),
      [seqNo],
    );
    const asked = effects.flatMap((effect) => {
      if (effect.kind !== 'send' || effect.to.address !== '10.1.0.2') return [];
      const content = decodePacket(effect.bytes, noLabel);
      return content.ok ? content.value.messages : [];
    });
    assert.ok(asked.some((one) => one.kind === 'indirectPing' && one.seqNo === seqNo && one.nack));
  });

  it('makes its target suspect when a relay says that it got no answer either', () => {
    const { swim, seqNo } = probing();
    pass(swim, 0, 200);
    pass(swim, 200, 400);
    swim.handle({ kind: 'packet', bytes: packet({ kind: 'nack', seqNo }), from }, 400);
    assert.deepEqual(events(pass(swim, 400, 500)), ['suspect']);
  });

  it('is made once more when the relay was silent too, and then decides', () => {
    const { swim } = probing();
    pass(swim, 0, 200);
    const again = pass(swim, 200, 500);
    assert.deepEqual(events(again), []);
    assert.equal(pings(again, '10.1.0.1').length, 1);
    assert.deepEqual(events(pass(swim, 500, 990)), []);
    assert.deepEqual(events(pass(swim, 990, 1_000)), ['suspect']);
    assert.equal(member(swim, 'relay')?.state, 'alive');
  });

  it('is over when the ack comes late, by a relay or over the stream', () => {
    const { swim, seqNo } = probing();
    const stream = pass(swim, 0, 200).find((effect) => effect.kind === 'openStream')!.stream;
    const ack = { kind: 'ack', seqNo, payload: new Uint8Array(0) } as const;
    pass(swim, 200, 499);
    swim.handle({ kind: 'streamMessage', stream, message: ack }, 499);
    assert.deepEqual(events(pass(swim, 499, 5_000)), []);
    const other = probing();
    pass(other.swim, 0, 200);
    const bytes = packet({ ...ack, seqNo: other.seqNo });
    pass(other.swim, 200, 499);
    other.swim.handle({ kind: 'packet', bytes, from }, 499);
    assert.deepEqual(events(pass(other.swim, 499, 5_000)), []);
  });

  it('carries the accusation to a target that is suspect already', () => {
    const swim = createSwim();
    tell(swim, alive('x', 1), accuse('suspect', 'x', 1, 'self'));
    const [sent] = swim.handle({ kind: 'probe', name: 'x' }, 0);
    assert.ok(sent?.kind === 'send');
    const content = decodePacket(sent.bytes, noLabel);
    assert.ok(content.ok);
    assert.deepEqual(content.value.messages[1], accuse('suspect', 'x', 1, 'self'));
  });
});

describe('strangers', () => {
  const ping = (node: string, sourceNode: string): Message => ({
    kind: 'ping',
    seqNo: 77,
    node,
    sourceAddress: '10.0.0.66',
    sourcePort: 66,
    sourceNode,
  });
  const sends = (effects: readonly SwimEffect[]): (SwimEffect & { kind: 'send' })[] =>
    effects.filter((effect) => effect.kind === 'send');

  it('get a bare ack where their packet came from, members get news with it', () => {
    const swim = createSwim();
    tell(swim, alive('x', 1, from));
    const [stranger] = sends(tell(swim, ping('self', 'nobody')));
    assert.deepEqual(stranger?.to, from);
    const bare = decodePacket(stranger.bytes, noLabel);
    assert.ok(bare.ok);
    assert.deepEqual(bare.value.messages, [{ kind: 'ack', seqNo: 77, payload: new Uint8Array(0) }]);
    const [known] = sends(tell(swim, ping('self', 'x')));
    const withNews = decodePacket(known!.bytes, noLabel);
    assert.ok(withNews.ok && withNews.value.messages.length > 1);
  });

  it('get no answer in the name of another', () => {
    const effects = tell(createSwim(), ping('other', 'x'));
    assert.deepEqual(sends(effects), []);
    assert.deepEqual(drops(effects), ['not-for-us']);
  });

  it('cannot have us ping what is not a member at its own address', () => {
    const swim = createSwim();
    tell(swim, alive('x', 1));
    const relay = (node: string, address: string): Message => ({
      ...(ping(node, 'y') as Message & { kind: 'ping' }),
      kind: 'indirectPing',
      address,
      port: 7946,
      nack: true,
    });
    for (const message of [relay('x', '192.0.2.1'), relay('unknown', '10.1.0.1')]) {
      assert.deepEqual(drops(tell(swim, message)), ['unknown-target']);
    }
    assert.equal(sends(tell(swim, relay('x', '10.1.0.1'))).length, 1);
  });

  it('find half as many of their pings relayed at once as members, who find 256', () => {
    const swim = createSwim();
    tell(swim, alive('x', 1), alive('y', 1, from));
    const relay: Message = {
      ...(ping('x', 'y') as Message & { kind: 'ping' }),
      kind: 'indirectPing',
      address: '10.1.0.1',
      port: 7946,
      nack: true,
    };
    const half = gossipLimits.relayedPingsMax / 2;
    for (let i = 0; i < half; i++) tell(swim, { ...relay, sourceNode: 'nobody' });
    assert.deepEqual(drops(tell(swim, { ...relay, sourceNode: 'nobody' })), ['relays-full']);
    for (let i = 0; i < half; i++) assert.deepEqual(drops(tell(swim, relay)), []);
    assert.deepEqual(drops(tell(swim, relay)), ['relays-full']);
    // Once the relayed pings have run out there is room again.
    pass(swim, 0, 20_000);
    assert.deepEqual(drops(tell(swim, relay)), []);
  });

  it('never make the machine throw, whatever they send', () => {
    const swim = createSwim();
    tell(swim, alive('x', 1));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const effects = swim.handle({ kind: 'packet', bytes, from }, 0);
        assert.deepEqual(events(effects), []);
      }),
      { numRuns: 500 },
    );
  });
});
