import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gossipProfiles } from '../../src/config/defaults.ts';
import { encodeMessage, ourVersions } from '../../src/gossip/codec.ts';
import { Swim } from '../../src/gossip/index.ts';
import type { Message } from '../../src/gossip/message.ts';
import { decodePacket, encodePacket } from '../../src/gossip/packet.ts';
import { newsSendsMax } from '../../src/gossip/post.ts';
import { pass, seededRandom } from '../support/gossip-network.ts';

describe('how often one member sends a piece of news', () => {
  it('is more among more members, so that it passes nobody over', () => {
    const sends = [2, 3, 5, 6, 9, 10, 30, 31, 100, 300, 316, 1_000].map((count) =>
      newsSendsMax(4, count),
    );
    assert.deepEqual(sends, [4, 4, 4, 5, 8, 8, 8, 12, 12, 12, 16, 16]);
  });
});

describe('what counts as telling a piece of news', () => {
  const noLabel = new Uint8Array(0);
  const names = ['m1', 'm2', 'm3', 'm4'] as const;
  type Name = (typeof names)[number];
  type Counts = Record<Name, number>;
  const limit = newsSendsMax(gossipProfiles.fast.retransmitMult, names.length + 1);
  const addressOf = (name: Name): string => `10.1.0.${name.slice(1)}`;
  const sum = (counts: Counts): number => Object.values(counts).reduce((all, one) => all + one, 0);

  function createSwim(suspects: readonly Name[]): Swim {
    const swim = new Swim(
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
    const hear = (message: Message): void => {
      const bytes = encodePacket(noLabel, [encodeMessage(message)], false);
      const from = { address: '10.9.9.9', port: 7_946 };
      swim.handle({ kind: 'packet', bytes, from }, 0);
    };
    for (const node of names) {
      const place = { address: addressOf(node), port: 7_946 };
      const rest = { meta: noLabel, versions: ourVersions };
      hear({ kind: 'alive', incarnation: 1, node, ...place, ...rest });
    }
    for (const node of suspects) {
      hear({ kind: 'suspect', incarnation: 1, node, from: node === 'm1' ? 'm2' : 'm1' });
    }
    return swim;
  }

  /** Says something new of itself; how often each member got that, with pings and otherwise. */
  function tell(swim: Swim, probed: readonly Name[]): Record<'pings' | 'others', Counts> {
    const effects = [
      ...swim.handle({ kind: 'setTags', tags: { state: 'draining' } }, 0),
      ...probed.flatMap((name) => swim.handle({ kind: 'probe', name }, 0)),
      ...pass(swim, 0, 900),
    ];
    const none = (): Counts => ({ m1: 0, m2: 0, m3: 0, m4: 0 });
    const told = { pings: none(), others: none() };
    for (const effect of effects) {
      if (effect.kind !== 'send') continue;
      const packet = decodePacket(effect.bytes, noLabel);
      assert.ok(packet.ok);
      const { messages } = packet.value;
      if (!messages.some((one) => one.kind === 'alive' && one.node === 'self')) continue;
      const to = names.find((name) => addressOf(name) === effect.to.address);
      assert.ok(to !== undefined);
      told[messages[0]!.kind === 'ping' ? 'pings' : 'others'][to]++;
    }
    return told;
  }

  it('are sends to the living; suspects hear it beside them', () => {
    const { others } = tell(createSwim(['m2', 'm3', 'm4']), []);
    assert.equal(others.m1, limit);
    for (const name of ['m2', 'm3', 'm4'] as const) assert.ok(others[name] > 0, name);
  });

  it('are sends to suspects where nobody else is left', () => {
    assert.equal(sum(tell(createSwim(names), []).others), limit);
  });

  it('are no pings, though these bring it', () => {
    const { pings, others } = tell(createSwim([]), names);
    assert.ok(sum(pings) >= names.length);
    assert.equal(sum(others), limit);
  });
});
