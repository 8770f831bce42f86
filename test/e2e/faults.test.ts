import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import {
  begunAnew,
  callFates,
  callsOf,
  callWords,
  outcomeWord,
  requestWords,
  type Episode,
} from '../support/fault-losses.ts';
import type { WatchedPeer } from '../support/fault-peers.ts';
import { FaultRig, whole } from '../support/fault-rig.ts';
import { loadUntil, type Outcome } from '../support/http-load.ts';
import { requireNamespaces } from '../support/namespaces.ts';
import { requireTool } from '../support/tools.ts';

/** Of profile `fast`: one view is due so long after what parted the peers is gone. */
const healedMs = 10_000 + 5_000;
/** Time in which peers that see each other again have their links. */
const linkedMs = 10_000;
/**
 * Time in which it must be noticed at all that somebody is gone; how fast it is, is for `npm run bench`. Who
 * hears nobody doubts itself first, and takes several times as long.
 */
const noticedMs = 40_000;
/**
 * Where this process was held up for so long, the healthy peers were, too: what clients lost is told then, but
 * not judged. Whom the peers declare dead is judged always.
 */
const heldUpMs = 250;

/** Milliseconds since 1970. What begins and ends in it must not fail. */
type Span = readonly [fromMs: number, toMs: number];

/** A fault, and whom it may cost what. */
interface Fault {
  readonly name: string;
  /** Peers that are to blame for what clients lose. */
  readonly blamed: readonly string[];
  /** Whether this one may declare that one dead. */
  readonly mayAccuse: (observer: string, member: string) => boolean;
  /**
   * Breaks something and repairs it.
   *
   * @returns when all is well for clients although it is broken
   */
  readonly happens: (t: TestContext, fromMs: number) => Promise<Span | undefined>;
}

interface FaultyEpisode extends Episode {
  readonly fault: Fault;
  readonly quiet: readonly Span[];
  readonly wasHeldUp: boolean;
}

/** The faults of one cluster, one after another, with what its clients lost. */
class Faults {
  readonly rig: FaultRig;
  readonly episodes: FaultyEpisode[] = [];

  constructor(rig: FaultRig) {
    this.rig = rig;
  }

  /** Has it happen under load, until all peers see each other again. */
  async run(t: TestContext, fault: Fault): Promise<void> {
    const { rig } = this;
    const delay = monitorEventLoopDelay({ resolution: 10 });
    delay.enable();
    const fromMs = Date.now();
    const times = { repairedMs: 0, wholeMs: 0, toMs: 0 };
    const quiet: Span[] = [];
    const running = fault.happens(t, fromMs).then(async (span) => {
      times.repairedMs = Date.now();
      times.wholeMs = await rig.whole(healedMs);
      await rig.linked(linkedMs);
      times.toMs = Date.now();
      quiet.push(...(span === undefined ? [] : [span]), [times.toMs, Infinity]);
    });
    const outcomes = await loadUntil(rig.http, rig.visitors, running);
    delay.disable();
    const wasHeldUp = delay.max / 1e6 > heldUpMs;
    const { toMs, repairedMs, wholeMs } = times;
    this.episodes.push({ fault, fromMs, toMs, quiet, wasHeldUp });
    const deaths = rig.journal.deaths(fromMs);
    t.diagnostic(
      `one view ${wholeMs - repairedMs} ms after it, all links ${toMs - repairedMs} ms; ` +
        `declared dead: ${list(deaths)}`,
    );
    t.diagnostic(`${requestWords(outcomes)}${wasHeldUp ? '; the machine was busy' : ''}`);
    for (const { kind, member, observer, atMs } of rig.journal.events)
      if (kind === 'failed' && atMs >= fromMs)
        assert.ok(fault.mayAccuse(observer, member), `${observer} declared ${member} dead`);
    if (!wasHeldUp) judgeRequests(outcomes, fault, quiet);
  }

  /** Ends the calls and looks at what became of all that had trouble in each episode. */
  async judgeCalls(t: TestContext): Promise<void> {
    await this.rig.calls.finish();
    const logged = await this.rig.calls.logged();
    const fates = callFates(logged);
    for (const [at, episode] of this.episodes.entries()) {
      const { fault, fromMs, quiet, wasHeldUp } = episode;
      const untilMs = this.episodes[at + 1]?.fromMs ?? Infinity;
      const begun = logged.filter(({ startedMs }) => startedMs >= fromMs && startedMs < untilMs);
      const troubled = callsOf(fates, episode, untilMs);
      t.diagnostic(`${fault.name}: ${callWords(troubled, begun.length)}`);
      for (const fate of troubled.filter(({ hasFailed }) => hasFailed && !wasHeldUp)) {
        const { callId, servedBy, startedMs, endedMs, story } = fate;
        const ways = this.rig.sip.takenBy(callId);
        const isExplained = [...servedBy, ...ways].some((one) => fault.blamed.includes(one));
        assert.ok(isExplained, `${fault.name}: ${story}; by way of ${ways.join()}`);
        assert.ok(!isIn(quiet, startedMs, endedMs), `${fault.name}, in quiet: ${story}`);
      }
    }
  }
}

function judgeRequests(
  outcomes: readonly Outcome[],
  { blamed }: Fault,
  quiet: readonly Span[],
): void {
  const hurt = [...outcomes.filter(({ fault }) => fault !== undefined), ...begunAnew(outcomes)];
  for (const outcome of hurt) {
    const { owner, ingress = '', tookMs } = outcome;
    const startedMs = performance.timeOrigin + outcome.startedMs;
    const word = `${outcomeWord(outcome)} at ${new Date(startedMs).toISOString()}`;
    assert.ok(blamed.includes(owner) || blamed.includes(ingress), word);
    if (outcome.fault !== undefined)
      assert.ok(!isIn(quiet, startedMs, startedMs + tookMs), `in quiet: ${word}`);
  }
}

function isIn(spans: readonly Span[], startedMs: number, endedMs: number): boolean {
  return spans.some(([fromMs, toMs]) => startedMs >= fromMs && endedMs < toMs);
}

function list(words: readonly string[]): string {
  return words.length === 0 ? 'nobody' : words.join(', ');
}

/** Only this one may be declared dead, and only by others. */
function only(faulty: WatchedPeer): (observer: string, member: string) => boolean {
  return (observer, member) => member === faulty.name && observer !== faulty.name;
}

function namesOf(peers: readonly WatchedPeer[]): readonly string[] {
  return peers.map(({ name }) => name);
}

function kill(rig: FaultRig, peer: WatchedPeer): Fault {
  return {
    name: 'kill -9',
    blamed: [peer.name],
    mayAccuse: only(peer),
    happens: async (t, fromMs) => {
      await peer.kill();
      const knownMs = await rig.declaredDead(peer, fromMs, noticedMs);
      t.diagnostic(`known to all ${knownMs - fromMs} ms after it`);
      await peer.start();
      return undefined;
    },
  };
}

function restart(peer: WatchedPeer): Fault {
  return {
    name: 'kill -9 and a start at once',
    blamed: [peer.name],
    mayAccuse: only(peer),
    happens: async () => {
      await peer.kill();
      await peer.start();
      return undefined;
    },
  };
}

function stopped(peer: WatchedPeer, seconds: number): Fault {
  return {
    name: `SIGSTOP for ${seconds} s`,
    blamed: [peer.name],
    mayAccuse: only(peer),
    happens: async () => {
      peer.signal('SIGSTOP');
      await pause(seconds * 1_000);
      peer.signal('SIGCONT');
      return undefined;
    },
  };
}

function busy(peer: WatchedPeer): Fault {
  return {
    name: 'busy for 2 s',
    blamed: [peer.name],
    mayAccuse: only(peer),
    happens: async () => {
      peer.signal('SIGUSR2');
      await pause(2_000);
      return undefined;
    },
  };
}

function loss({ network }: FaultRig): Fault {
  return {
    name: '30 % loss',
    blamed: [],
    mayAccuse: () => false,
    happens: async (t, fromMs) => {
      network.rules([
        'udp dport 7946 counter',
        'udp dport 7946 numgen random mod 100 < 30 counter drop',
      ]);
      await pause(10_000);
      const [all = 0, lost = 0] = network.counters();
      network.rules([]);
      t.diagnostic(`${lost} of ${all} packets of gossip were lost`);
      assert.ok(lost > all / 5 && all > 100);
      return [fromMs, Infinity];
    },
  };
}

/** It hears all others, and none of them hears it. */
function mute(rig: FaultRig, peer: WatchedPeer): Fault {
  return {
    name: 'one-way',
    blamed: [peer.name],
    mayAccuse: (observer, member) => observer === peer.name || member === peer.name,
    happens: async (t, fromMs) => {
      const others = rig.peers.filter((one) => one !== peer);
      rig.network.rules([`ip saddr ${rig.set([peer])} ip daddr ${rig.set(others)} drop`]);
      const knownMs = await rig.declaredDead(peer, fromMs, noticedMs);
      t.diagnostic(`known to all others ${knownMs - fromMs} ms after it`);
      rig.network.rules([]);
      return undefined;
    },
  };
}

/** The smaller half says that it is not ready; the larger one serves all. */
function halves(rig: FaultRig, here: readonly WatchedPeer[], there: readonly WatchedPeer[]): Fault {
  const isHere = (name: string): boolean => namesOf(here).includes(name);
  return {
    name: 'halves',
    blamed: rig.names,
    mayAccuse: (observer, member) => isHere(observer) !== isHere(member),
    happens: async (t, fromMs) => {
      rig.network.rules([
        `ip saddr ${rig.set(here)} ip daddr ${rig.set(there)} drop`,
        `ip saddr ${rig.set(there)} ip daddr ${rig.set(here)} drop`,
      ]);
      await Promise.all([here, there].map((half) => whole(half, namesOf(half), noticedMs)));
      t.diagnostic(`known to both ${Date.now() - fromMs} ms after it`);
      for (const peer of here) assert.equal((await peer.page('/readyz'))?.status, 200);
      for (const peer of there) {
        const page = await peer.page('/readyz');
        assert.equal(page?.status, 503);
        assert.match(page.text, /less than half of the cluster is in sight/u);
      }
      await rig.sprayersKnow(namesOf(here));
      const quietMs = Date.now();
      await pause(Math.max(2_000, fromMs + 10_000 - Date.now()));
      const repairedMs = Date.now();
      rig.network.rules([]);
      return [quietMs, repairedMs];
    },
  };
}

describe('five peers, each in a network of its own, under load', { timeout: 300_000 }, () => {
  it('lose no more than what was at the faulty one, and declare nobody else dead', async (t) => {
    if (!requireTool('sipp', t) || !requireNamespaces(t)) return;
    const rig = await FaultRig.start(t, 5);
    const [one, two, three, four, five] = rig.peers as [
      WatchedPeer,
      WatchedPeer,
      WatchedPeer,
      WatchedPeer,
      WatchedPeer,
    ];
    const faults = new Faults(rig);
    for (const fault of [
      kill(rig, one),
      restart(two),
      stopped(three, 2),
      stopped(four, 4),
      stopped(five, 8),
      busy(one),
      loss(rig),
      mute(rig, two),
      halves(rig, [one, two, three], [four, five]),
    ]) {
      await t.test(fault.name, (test) => faults.run(test, fault));
    }
    await t.test('calls, seen from the callers', (test) => faults.judgeCalls(test));
    await t.test('counters say what the logs say', async () => {
      for (const peer of rig.peers) {
        const page = (await peer.page('/metrics'))?.text ?? '';
        const failed = /^sailring_gossip_events_total\{reason="fail"\} (\d+)$/mu.exec(page)?.[1];
        assert.equal(Number(failed ?? 0), rig.journal.deathsSeenBy(peer), peer.name);
      }
    });
    for (const peer of rig.peers) assert.equal((await peer.page('/readyz'))?.status, 200);
  });
});
