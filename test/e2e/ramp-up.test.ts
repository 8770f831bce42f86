import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { Member } from '../../src/gossip/index.ts';
import { GossipAgent } from '../../src/io/gossip/agent.ts';
import { Counters } from '../../src/pipeline/counters.ts';
import { announcementTags, readAnnouncement } from '../../src/pipeline/view.ts';
import { startPeerProcess } from '../support/peers.ts';

const anyPort = { address: '127.0.0.1', port: 0 };

/** A member of the default cluster that says it has been ready since then. */
async function startElder(
  t: TestContext,
  epoch: number,
  onChange: (members: readonly Member[]) => void,
): Promise<GossipAgent> {
  const silent = (): void => undefined;
  const elder = new GossipAgent({
    name: 'elder',
    epoch,
    label: 'sailring',
    listen: anyPort,
    seeds: [],
    profile: 'fast',
    tags: announcementTags({
      epoch,
      status: 'ready',
      weight: 1,
      link: '127.0.0.1:9',
      sipInternal: '127.0.0.1:9',
      sipTransport: 'UDP',
      applications: [],
    }),
    counters: new Counters(),
    onChange,
    log: { debug: silent, info: silent, warn: silent, error: silent },
  });
  t.after(() => elder.stop());
  await elder.start();
  return elder;
}

/** Shares that a peer tells from the time when it is ready until it has all of its weight. */
async function sharesToldBeside(t: TestContext, epoch: number): Promise<number[]> {
  const told: number[] = [];
  const whole = Promise.withResolvers<undefined>();
  const elder = await startElder(t, epoch, (members) => {
    const peer = members.find(({ name }) => name === 'newcomer');
    const announced = peer && readAnnouncement(peer.tags);
    if (announced?.status !== 'ready') return;
    const share = announced.share ?? 1;
    if (told.at(-1) !== share) told.push(share);
    if (share === 1) whole.resolve(undefined);
  });
  await startPeerProcess(t, 'newcomer', {
    gossip: { listen: anyPort, seeds: [`127.0.0.1:${elder.port}`] },
    application: { kind: 'embedded', module: 'demo' },
    rampUp: { loadIncreaseFactor: 0.25, periodMs: 1_000 },
    log: { level: 'error' },
  });
  await whole.promise;
  return told;
}

describe('an instance with a ramp-up', { timeout: 60_000 }, () => {
  it('tells of a growing share when it comes to a running cluster', async (t) => {
    const longAgo = Math.floor(Date.now() / 1_000) - 3_600;
    assert.deepEqual(await sharesToldBeside(t, longAgo), [0.25, 0.5, 0.75, 1]);
  });

  it('has its whole share at once in a cluster that starts with it', async (t) => {
    const now = Math.floor(Date.now() / 1_000);
    assert.deepEqual(await sharesToldBeside(t, now), [1]);
  });
});
