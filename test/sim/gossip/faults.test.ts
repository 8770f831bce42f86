import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { gossipProfiles, type GossipProfile } from '../../../src/config/defaults.ts';
import { Crew } from './crew.ts';
import { markdownTable, percentile, seconds } from './figures.ts';
import type { IllFigures, Illness } from './scenarios/ill.ts';
import type { Shape } from './scenarios/partition.ts';
import { replay, seedsUpTo } from './seeds.ts';

const crew = new Crew();
after(() => crew.close());
const rows: string[][] = [['what goes wrong', 'figure', 'goal', 'reached']];

function sum(figures: readonly number[]): number {
  return figures.reduce((total, figure) => total + figure, 0);
}

function hours(minutes: number, runs: number, size: number): number {
  return (minutes / 60) * runs * size;
}

describe('lost packets', () => {
  const size = 100;
  const weather = (loss: number, minutes: number, seeds: number, streamProbe: boolean) =>
    crew.run(
      'weather',
      seedsUpTo(seeds).map((seed) => ({ size, seed, minutes, loss, changes: { streamProbe } })),
    );
  const [twenty, ten, without] = [
    weather(0.2, 10, 1, true),
    weather(0.1, 10, 1, true),
    weather(0.1, 10, 1, false),
  ];

  for (const [loss, runs] of [
    [20, twenty],
    [10, ten],
  ] as const) {
    it(`of ${loss} % make nobody dead`, async () => {
      const all = await runs;
      const deaths = sum(all.map(({ falseDeaths }) => falseDeaths));
      rows.push([`${loss} % loss, 100 peers, 10 min`, 'false deaths', '0', `${deaths}`]);
      for (const { seed, falseDeaths } of all) {
        assert.equal(falseDeaths, 0, replay(seed, `${falseDeaths} false deaths at ${loss} %`));
      }
    });
  }

  it('cost more without probes over streams', async () => {
    const all = await without;
    const perHour = sum(all.map(({ falseDeaths }) => falseDeaths)) / hours(10, all.length, size);
    const suspicions = sum(all.map(({ falseSuspicions }) => falseSuspicions));
    const withProbes = sum((await ten).map(({ falseSuspicions }) => falseSuspicions));
    rows.push([
      '10 % loss, no probes over streams',
      'false deaths an hour and peer',
      '0.1',
      perHour.toFixed(3),
    ]);
    assert.ok(perHour <= 0.1, `${perHour} an hour`);
    assert.ok(suspicions > withProbes, `${suspicions} and ${withProbes} suspicions`);
  });
});

describe('members that are ill', () => {
  const ill = (
    size: number,
    count: number,
    illness: Illness,
    seeds: number,
    options: { readonly minutes?: number; readonly changes?: Partial<GossipProfile> } = {},
  ): Promise<readonly IllFigures[]> => {
    const { minutes = 10, changes = {} } = options;
    return crew.run(
      'ill',
      seedsUpTo(seeds).map((seed) => ({ size, seed, minutes, ill: count, illness, changes })),
    );
  };
  /** SWIM as it was before: nobody doubts itself, suspicion has one length, and the suspect hears of it last. */
  const lifeguardOff = { healthMax: 0, suspicionMaxFactor: 1, buddyRule: false };
  const slow = (delayMs: number): Illness => ({ kind: 'slow', delayMs });
  const slowRuns = [
    [1, 1_000],
    [4, 1_000],
    [1, 4_000],
    [4, 4_000],
  ].map(([count = 0, delayMs = 0]) => ({ count, delayMs, runs: ill(30, count, slow(delayMs), 2) }));
  const noDoubt = ill(30, 4, slow(4_000), 1, {
    minutes: 1,
    changes: lifeguardOff,
  });
  const pauses = [10, 30].map((size) => ({
    size,
    runs: ill(size, 1, { kind: 'pauses', pauseMs: 1_500 }, 3),
  }));
  const deaf = ill(30, 1, { kind: 'deaf', loss: 0.8 }, 3);

  for (const { count, delayMs, runs } of slowRuns) {
    it(`${count} of 30 hear everything ${delayMs / 1_000} s late and make nobody else dead`, async () => {
      const all = await runs;
      const deaths = sum(all.map(({ falseDeaths }) => falseDeaths));
      rows.push([
        `${count} of 30 handle all ${delayMs / 1_000} s late, 10 min`,
        'healthy declared dead',
        '0',
        `${deaths}`,
      ]);
      for (const { seed, falseDeaths } of all) {
        assert.equal(falseDeaths, 0, replay(seed, `${falseDeaths} healthy members declared dead`));
      }
    });
  }

  it('control: without Lifeguard they make others dead', async () => {
    const deaths = sum((await noDoubt).map(({ falseDeaths }) => falseDeaths));
    rows.push([
      '4 of 30, 4 s late, 1 min, Lifeguard off',
      'healthy declared dead',
      '> 0',
      `${deaths}`,
    ]);
    assert.ok(deaths > 0);
  });

  for (const { size, runs } of pauses) {
    it(`one of ${size} that stands still for 1.5 s each minute is never dead`, async () => {
      const all = await runs;
      const deaths = sum(all.map(({ illDeaths, falseDeaths }) => illDeaths + falseDeaths));
      rows.push([
        `1 of ${size} stands still 1.5 s a minute, 10 min`,
        'declared dead',
        '0',
        `${deaths}`,
      ]);
      for (const { seed, illDeaths, falseDeaths } of all) {
        assert.equal(illDeaths + falseDeaths, 0, replay(seed, 'declared dead for a pause'));
      }
    });
  }

  it('one that hears a fifth of all makes at most one other dead', async () => {
    const all = await deaf;
    const worst = Math.max(...all.map(({ falseDeaths }) => falseDeaths));
    rows.push(['1 of 30 loses 80 % inbound, 10 min', 'healthy declared dead', '1', `${worst}`]);
    for (const { seed, falseDeaths } of all) {
      assert.ok(falseDeaths <= 1, replay(seed, `${falseDeaths} healthy members declared dead`));
    }
  });
});

describe('a network that breaks and is repaired', () => {
  const { reconnectIntervalMs } = gossipProfiles.fast;
  const goalMs = reconnectIntervalMs + 5_000;
  const shapes: readonly Shape[] = ['halves', 'thirds', 'one-way', 'ring'];
  const split = (shape: Shape, size: number, seconds: readonly number[], seeds: number) =>
    crew.run(
      'partition',
      seconds.flatMap((length) =>
        seedsUpTo(seeds).map((seed) => ({ size, seed, shape, splitMs: length * 1_000 })),
      ),
    );
  const runs = shapes.map((shape) => ({
    shape,
    small: split(shape, 10, [5, 20, 60, 300], 4),
    large: split(shape, 30, [5, 20, 60, 300], 1),
  }));
  /** Two accusers wait 5.7 s for a third; one that lost sight of the other's word waits 12 s. */
  const [sideMs, restMs] = [9_000, 6_000];
  const sides = crew.run(
    'side',
    seedsUpTo(200).map((seed) => ({ size: 5, side: 2, seed })),
  );
  const never = crew.run(
    'partition',
    seedsUpTo(3).map((seed) => ({
      size: 10,
      seed,
      shape: 'halves' as const,
      splitMs: 60_000,
      changes: { reconnectIntervalMs: Infinity },
    })),
  );

  for (const { shape, small, large } of runs) {
    it(`in ${shape} is whole again ${goalMs / 1_000} s after`, async () => {
      const all = [...(await small), ...(await large)];
      const worst = percentile(
        all.map(({ healedMs }) => healedMs),
        1,
      );
      rows.push([
        `${shape}, 10 and 30 peers, 5 to 300 s`,
        's until whole, worst',
        seconds(goalMs),
        seconds(worst),
      ]);
      for (const { seed, healedMs } of all) {
        assert.ok(healedMs <= goalMs, replay(seed, `${shape}: ${healedMs} ms`));
      }
      assert.ok(all.some(({ torn }) => torn > 0));
    });
  }

  it('lets two of five know soon that they are alone', async () => {
    const all = await sides;
    const worst = percentile(
      all.map(({ sideMs }) => sideMs),
      1,
    );
    rows.push(['2 of 5 cut off', 's until both know, worst', seconds(sideMs), seconds(worst)]);
    for (const one of all) {
      assert.ok(
        one.sideMs <= sideMs,
        replay(one.seed, `the small side knew after ${one.sideMs} ms`),
      );
      assert.ok(
        one.restMs <= restMs,
        replay(one.seed, `the large side knew after ${one.restMs} ms`),
      );
      assert.equal(one.viewsHit, 0, replay(one.seed, 'somebody of the own side was dead'));
    }
  });

  it('control: does not heal when nobody tries to reach the lost', async () => {
    const healed = (await never).filter(({ healedMs }) => healedMs !== Infinity);
    rows.push(['halves for 60 s, reconnect off', 'healed', 'none', `${healed.length}`]);
    assert.deepEqual(healed, []);
  });
});

describe('clusters that began apart', () => {
  const meet = (differ: 'nothing' | 'label' | 'key', seeds: number) =>
    crew.run(
      'strangers',
      seedsUpTo(seeds).map((seed) => ({ seed, size: 5, differ, watchMs: 300_000 })),
    );
  const same = meet('nothing', 10);
  const others = (['label', 'key'] as const).map((differ) => ({ differ, runs: meet(differ, 2) }));

  it('merge once discovery shows one address of the other', async () => {
    const all = await same;
    const worst = percentile(
      all.map(({ mergedMs }) => mergedMs),
      1,
    );
    rows.push([
      'two clusters of 5, one address found',
      's until merged, worst',
      'merged',
      seconds(worst),
    ]);
    for (const { seed, mergedMs } of all) {
      assert.ok(mergedMs < Infinity, replay(seed, 'did not merge'));
    }
  });

  for (const { differ, runs } of others) {
    it(`never merge with another ${differ}`, async () => {
      const all = await runs;
      const merged = all.filter(({ mergedMs }) => mergedMs < Infinity);
      rows.push([`the same with another ${differ}, 5 min`, 'merged', 'none', `${merged.length}`]);
      assert.deepEqual(merged, []);
      assert.ok(all.every(({ drops }) => drops > 0));
    });
  }
});

describe('clocks that are wrong by an hour', () => {
  const runs = crew.run(
    'clocks',
    seedsUpTo(10).map((seed) => ({ size: 10, seed, offMs: 3_600_000 })),
  );

  it('keep nobody out and make nobody dead', async () => {
    const all = await runs;
    const backMs = Math.max(...all.map((one) => one.backMs));
    const deaths = sum(all.map(({ falseDeaths }) => falseDeaths));
    rows.push([
      'restart of 1 of 10, clock set back an hour',
      's until whole, worst',
      '1.0',
      seconds(backMs),
    ]);
    rows.push(['clock of 1 of 10 jumps an hour ahead', 'false deaths', '0', `${deaths}`]);
    for (const one of all) {
      assert.ok(
        one.backMs <= 1_000 && one.falseDeaths === 0,
        replay(one.seed, JSON.stringify(one)),
      );
    }
  });
});

describe('days of work', () => {
  const rolling = [false, true].map((movesAddress) => ({
    movesAddress,
    runs: crew.run(
      'rolling',
      seedsUpTo(3).map((seed) => ({ size: 30, seed, gapMs: 5_000, movesAddress })),
    ),
  }));
  const joins = crew.run(
    'joins',
    seedsUpTo(10).map((seed) => ({ size: 10, joins: 30, withinMs: 1_000, seed })),
  );

  for (const { movesAddress, runs } of rolling) {
    it(`a rolling restart, ${movesAddress ? 'at new' : 'at the same'} addresses, is no failure`, async () => {
      const all = await runs;
      const lacked = Math.max(...all.map(({ lackedMax }) => lackedMax));
      const suspicions = sum(all.map((one) => one.suspicions));
      const what = `rolling restart of 30, 5 s apart, ${movesAddress ? 'new' : 'same'} addresses`;
      rows.push([what, 'lacked by the worst view; suspicions', '2; 0', `${lacked}; ${suspicions}`]);
      for (const { seed, lackedMax, suspicions: count, isWhole } of all) {
        assert.ok(lackedMax <= 2 && count === 0 && isWhole, replay(seed, `${lackedMax}, ${count}`));
      }
    });
  }

  it('30 joins in a second make few rings and one view', async () => {
    const all = await joins;
    const rebuilds = Math.max(...all.map(({ rebuildsMax }) => rebuildsMax));
    const wholeMs = Math.max(...all.map((one) => one.wholeMs));
    rows.push([
      '30 join 10 within 1 s',
      'rings of a peer; s until whole',
      '8; 2',
      `${rebuilds}; ${seconds(wholeMs)}`,
    ]);
    for (const one of all) {
      assert.ok(
        one.rebuildsMax <= 8 && one.wholeMs <= 2_000,
        replay(one.seed, `${one.rebuildsMax} rings, ${one.wholeMs} ms`),
      );
    }
  });
});

describe('the figures', () => {
  it('are these', (t) => {
    for (const line of markdownTable(rows).split('\n')) t.diagnostic(line);
    t.diagnostic(crew.cost);
  });
});
