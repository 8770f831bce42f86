import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { request } from '../support/sip-text.ts';
import { seededRandom } from '../support/gossip-network.ts';
import type { OutgoingCall } from './call.ts';
import { Clock } from './clock.ts';
import { Network, type Weather } from './network.ts';
import { runRandom } from './random.ts';
import { Simulation } from './simulation.ts';
import { Sprayer } from './sprayer.ts';
import { describeHop, Trace, type Hop } from './trace.ts';

describe('virtual time', () => {
  it('lets things happen in the order of time, and of asking where times are equal', () => {
    const clock = new Clock();
    const happened: string[] = [];
    const random = seededRandom(1);
    for (let at = 0; at < 200; at++) {
      const dueMs = Math.floor(random() * 20);
      clock.after(dueMs, () =>
        happened.push(`${String(dueMs).padStart(2, '0')} ${String(at).padStart(3, '0')}`),
      );
    }
    clock.run(100);
    assert.equal(happened.length, 200);
    assert.deepEqual(happened, happened.toSorted());
    assert.equal(clock.nowMs, 100);
  });

  it('forgets what was cancelled, and runs what is asked for meanwhile', () => {
    const clock = new Clock();
    const happened: string[] = [];
    const cancelled = clock.after(5, () => happened.push('cancelled'));
    clock.after(1, () => {
      cancelled.cancel();
      clock.after(0, () => happened.push('meanwhile'));
    });
    assert.equal(
      clock.runUntil(() => happened.length > 0, 50),
      true,
    );
    clock.run(50);
    assert.deepEqual(happened, ['meanwhile']);
    assert.equal(clock.waiting, 0);
  });
});

describe('the network outside', () => {
  const bytes = request();

  function arrivalsIn(weather: Weather): { arrived: number[]; trace: Trace } {
    const clock = new Clock();
    const trace = new Trace(() => clock.nowMs);
    const network = new Network({ clock, trace, random: seededRandom(9), weather });
    const arrived: number[] = [];
    network.attach('192.0.2.1:5060', {
      name: 'host',
      isListening: () => true,
      receive: (_bytes, from) => arrived.push(Number(from.split(':')[1])),
    });
    for (let port = 1; port <= 1_000; port++) {
      network.send(`192.0.2.9:${port}`, '192.0.2.1:5060', bytes, 'sender');
    }
    clock.run(1_000);
    return { arrived, trace };
  }

  it('loses, doubles and reorders by the shares it is given', () => {
    const { arrived, trace } = arrivalsIn({
      loss: 0.2,
      duplicates: 0.1,
      latencyMsMin: 1,
      latencyMsMax: 50,
    });
    assert.ok(arrived.length > 800 && arrived.length < 960, String(arrived.length));
    assert.ok(new Set(arrived).size < arrived.length);
    assert.notDeepEqual(
      arrived,
      arrived.toSorted((a, b) => a - b),
    );
    const lost = trace.hops.filter(({ fate }) => fate === 'lost').length;
    assert.equal(arrived.length + lost, trace.hops.length);
  });

  it('loses nothing and keeps the order in fair weather', () => {
    const { arrived } = arrivalsIn({ loss: 0, duplicates: 0, latencyMsMin: 1, latencyMsMax: 1 });
    assert.deepEqual(
      arrived,
      Array.from({ length: 1_000 }, (_, index) => index + 1),
    );
  });
});

describe('the sprayer', () => {
  it('takes the targets in turn per packet', () => {
    const sprayer = new Sprayer<string>('per-packet', seededRandom(1));
    sprayer.targets = ['a', 'b', 'c'];
    const chosen = Array.from({ length: 6 }, () => sprayer.choose('source'));
    assert.equal(new Set(chosen.slice(0, 3)).size, 3);
    assert.deepEqual(chosen.slice(0, 3), chosen.slice(3));
  });

  it('keeps a source with its target until that one is gone', () => {
    const sprayer = new Sprayer<string>('flow-sticky', seededRandom(1));
    sprayer.targets = ['a', 'b', 'c'];
    const first = sprayer.choose('source');
    for (let packet = 0; packet < 10; packet++) assert.equal(sprayer.choose('source'), first);
    sprayer.targets = ['a', 'b', 'c'].filter((target) => target !== first);
    assert.notEqual(sprayer.choose('source'), first);
    const all = Array.from({ length: 50 }, (_, index) => sprayer.choose(`source ${index}`));
    assert.equal(new Set(all).size, 2);
  });
});

describe('a simulation', () => {
  it('runs the same from the same seed, and otherwise from another', () => {
    const traceOf = (seed: number): string => {
      const simulation = new Simulation({ seed, sprayer: 'per-packet' });
      for (const behaviour of ['answer', 'busy', 'reliable']) {
        simulation
          .phone()
          .call({ uri: `sip:${behaviour}@example.com` })
          .start();
      }
      simulation.clock.run(10_000);
      return simulation.trace.hops.map((hop) => describeHop(hop)).join('\n');
    };
    assert.equal(traceOf(1), traceOf(1));
    assert.notEqual(traceOf(1), traceOf(2));
    assert.deepEqual(runRandom(8), runRandom(8));
  });

  it('loses what is under way on a link when its peer dies, and refuses what comes later', () => {
    const simulation = new Simulation({ seed: 1, sprayer: 'per-packet', peers: 3 });
    const { clock, trace } = simulation;
    const invitesOnLinks = (): Hop[] =>
      trace.hops.filter(({ leg, message }) => leg === 'link' && message?.method === 'INVITE');
    let call: OutgoingCall;
    do {
      call = simulation.phone().call({ uri: 'sip:answer@example.com' });
      call.start();
    } while (!clock.runUntil(() => invitesOnLinks().length > 0, 5));
    const [underWay] = invitesOnLinks() as [Hop];
    simulation.kill(underWay.to, 'process', 5_000);
    clock.run(5_000);
    assert.equal(underWay.fate, 'lost');
    const later = trace.hops.filter(
      ({ to, message }) => to === underWay.to && message?.callId === call.callId,
    );
    assert.deepEqual(
      later.map(({ fate }) => fate),
      ['lost', 'refused'],
    );
    assert.equal(call.state, 'established', trace.ofCall(call.callId));
  });
});
