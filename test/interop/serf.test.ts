import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as hold } from 'node:timers/promises';
import { GossipProcess } from '../support/gossip-process.ts';
import { startPeerProcess } from '../support/peers.ts';
import { SerfAgent, type SerfMember } from '../support/serf-agent.ts';
import { requireTool } from '../support/tools.ts';
import { MixedCluster } from './mixed-cluster.ts';

/**
 * A crash is known to all within this, profile `lan`: of three members, where each accuses by itself, and
 * of five, where a suspicion is cut short by the third accuser, who may come to probe the dead only last.
 */
const crashSeenByThreeMs = 9_000;
const crashSeenMs = 12_000;

const soakMs = process.env['SAILRING_FULL'] === '1' ? 600_000 : 20_000;

/** A scenario with a cluster of its own; all of them run side by side, most of the time waiting. */
function scenario(name: string, run: (t: TestContext) => Promise<void>): void {
  it(name, { timeout: soakMs + 60_000 }, async (t) => {
    if (requireTool('serf', t)) await run(t);
  });
}

/** Waits, and tells in the report of the tests how long that took. */
async function timed(t: TestContext, word: string, waiting: Promise<unknown>): Promise<void> {
  const startedAt = performance.now();
  await waiting;
  t.diagnostic(`${word} after ${seconds(performance.now() - startedAt)}`);
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

/**
 * Lets a member stand still for 2 and for 4 s, and nobody holds it for dead. A suspicion lasts 4 s and
 * begins within the first: where a busy machine makes it more than half a second longer, it is done again.
 */
async function standsStillUnnoticed(
  t: TestContext,
  cluster: MixedCluster,
  process: SerfAgent | GossipProcess,
): Promise<void> {
  for (const stillMs of [2_000, 4_000]) {
    for (let attempt = 1; ; attempt++) {
      const stoppedAt = performance.now();
      process.signal('SIGSTOP');
      await hold(stillMs);
      process.signal('SIGCONT');
      await process.answers();
      const ms = performance.now() - stoppedAt;
      t.diagnostic(`stood still for ${seconds(ms)}`);
      const reached = await cluster.agents[0]!.run('reachability');
      if (ms <= stillMs + 500) {
        assert.match(reached.output, /Successfully contacted all live nodes/u);
        cluster.nobodyFailedBut();
        break;
      }
      assert.ok(attempt < 5, 'the machine is too busy for this test');
      await cluster.allSee(process.name, 'alive');
      cluster.forgetLogs();
    }
  }
}

describe('with agents of serf, a peer', { concurrency: true }, () => {
  scenario('joins four by dialling one, shows its tags, is reached, and leaves', async (t) => {
    const peer = { tags: { zone: 'east', state: 'ready' } };
    const cluster = await MixedCluster.start(t, { peers: 1, agents: 4, seed: 'agent', peer });
    const [p1] = cluster.peers;
    const [a1, , , a4] = cluster.agents;
    const tagsAt = async (agent: SerfAgent): Promise<Readonly<Record<string, string>>> => {
      const { epoch, ...tags } = (await agent.member('p1'))!.tags;
      assert.match(epoch!, /^\d+$/u);
      return tags;
    };
    for (const agent of cluster.agents) assert.deepEqual(await tagsAt(agent), peer.tags);
    await p1!.setTags({ state: 'draining' });
    for (const agent of cluster.agents) {
      await agent.shows('p1', (member) => member?.tags['state'] === 'draining', 'new tags');
    }
    const reached = await a4!.run('reachability', '-verbose');
    assert.match(reached.output, /Ack from 'p1'/u);
    assert.match(reached.output, /Successfully contacted all live nodes/u);
    assert.equal((await a1!.run('leave')).code, 0);
    await p1!.sees('a1', 'left');
    const leave = async (): Promise<void> => {
      await p1!.leave();
      for (const agent of cluster.agents.slice(1)) await agent.sees('p1', 'left');
    };
    await timed(t, 'its leave is known to three agents', leave());
    for (const agent of cluster.agents) assert.deepEqual(agent.complaints(), []);
    cluster.nobodyFailedBut();
  });

  scenario('and three more are joined by one that dials them, and that leaves', async (t) => {
    const cluster = await MixedCluster.start(t, { peers: 4, agents: 1, seed: 'peer' });
    const [a1] = cluster.agents;
    const reached = await a1!.run('reachability');
    assert.match(reached.output, /Successfully contacted all live nodes/u);
    await cluster.nobodyComplains();
    await cluster.peers[3]!.leave();
    await a1!.sees('p4', 'left');
    const again = await GossipProcess.start(t, 'p4', { seeds: [a1!.seed] });
    await a1!.sees('p4', 'alive');
    await again.sees('p2', 'alive');
    await again.leave();
    await a1!.sees('p4', 'left');
    assert.equal((await a1!.run('leave')).code, 0);
    for (const peer of cluster.peers.slice(0, 3)) await peer.sees('a1', 'left');
    assert.deepEqual(a1!.complaints(), []);
  });

  scenario('that is killed and starts again is back at once; dead ones are seen', async (t) => {
    const cluster = await MixedCluster.start(t, { peers: 1, agents: 4, seed: 'agent' });
    const [a1, , , a4] = cluster.agents;
    let [p1] = cluster.peers;
    const startAgain = async (): Promise<void> => {
      const { epoch } = (await a1!.member('p1'))!.tags;
      p1 = await GossipProcess.start(t, 'p1', { port: p1!.port, seeds: [a1!.seed] });
      const back = cluster.agents.map(async (agent) => {
        const isNew = (member?: SerfMember): boolean =>
          member?.status === 'alive' && member.tags['epoch'] !== epoch;
        await agent.shows('p1', isNew, 'the new epoch');
        await p1!.sees(agent.name, 'alive');
      });
      await timed(t, 'the new process is known to four agents', Promise.all(back));
    };
    await p1!.kill();
    await startAgain();
    cluster.nobodyFailedBut();
    await p1!.kill();
    const failed = cluster.agents.map((agent) => agent.sees('p1', 'failed', crashSeenMs));
    await timed(t, 'it has failed for four agents', Promise.all(failed));
    await startAgain();
    a4!.signal('SIGKILL');
    await timed(t, 'an agent is dead for it', p1!.sees('a4', 'dead', crashSeenMs));
    for (const agent of cluster.agents.slice(0, 3)) await agent.sees('a4', 'failed');
    cluster.nobodyFailedBut('p1', 'a4');
  });

  scenario('sees agents die, and they see it, in clusters of three', async (t) => {
    const [{ peers, agents }, other] = await Promise.all([
      MixedCluster.start(t, { peers: 2, agents: 1, seed: 'peer' }),
      MixedCluster.start(t, { peers: 1, agents: 2, seed: 'agent' }),
    ]);
    agents[0]!.signal('SIGKILL');
    other.peers[0]!.signal('SIGKILL');
    const dead = peers.map((peer) => peer.sees('a1', 'dead', crashSeenByThreeMs));
    const failed = other.agents.map((agent) => agent.sees('p1', 'failed', crashSeenByThreeMs));
    await Promise.all([
      timed(t, 'the agent is dead for two peers', Promise.all(dead)),
      timed(t, 'the peer has failed for two agents', Promise.all(failed)),
    ]);
  });

  scenario('of four sees the one agent die', async (t) => {
    const cluster = await MixedCluster.start(t, { peers: 4, agents: 1, seed: 'peer' });
    cluster.agents[0]!.signal('SIGKILL');
    const seen = Promise.all(cluster.peers.map((peer) => peer.sees('a1', 'dead', crashSeenMs)));
    await timed(t, 'the agent is dead for four peers', seen);
    cluster.nobodyFailedBut('a1');
  });

  scenario('that stands still for 2 and 4 s is not held for dead', async (t) => {
    const cluster = await MixedCluster.start(t, { peers: 1, agents: 4, seed: 'agent' });
    await standsStillUnnoticed(t, cluster, cluster.peers[0]!);
  });

  scenario('that stands still for 8 s is held for dead and comes back', async (t) => {
    const cluster = await MixedCluster.start(t, { peers: 1, agents: 4, seed: 'agent' });
    const [p1] = cluster.peers;
    p1!.signal('SIGSTOP');
    const failed = cluster.agents.map((agent) => agent.sees('p1', 'failed', crashSeenMs));
    await timed(t, 'it has failed for four agents', Promise.all(failed));
    p1!.signal('SIGCONT');
    await timed(t, 'it is back', cluster.allSee('p1', 'alive'));
    for (const { name } of cluster.agents) await p1!.sees(name, 'alive');
    cluster.nobodyFailedBut('p1');
    assert.deepEqual(p1!.said('a member failed'), []);
  });

  scenario('sees an agent that stands still, and takes it back', async (t) => {
    const cluster = await MixedCluster.start(t, { peers: 4, agents: 1, seed: 'peer' });
    const [a1] = cluster.agents;
    await standsStillUnnoticed(t, cluster, a1!);
    a1!.signal('SIGSTOP');
    const seen = Promise.all(cluster.peers.map((peer) => peer.sees('a1', 'dead', crashSeenMs)));
    await timed(t, 'the agent is dead for four peers', seen);
    a1!.signal('SIGCONT');
    await cluster.allSee('a1', 'alive');
    cluster.nobodyFailedBut('a1');
    assert.deepEqual(a1!.said('EventMemberFailed'), []);
  });

  scenario('changes keys when an operator of serf asks, and has them changed', async (t) => {
    const [first, second, third] = [32, 16, 32].map((size) => randomBytes(size).toString('base64'));
    const cluster = await MixedCluster.start(t, {
      peers: 2,
      agents: 2,
      seed: 'agent',
      agentArgs: [`-encrypt=${first!}`],
      peer: { keys: [first!] },
    });
    const [p1] = cluster.peers;
    const [a1, a2] = cluster.agents;
    const list = async (): Promise<readonly string[]> =>
      [...(await a2!.run('keys', '-list')).output.matchAll(/^(\S+) +\[(\d)\/4\]$/gmu)].map(
        ([, key, count]) => `${key!} ${count!}`,
      );
    assert.deepEqual(await list(), [`${first!} 4`]);
    for (const step of [`-install=${second!}`, `-use=${second!}`, `-remove=${first!}`]) {
      const answer = await a1!.run('keys', step);
      assert.equal(answer.code, 0, answer.output);
    }
    assert.deepEqual(await list(), [`${second!} 4`]);
    const inUse = await a1!.run('keys', `-remove=${second!}`);
    assert.match(inUse.output, /4\/4 nodes reported failure/u);
    for (const [operation, key] of [
      ['install', third!],
      ['use', third!],
      ['remove', second!],
    ] as const) {
      const { answers, of } = await p1!.keys(operation, key);
      assert.equal(of, 4);
      assert.deepEqual(Object.keys(answers).sort(), ['a1', 'a2', 'p1', 'p2']);
      for (const [name, answer] of Object.entries(answers)) assert.ok(answer.isDone, name);
    }
    assert.deepEqual(await list(), [`${third!} 4`]);
    const listed = await p1!.keys('list');
    assert.deepEqual(
      Object.values(listed.answers).map(({ keys }) => keys),
      Array.from({ length: 4 }, () => [third]),
    );
    const late = await GossipProcess.start(t, 'p3', { seeds: [p1!.seed], keys: [third!] });
    await late.sees('a2', 'alive');
    await a2!.sees('p3', 'alive');
    const stranger = await GossipProcess.start(t, 'p4', { seeds: [p1!.seed], keys: [first!] });
    await stranger.until(() => stranger.members.length === 1, 'alone');
    cluster.nobodyFailedBut();
  });

  scenario('speaks with serf of protocol 2 and of protocol 5', async (t) => {
    const clusters = await Promise.all(
      ['2', '5'].map((protocol) => {
        const agentArgs = [`-protocol=${protocol}`];
        return MixedCluster.start(t, { peers: 1, agents: 2, seed: 'agent', agentArgs });
      }),
    );
    for (const cluster of clusters) {
      const [p1] = cluster.peers;
      await p1!.leave();
      await cluster.allSee('p1', 'left');
      for (const agent of cluster.agents) assert.deepEqual(agent.complaints(), []);
    }
  });

  scenario('exchanges 100 KiB of state with its like and with serf', async (t) => {
    const cluster = await MixedCluster.start(t, { peers: 2, agents: 1, seed: 'peer' });
    const [p1] = cluster.peers;
    const [a1] = cluster.agents;
    const state = randomBytes(100 * 1_024);
    await p1!.setUserState(state);
    for (let i = 0; i < 220; i++)
      await a1!.run('event', `-coalesce=false`, `e${i}`, 'x'.repeat(450));
    const p3 = await GossipProcess.start(t, 'p3', { seeds: [a1!.seed, p1!.seed] });
    await p3.until(() => p3.all('userState').length > 0, 'the state');
    const digest = createHash('sha256').update(state).digest('hex');
    assert.ok(p3.all('userState').some((told) => told.digest === digest));
    const joined = await a1!.run('join', p1!.seed, p3.seed);
    assert.equal(joined.code, 0, joined.output);
    await cluster.nobodyComplains();
    assert.deepEqual(await p3.counts('gossip_drops'), {});
  });

  scenario('of a configuration is observed where its label is off, and only there', async (t) => {
    const application = { kind: 'embedded', module: 'demo' };
    const gossip = { listen: { address: '127.0.0.1', port: 0 }, profile: 'lan' };
    const [agent, shown, hidden] = await Promise.all([
      SerfAgent.start(t, 'a1'),
      startPeerProcess(t, 'p1', { application, gossip: { ...gossip, label: false } }),
      startPeerProcess(t, 'p2', { application, gossip }),
    ]);
    assert.equal((await agent.run('join', hidden.gossip)).code, 1);
    const joined = await agent.run('join', shown.gossip);
    assert.equal(joined.code, 0, joined.output);
    await agent.sees('p1', 'alive');
    assert.equal((await agent.member('p1'))?.tags['state'], 'ready');
    process.kill(shown.pid, 'SIGTERM');
    await agent.sees('p1', 'left', 20_000);
    assert.equal(await agent.member('p2'), undefined);
  });

  scenario('suspects nobody and is not suspected while all are well', async (t) => {
    const cluster = await MixedCluster.start(t, { peers: 2, agents: 2, seed: 'agent' });
    // Processes that start beside it take its time: what counts begins now.
    cluster.forgetLogs();
    const probesBefore = await Promise.all(
      cluster.peers.map((peer) => peer.counts('gossip_probes')),
    );
    await hold(soakMs);
    for (const agent of cluster.agents) {
      assert.deepEqual(agent.said('Suspect'), []);
      assert.deepEqual(agent.said('Refuting'), []);
    }
    for (const [index, peer] of cluster.peers.entries()) {
      assert.deepEqual(peer.said('suspected'), []);
      assert.deepEqual(await peer.counts('gossip_probes'), probesBefore[index]);
    }
    await cluster.nobodyComplains();
  });
});
