import assert from 'node:assert/strict';
import { it } from 'node:test';
import { gossipLimits, gossipProfiles } from '../../src/config/defaults.ts';
import { encodeMessage, ourVersions } from '../../src/gossip/codec.ts';
import { Swim, type SwimEffect } from '../../src/gossip/index.ts';
import { encodePacket } from '../../src/gossip/packet.ts';

const none = new Uint8Array(0);
const { reconnectIntervalMs } = gossipProfiles.fast;

/** A machine that holds "near" for alive and "far" for dead, and probes nobody. */
function parted(): Swim {
  const swim = new Swim(
    {
      name: 'self',
      incarnation: 5,
      endpoint: { address: '10.0.0.1', port: 7_946 },
      label: '',
      seeds: [],
      profile: { ...gossipProfiles.fast, probeIntervalMs: 1e9, syncIntervalMs: 1e9 },
      tags: {},
      random: () => 0.4,
    },
    0,
  );
  const messages = ['near', 'far'].map((node, i) => {
    const place = { address: `10.0.0.${i + 2}`, port: 7_946 };
    return {
      kind: 'alive',
      node,
      incarnation: 1,
      ...place,
      meta: none,
      versions: ourVersions,
    } as const;
  });
  const death = { kind: 'dead', node: 'far', incarnation: 1, from: 'near' } as const;
  const bytes = encodePacket(none, [...messages, death].map(encodeMessage), false);
  swim.handle({ kind: 'start' }, 0);
  swim.handle({ kind: 'packet', bytes, from: { address: '10.0.0.2', port: 7_946 } }, 0);
  return swim;
}

/** Lets timers run until a time and returns the streams opened meanwhile. */
function opened(swim: Swim, fromMs: number, toMs: number): (SwimEffect & { kind: 'openStream' })[] {
  const streams: (SwimEffect & { kind: 'openStream' })[] = [];
  for (let now = fromMs; now <= toMs; now += 10) {
    for (const effect of swim.handle({ kind: 'timer' }, now)) {
      if (effect.kind === 'openStream') streams.push(effect);
    }
  }
  return streams;
}

it('whoever is reached again is asked once more, when the accused have spoken', () => {
  const swim = parted();
  const [first, ...more] = opened(swim, 0, reconnectIntervalMs);
  assert.equal(first?.to.address, '10.0.0.3');
  assert.deepEqual(more, []);
  const message = { kind: 'pushPull', join: true, states: [], userState: none } as const;
  swim.handle({ kind: 'streamMessage', stream: first.stream, message }, reconnectIntervalMs);
  const lastMs = reconnectIntervalMs + 2 * gossipLimits.secondLookMs;
  const [second, ...rest] = opened(swim, reconnectIntervalMs, lastMs);
  assert.equal(second?.to.address, '10.0.0.3');
  swim.handle({ kind: 'streamMessage', stream: second.stream, message }, lastMs);
  // That is enough until the next try.
  assert.deepEqual([...rest, ...opened(swim, lastMs, 2 * reconnectIntervalMs - 10)], []);
});

it('who cannot be reached is not asked once more', () => {
  const swim = parted();
  const [first] = opened(swim, 0, reconnectIntervalMs);
  swim.handle({ kind: 'streamClosed', stream: first!.stream }, reconnectIntervalMs);
  assert.deepEqual(opened(swim, reconnectIntervalMs, 2 * reconnectIntervalMs - 10), []);
});
