import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { metric, startCluster } from '../support/cluster.ts';
import { startPeers } from '../support/peers.ts';
import { openUdpCaller, type Call, type SipCaller } from '../support/sip-caller.ts';
import { runSipp } from '../support/sipp.ts';
import { requireTool } from '../support/tools.ts';

/** The demo hangs up nothing by itself: a call is over when its BYE got its 200. */
const complete = 'BYE 200';

/** Waits until the ring of every peer has `count` members; gives the time of that. */
async function settled(admins: readonly string[], count: number): Promise<number> {
  for (;;) {
    const sizes = await Promise.all(
      admins.map(async (admin) => {
        const status = (await (await fetch(`${admin}/status`)).json()) as {
          ring: { members: readonly unknown[] };
        };
        return status.ring.members.length;
      }),
    );
    if (sizes.every((size) => size === count)) return Date.now();
  }
}

describe('kill -9 of one peer under load', { timeout: 120_000 }, () => {
  it('calls of other instances never notice; none that begins after gossip settled fails', async (t) => {
    if (!requireTool('sipp', t)) return;
    const cluster = await startCluster(t);
    const [victim, ...others] = cluster.peers;
    assert.ok(victim !== undefined);
    const timeline = { killedMs: 0, settledMs: 0 };
    const kill = async (): Promise<void> => {
      // So much has come in here that a quarter of the load is done and calls are under way.
      while ((await metric(victim.admin, 'sailring_sip_received_total', 'udp')) < 200);
      timeline.killedMs = Date.now();
      process.kill(victim.pid, 'SIGKILL');
      timeline.settledMs = await settled(
        others.map(({ admin }) => admin),
        2,
      );
    };
    let killing = Promise.resolve();
    const result = await runSipp(
      t,
      cluster.sip.udp,
      ['-sn', 'uac', '-r', '50', '-m', '750', '-d', '1000', '-recv_timeout', '12000'],
      () => {
        killing = kill();
      },
    );
    await killing;
    const failed = result.calls.filter((call) => !call.received.includes(complete));
    t.diagnostic(
      `gossip settled ${timeline.settledMs - timeline.killedMs} ms after the kill; ` +
        `${failed.length} of ${result.calls.length} calls failed, ${result.retransmissions} retransmissions`,
    );
    for (const call of failed) {
      assert.ok(
        call.servedBy.has(victim.name) || call.servedBy.size === 0,
        `${call.callId} lived elsewhere`,
      );
      assert.ok(
        call.startedMs < timeline.settledMs,
        `${call.callId} began after gossip had settled`,
      );
    }
    const after = result.calls.filter((call) => call.startedMs >= timeline.settledMs);
    assert.ok(after.length > 100, `only ${after.length} calls began after gossip had settled`);
    assert.equal(result.calls.length, 750);
  });
});

describe('kill -9 of one peer in mid-call', { timeout: 120_000 }, () => {
  it('its calls meet one successor from every peer, other calls see nothing', async (t) => {
    const demo = { application: { kind: 'embedded', module: 'demo' } };
    const { peers, public: sprayer } = await startPeers(t, [demo, demo, demo, demo]);
    const caller = await openUdpCaller(t);
    const calls: Call[] = [];
    for (let at = 0; at < 80; at++) calls.push(await caller.call(`user${at}`, sprayer.sip.udp));
    const [victim, ...others] = peers;
    assert.ok(victim !== undefined);
    const doors = others.map(({ sip }) => sip.udp);
    const lost = calls.filter(({ instance }) => instance === victim.name);
    const kept = calls.filter(({ instance }) => instance !== victim.name);
    assert.ok(lost.length > 0 && kept.length > lost.length);

    const successors = new Map<Call, Set<string | undefined>>();
    const follow = async (): Promise<void> => {
      for (const call of lost) {
        const servedBy = successors.get(call) ?? new Set();
        successors.set(call, servedBy);
        for (const door of doors)
          for (const method of ['INVITE', 'BYE'])
            servedBy.add((await caller.within(call, method, door)).headers('X-Served-By')[0]);
      }
    };
    process.kill(victim.pid, 'SIGKILL');
    // Links break at once; gossip finds the death seconds later.
    await talk(caller, kept, doors);
    await follow();
    const settling = { isOver: false };
    const untouched = talk(caller, kept, doors, settling);
    await settled(
      others.map(({ admin }) => `http://${admin}`),
      others.length,
    );
    settling.isOver = true;
    await untouched;
    await follow();
    for (const [{ callId }, servedBy] of successors)
      assert.equal(servedBy.size, 1, `${callId} met ${[...servedBy].join()}`);
    const names = new Set([...successors.values()].flatMap((servedBy) => [...servedBy]));
    t.diagnostic(
      `${lost.length} calls of the dead instance went to ${names.size} others, each to one`,
    );
    assert.ok(!names.has(victim.name) && !names.has(undefined));
    for (const call of kept) await isAlive(caller, call, doors[0]!, 'BYE');
  });
});

/** Sends re-INVITEs of these calls, each through another door, once or until all is over. */
async function talk(
  caller: SipCaller,
  calls: readonly Call[],
  doors: readonly string[],
  settling: { readonly isOver: boolean } = { isOver: true },
): Promise<void> {
  let turn = 0;
  do for (const call of calls) await isAlive(caller, call, doors[turn++ % doors.length]!, 'INVITE');
  while (!settling.isOver);
}

async function isAlive(caller: SipCaller, call: Call, door: string, method: string): Promise<void> {
  const { status, headers } = await caller.within(call, method, door);
  assert.deepEqual([status, headers('X-Served-By')], [200, [call.instance]]);
}
