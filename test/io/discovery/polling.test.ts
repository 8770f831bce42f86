import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { Seed } from '../../../src/gossip/index.ts';
import { pollSeeds } from '../../../src/io/discovery/polling.ts';
import type { Outcome } from '../../../src/io/discovery/rendezvous.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import { ourself, seedAt, WatchedLog } from './contract.ts';

/** Polls an engine that gives these answers, one a look, then the last one again. */
function polled(t: TestContext, answers: readonly Outcome<readonly Seed[]>[]) {
  const stop = new AbortController();
  t.after(() => {
    stop.abort();
  });
  const [counters, log] = [new Counters(), new WatchedLog()];
  let looks = 0;
  const lists = pollSeeds(
    {
      engine: 'etcd',
      self: ourself,
      // A poll of this test never comes by it.
      pollIntervalMs: 3_600_000,
      look: () => Promise.resolve(answers[Math.min(looks++, answers.length - 1)]!),
      counters,
      log,
    },
    stop.signal,
  );
  const next = async (): Promise<readonly Seed[]> => {
    const list = await lists.next();
    assert.ok(list.done !== true);
    return list.value;
  };
  return { next, counters, log };
}

const failed = { ok: false, fault: 'away' } as const;
const listed = (...seeds: readonly Seed[]) => ({ ok: true, value: seeds }) as const;

describe('polling', { timeout: 20_000 }, () => {
  it('asks an engine that failed again soon', async (t) => {
    const { next, counters, log } = polled(t, [failed, failed, listed(seedAt(2))]);
    assert.deepEqual(await next(), [seedAt(2)]);
    assert.equal(counters.counter('discovery_etcd_polls', 'failed').value, 2);
    assert.equal(counters.counter('discovery_etcd_polls', 'done').value, 1);
    const levels = log.lines.map((line) => line.split(' ')[0]);
    assert.deepEqual(levels, ['warn', 'debug', 'info']);
  });

  it('asks again soon while nobody but this peer is listed', async (t) => {
    const alone = listed(seedAt(1));
    const { next, counters } = polled(t, [alone, listed(), listed(seedAt(1), seedAt(2))]);
    assert.deepEqual(await next(), [seedAt(1)]);
    assert.deepEqual(await next(), []);
    assert.deepEqual(await next(), [seedAt(1), seedAt(2)]);
    assert.equal(counters.counter('discovery_etcd_polls', 'alone').value, 2);
  });
});
