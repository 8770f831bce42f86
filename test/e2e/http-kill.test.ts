import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startHttpApplication, startHttpPeers } from '../support/http-cluster.ts';
import {
  loadUntil,
  openVisitors,
  type LoadOptions,
  type Outcome,
  type Visitor,
} from '../support/http-load.ts';
import { startHttpSpray } from '../support/http-spray.ts';
import { metric } from '../support/cluster.ts';
import { ringOf, type PeerProcess } from '../support/peers.ts';

/** A peer and the instance of the application beside it have one name. */
const names = ['peer-1', 'peer-2', 'peer-3'];
const visitorsCount = 100;
/** Each answer takes a tenth of a second, so that some twenty requests are always under way. */
const target = '/session?delayMs=100';
const perSecond = 200;
const drainTimeoutMs = 2_000;

interface Rig {
  readonly peers: readonly PeerProcess[];
  readonly options: LoadOptions;
  readonly visitors: readonly Visitor[];
}

/** Three peers, each with an instance that keeps sessions in memory, behind a sprayer of connections. */
async function startRig(t: TestContext): Promise<Rig> {
  const applications = await Promise.all(names.map((name) => startHttpApplication(t, name)));
  const peers = await startHttpPeers(
    t,
    applications.map(({ host, port }) => ({ host, port })),
    { drainTimeoutMs },
  );
  const options = { spray: await startHttpSpray(t, peers), target, perSecond };
  const visitors = await openVisitors(options.spray, visitorsCount);
  for (const name of names)
    assert.ok(visitors.filter(({ instance }) => instance === name).length > visitorsCount / 5);
  return { peers, options, visitors };
}

/** Resolves when a peer has taken so many further requests. */
async function received(peer: PeerProcess, count: number): Promise<void> {
  const requests = (): Promise<number> =>
    metric(`http://${peer.admin}`, 'sailring_http_requests_total', 'received');
  const before = await requests();
  // Asked now and then: asking costs the peer more than a request of the load.
  while ((await requests()) < before + count) await pause(50);
}

/** Resolves when the system knows nothing of the process any more. */
async function gone(pid: number): Promise<number> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return performance.now();
    }
    await pause(1);
  }
}

/** Sessions of instances that stayed never began anew: their counts grow one by one. */
function assertKept(
  outcomes: readonly Outcome[],
  visitors: readonly Visitor[],
  lost: string,
): void {
  const kept = outcomes.filter(({ owner, fault }) => owner !== lost && fault === undefined);
  for (const { owner, instance } of kept) assert.equal(instance, owner);
  const total = (list: readonly { visits: number | undefined }[]): number =>
    list.reduce((sum, { visits = 0 }) => sum + visits, 0);
  assert.ok(total(visitors) > 0 && kept.length > 0);
}

function words(outcomes: readonly Outcome[]): string {
  const faults = new Map<string, number>();
  for (const { ingress, owner, fault } of outcomes) {
    const word = `${fault ?? 'no fault'} (came in at ${ingress ?? 'no peer'}, session of ${owner})`;
    faults.set(word, (faults.get(word) ?? 0) + 1);
  }
  return [...faults].map(([word, count]) => `${count} x ${word}`).join('; ');
}

describe('200 requests a second with cookies, and their owner', { timeout: 90_000 }, () => {
  it('is killed: only requests that clients had sent to it itself fail', async (t) => {
    const { peers, options, visitors } = await startRig(t);
    const [victim, ...others] = peers as [PeerProcess, ...PeerProcess[]];
    const times = { killedMs: 0, goneMs: 0, settledMs: 0 };
    const kill = async (): Promise<void> => {
      await received(victim, 100);
      times.killedMs = performance.now();
      process.kill(victim.pid, 'SIGKILL');
      times.goneMs = await gone(victim.pid);
      const admins = others.map(({ admin }) => admin);
      await ringOf(admins, others.length);
      times.settledMs = performance.now();
      await received(others[0]!, 100);
    };
    const outcomes = await loadUntil(options, visitors, kill());
    const failed = outcomes.filter(({ fault }) => fault !== undefined);
    t.diagnostic(
      `${failed.length} of ${outcomes.length} requests failed: ${words(failed)}; ` +
        `gossip settled ${(times.settledMs - times.killedMs).toFixed(0)} ms after the kill`,
    );
    for (const outcome of failed) {
      assert.ok(outcome.startedMs <= times.goneMs, `failed after the kill: ${words([outcome])}`);
      // Another peer that had handed it there asks the next instance: GET may be repeated.
      assert.equal(outcome.ingress, victim.name, `was not with it: ${words([outcome])}`);
    }
    assertKept(outcomes, visitors, victim.name);
    const moved = outcomes.filter(({ owner }) => owner === victim.name).length;
    assert.ok(moved > 0);
    for (const { instance } of visitors) assert.notEqual(instance, victim.name);
  });

  it('drains and leaves: none fails', async (t) => {
    const { peers, options, visitors } = await startRig(t);
    const [leaver, ...others] = peers as [PeerProcess, ...PeerProcess[]];
    const drain = async (): Promise<void> => {
      await received(leaver, 50);
      process.kill(leaver.pid, 'SIGTERM');
      await gone(leaver.pid);
      const admins = others.map(({ admin }) => admin);
      await ringOf(admins, others.length);
      await received(others[0]!, 100);
    };
    const outcomes = await loadUntil(options, visitors, drain());
    const failed = outcomes.filter(({ fault }) => fault !== undefined);
    t.diagnostic(`${failed.length} of ${outcomes.length} requests failed`);
    assert.equal(failed.length, 0, words(failed));
    assertKept(outcomes, visitors, leaver.name);
    for (const { instance } of visitors) assert.notEqual(instance, leaver.name);
  });
});
