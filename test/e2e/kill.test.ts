import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { metric, startCluster } from '../support/cluster.ts';
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
      // So much has come in here that a third of the load is done and calls are under way.
      while ((await metric(victim.admin, 'sailring_sip_requests_total', 'fallback')) < 250);
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
