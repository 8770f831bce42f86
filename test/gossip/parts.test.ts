import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { gossipLimits, gossipProfiles } from '../../src/config/defaults.ts';
import { encodeMessage } from '../../src/gossip/codec.ts';
import { firstIncarnation, Swim, type SwimEffect } from '../../src/gossip/index.ts';
import { News } from '../../src/gossip/news.ts';
import { suspicionMs, suspicionSpan } from '../../src/gossip/suspicion.ts';
import { Timers, type Timer } from '../../src/gossip/timers.ts';
import { pass, seededRandom } from '../support/gossip-network.ts';

function drops(effect: SwimEffect): boolean {
  return effect.kind === 'count' && effect.name === 'gossip_drops';
}

describe('a packet with a forged source', () => {
  it('gets no answer when it came from port 0, and is counted', () => {
    const swim = new Swim(
      {
        name: 'a',
        incarnation: 1,
        endpoint: { address: '127.0.0.1', port: 7_946 },
        label: '',
        seeds: [],
        profile: gossipProfiles.fast,
        tags: {},
        random: seededRandom(1),
      },
      0,
    );
    const ping = encodeMessage({
      kind: 'ping',
      seqNo: 1,
      node: 'a',
      sourceAddress: '',
      sourcePort: 0,
      sourceNode: '',
    });
    const sentTo = (port: number): readonly string[] =>
      swim
        .handle({ kind: 'packet', bytes: ping, from: { address: '127.0.0.2', port } }, 0)
        .filter((effect) => effect.kind === 'send' || drops(effect))
        .map((effect) => (effect.kind === 'count' ? effect.reason : effect.kind));
    assert.deepEqual(sentTo(9), ['send']);
    assert.deepEqual(sentTo(0), ['no-source-port']);
  });
});

describe('news', () => {
  const bytes = (text: string): Uint8Array => Buffer.from(text);
  const texts = (taken: readonly Uint8Array[]): readonly string[] =>
    taken.map((one) => Buffer.from(one).toString());
  const all = (): boolean => true;

  it('is told least told first, then alive, then newest', () => {
    const news = new News(() => undefined);
    news.put('told', bytes('told'), true);
    news.take(all, 9);
    news.put('dead', bytes('dead'), false);
    news.put('older', bytes('older'), true);
    news.put('newer', bytes('newer'), true);
    assert.deepEqual(texts(news.take(all, 9)), ['newer', 'older', 'dead', 'told']);
  });

  it('is told so many times and no more, then its maker hears of it', () => {
    const news = new News(() => undefined);
    let spread = 0;
    news.put('a', bytes('a'), false, () => spread++);
    for (let i = 0; i < 4; i++) assert.equal(news.take(all, 4).length, 1);
    assert.equal(spread, 1);
    assert.deepEqual(news.take(all, 4), []);
    assert.equal(news.size, 0);
  });

  it('is told beyond that to who may not hear it', () => {
    const news = new News(() => undefined);
    news.put('a', bytes('a'), false);
    for (let i = 0; i < 9; i++) assert.equal(news.take(all, Infinity).length, 1);
    for (let i = 0; i < 4; i++) assert.equal(news.take(all, 4).length, 1);
    assert.equal(news.size, 0);
  });

  it('of one member is replaced by what is newer, and counted anew', () => {
    const news = new News(() => undefined);
    news.put('a', bytes('old'), false);
    news.take(all, 2);
    news.put('a', bytes('new'), true);
    assert.deepEqual(texts([...news.take(all, 2), ...news.take(all, 2)]), ['new', 'new']);
  });

  it('that does not fit waits, what fits goes', () => {
    const news = new News(() => undefined);
    news.put('small', bytes('s'), false);
    news.put('large', bytes('large'), true);
    assert.deepEqual(texts(news.take((one) => one.length < 3, 4)), ['s']);
    assert.equal(news.size, 2);
  });

  it('stops at 1024 members and drops what would be told last', () => {
    let dropped = 0;
    const news = new News(() => dropped++);
    news.put('worn', bytes('worn'), true);
    news.take(all, 9);
    for (let i = 0; i < gossipLimits.newsMax; i++) news.put(`m${i}`, bytes('m'), false);
    assert.equal(news.size, gossipLimits.newsMax);
    assert.equal(dropped, 1);
    assert.ok(!texts(news.take(all, 9)).includes('worn'));
  });
});

describe('suspicion', () => {
  it('starts at its longest and falls with the logarithm of confirmations', () => {
    const span = suspicionSpan(gossipProfiles.fast, 10);
    assert.deepEqual(span, { minMs: 2_000, maxMs: 12_000, confirmationsMax: 2 });
    const lasts = [0, 1, 2, 3].map((confirmations) => suspicionMs(span, confirmations));
    assert.deepEqual(lasts, [12_000, 5_690, 2_000, 2_000]);
  });

  it('waits for nobody in a tiny cluster and longer in a large one', () => {
    for (const size of [1, 2, 3]) {
      const span = suspicionSpan(gossipProfiles.lan, size);
      assert.equal(span.confirmationsMax, 0);
      assert.equal(suspicionMs(span, 0), 4_000);
    }
    assert.equal(suspicionSpan(gossipProfiles.lan, 1_000).minMs, 12_000);
  });
});

describe('timers', () => {
  it('run in order of time, then of making, and not when cancelled', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(30), fc.boolean()), { maxLength: 200 }), (wanted) => {
        const timers = new Timers();
        const ran: number[] = [];
        const made: Timer[] = wanted.map(([at], i) => timers.schedule(at, () => ran.push(i)));
        for (const [i, [, isCancelled]] of wanted.entries()) if (isCancelled) made[i]!.cancel();
        const left = wanted.flatMap(([at, isCancelled], i) => (isCancelled ? [] : [{ at, i }]));
        left.sort((one, other) => one.at - other.at || one.i - other.i);
        assert.equal(timers.nextAt, left[0]?.at);
        timers.runDue(15);
        const due = left.filter(({ at }) => at <= 15);
        assert.deepEqual(
          ran,
          due.map(({ i }) => i),
        );
        assert.equal(timers.nextAt, left[due.length]?.at);
      }),
    );
  });

  it('may make and cancel others while they run', () => {
    const timers = new Timers();
    const ran: string[] = [];
    const never = timers.schedule(2, () => ran.push('never'));
    timers.schedule(1, () => {
      never.cancel();
      timers.schedule(1, () => ran.push('now'));
      timers.schedule(9, () => ran.push('later'));
    });
    timers.runDue(5);
    assert.deepEqual(ran, ['now']);
    assert.equal(timers.nextAt, 9);
  });
});

describe('the first incarnation', () => {
  it('counts seconds, so that a restart outranks what was before', () => {
    assert.equal(firstIncarnation(1_577_836_800 + 60), 60);
    assert.equal(firstIncarnation(1_577_836_800 + 61.9), 61);
    assert.equal(firstIncarnation(0), 1);
    assert.equal(firstIncarnation(1e15), gossipLimits.incarnationMax);
  });
});

describe('seeds with names', () => {
  const create = (): Swim =>
    new Swim(
      {
        name: 'self',
        incarnation: 5,
        endpoint: { address: '10.0.0.1', port: 7946 },
        label: '',
        seeds: [{ host: 'peers.example', port: 7946 }],
        profile: gossipProfiles.fast,
        tags: {},
        random: seededRandom(1),
      },
      0,
    );
  const dialled = (effects: readonly SwimEffect[]): readonly string[] =>
    effects.flatMap((effect) => (effect.kind === 'openStream' ? [effect.to.address] : []));
  const asked = (effects: readonly SwimEffect[]): number =>
    effects.filter((effect) => effect.kind === 'resolve').length;

  it('are looked up, dialled a few at a time without ourselves, and looked up again', () => {
    const swim = create();
    assert.equal(asked(swim.handle({ kind: 'start' }, 0)), 1);
    const addresses = ['10.0.0.1', ...[2, 3, 4, 5, 6].map((n) => `10.0.0.${n}`), 'rubbish'];
    const first = dialled(swim.handle({ kind: 'resolved', host: 'peers.example', addresses }, 5));
    assert.equal(first.length, gossipLimits.joinParallel);
    assert.ok(!first.includes('10.0.0.1'));
    const later = pass(swim, 5, 600);
    assert.equal(asked(later), 1);
    assert.ok(dialled(later).length > 0);
    assert.ok(dialled(later).every((address) => !first.includes(address)));
  });

  it('keep their addresses when a later look-up fails', () => {
    const swim = create();
    swim.handle({ kind: 'start' }, 0);
    const known = { kind: 'resolved', host: 'peers.example' } as const;
    swim.handle({ ...known, addresses: ['10.0.0.2'] }, 1);
    swim.handle({ kind: 'streamClosed', stream: 2 }, 2);
    const failed = swim.handle({ ...known, addresses: [] }, 3);
    assert.ok(failed.some((effect) => effect.kind === 'count' && effect.reason === 'unresolved'));
    assert.deepEqual(dialled(pass(swim, 3, 600)), ['10.0.0.2']);
  });

  it('are tried ever more rarely, and for ever', () => {
    const swim = create();
    let now = 0;
    const attempts: number[] = [];
    let effects = swim.handle({ kind: 'start' }, now);
    while (now < 3_600_000) {
      if (asked(effects) > 0) attempts.push(now);
      const wake = effects.findLast((effect) => effect.kind === 'wake');
      assert.ok(wake);
      now = wake.at;
      effects = swim.handle({ kind: 'timer' }, now);
    }
    assert.ok(attempts.length > 360, `${attempts.length}`);
    const gaps = attempts.slice(1).map((at, i) => at - attempts[i]!);
    assert.ok(gaps[0]! <= 500 && gaps.every((gap) => gap <= 10_000));
  });
});
