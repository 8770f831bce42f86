import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as hold } from 'node:timers/promises';
import { GossipProcess } from '../support/gossip-process.ts';
import { startPeerProcess } from '../support/peers.ts';
import { SerfAgent } from '../support/serf-agent.ts';
import { requireTool } from '../support/tools.ts';
import { MixedCluster } from './mixed-cluster.ts';

/** A crash is known to all members within this, profile `lan`. */
const crashSeenMs = 9_000;

const soakMs = process.env['SAILRING_FULL'] === '1' ? 600_000 : 20_000;

/** A scenario with a cluster of its own; all of them run side by side, most of the time waiting. */
function scenario(name: string, run: (t: TestContext) => Promise<void>): void {
  it(name, { timeout: soakMs + 60_000 }, async (t) => {
    if (requireTool('serf', t)) await run(t);
  });
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
    await p1!.leave();
    for (const agent of cluster.agents.slice(1)) await agent.sees('p1', 'left');
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

  scenario(
    'that is killed and starts again at once is back at once; dead ones are seen',
    async (t) => {
      const cluster = await MixedCluster.start(t, { peers: 1, agents: 4, seed: 'agent' });
      const [former] = cluster.peers;
      const [a1, , , a4] = cluster.agents;
      const epoch = (await a1!.member('p1'))!.tags['epoch'];
      await former!.kill();
      const p1 = await GossipProcess.start(t, 'p1', { port: former!.port, seeds: [a1!.seed] });
      for (const agent of cluster.agents) {
        await agent.shows('p1', (member) => member?.tags['epoch'] !== epoch, 'the new epoch');
        await p1.sees(agent.name, 'alive');
      }
      cluster.nobodyFailedBut();
      a4!.signal('SIGKILL');
      await p1.sees('a4', 'dead', crashSeenMs);
      for (const agent of cluster.agents.slice(0, 3)) await agent.sees('a4', 'failed');
      await p1.kill();
      const rest = cluster.agents.slice(0, 3);
      await Promise.all(rest.map((agent) => agent.sees('p1', 'failed', crashSeenMs)));
      for (const agent of rest) assert.deepEqual(agent.said('EventMemberFailed: a1'), []);
    },
  );

  scenario('of four sees the one agent die', async (t) => {
    const cluster = await MixedCluster.start(t, { peers: 4, agents: 1, seed: 'peer' });
    cluster.agents[0]!.signal('SIGKILL');
    await Promise.all(cluster.peers.map((peer) => peer.sees('a1', 'dead', crashSeenMs)));
    cluster.nobodyFailedBut('a1');
  });

  scenario('that stands still for 2 and 4 s is not held for dead', async (t) => {
    const cluster = await MixedCluster.start(t, { peers: 1, agents: 4, seed: 'agent' });
    const [p1] = cluster.peers;
    for (const stillMs of [2_000, 4_000]) {
      p1!.signal('SIGSTOP');
      await hold(stillMs);
      p1!.signal('SIGCONT');
      const reached = await cluster.agents[0]!.run('reachability');
      assert.match(reached.output, /Successfully contacted all live nodes/u);
    }
    cluster.nobodyFailedBut();
  });

  scenario('that stands still for 8 s is held for dead and comes back', async (t) => {
    const cluster = await MixedCluster.start(t, { peers: 1, agents: 4, seed: 'agent' });
    const [p1] = cluster.peers;
    p1!.signal('SIGSTOP');
    await Promise.all(cluster.agents.map((agent) => agent.sees('p1', 'failed', crashSeenMs)));
    p1!.signal('SIGCONT');
    await cluster.allSee('p1', 'alive');
    for (const { name } of cluster.agents) await p1!.sees(name, 'alive');
    cluster.nobodyFailedBut('p1');
    assert.deepEqual(p1!.said('a member failed'), []);
  });

  scenario('sees an agent that stands still, and takes it back', async (t) => {
    const cluster = await MixedCluster.start(t, { peers: 4, agents: 1, seed: 'peer' });
    const [a1] = cluster.agents;
    for (const stillMs of [2_000, 4_000]) {
      a1!.signal('SIGSTOP');
      await hold(stillMs);
      a1!.signal('SIGCONT');
      const reached = await a1!.run('reachability');
      assert.match(reached.output, /Successfully contacted all live nodes/u);
    }
    cluster.nobodyFailedBut();
    a1!.signal('SIGSTOP');
    await Promise.all(cluster.peers.map((peer) => peer.sees('a1', 'dead', crashSeenMs)));
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
    await p1!.broadcast('look');
    const p2 = cluster.peers[1]!;
    await p2.until(() => p2.all('userMessage').length === 1, 'the message');
    assert.equal(p2.all('userMessage')[0]!.text, 'look');
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
    for (const one of [...cluster.agents, ...cluster.peers]) one.log.length = 0;
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
