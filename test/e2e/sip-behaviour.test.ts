import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { metric, startCluster, type ClusterAddresses } from '../support/cluster.ts';
import { startPeers } from '../support/peers.ts';
import { runSipp, scenario, type LoggedCall, type SippResult } from '../support/sipp.ts';
import { requireTool } from '../support/tools.ts';

const run = promisify(execFile);

const calls = 20;
const load = ['-r', '50', '-m', String(calls)];

/** Runs a scenario and wants every call to succeed without a message sent twice. */
async function play(
  t: TestContext,
  target: string,
  name: string,
  args: readonly string[],
): Promise<readonly LoggedCall[]> {
  const result: SippResult = await runSipp(t, target, ['-sf', scenario(name), ...load, ...args]);
  assert.deepEqual([result.successful, result.failed], [calls, 0], name);
  assert.equal(result.retransmissions, 0, name);
  return result.calls;
}

function finals({ received }: LoggedCall): string[] {
  return received.filter((answer) => !/ 1\d\d$/.test(answer));
}

/** All that was sent but the first INVITE, which SIPp does not log while its connection opens. */
function later({ sent }: LoggedCall): readonly string[] {
  return sent[0] === 'INVITE' ? sent.slice(1) : sent;
}

function servedByOne(all: readonly LoggedCall[]): void {
  for (const { callId, servedBy } of all) assert.equal(servedBy.size, 1, callId);
}

async function sum(cluster: ClusterAddresses, name: string, reason: string): Promise<number> {
  const each = await Promise.all(cluster.peers.map(({ admin }) => metric(admin, name, reason)));
  return each.reduce((total, count) => total + count, 0);
}

const transports = [
  ['UDP', 'udp', []],
  ['TCP', 'tcp', ['-t', 'tn', '-max_socket', '200']],
] as const;

describe('SIP through the per-packet sprayer', { timeout: 120_000 }, () => {
  for (const [name, transport, args] of transports) {
    it(name, async (t) => {
      if (!requireTool('sipp', t)) return;
      const cluster = await startCluster(t);
      const target = cluster.sip[transport];
      const stamped = (): Promise<number> => sum(cluster, 'sailring_sip_requests_total', 'stamp');

      await t.test('a call that rings is cancelled: 487, acknowledged once', async (t) => {
        const all = await play(t, target, 'cancelled', args);
        assert.equal(all.length, calls);
        servedByOne(all);
        for (const call of all) {
          assert.deepEqual(finals(call).toSorted(), ['CANCEL 200', 'INVITE 487']);
          assert.deepEqual(later(call), ['CANCEL', 'ACK']);
        }
      });

      await t.test('a busy user: 486, acknowledged once', async (t) => {
        const all = await play(t, target, 'refused', args);
        servedByOne(all);
        for (const call of all) {
          assert.deepEqual(finals(call), ['INVITE 486']);
          assert.deepEqual(later(call), ['ACK']);
        }
      });

      await t.test('PRACK, INFO, UPDATE, re-INVITE, BYE follow the route set', async (t) => {
        const before = await stamped();
        const all = await play(t, target, 'dialog', args);
        servedByOne(all);
        const inDialog = ['PRACK', 'ACK', 'INFO', 'UPDATE', 'INVITE', 'ACK', 'BYE'];
        for (const call of all) assert.deepEqual(later(call), inDialog);
        assert.equal((await stamped()) - before, calls * inDialog.length);
      });

      await t.test('a BYE that belongs to no dialog: 481', async (t) => {
        const all = await play(t, target, 'stray-bye', args);
        servedByOne(all);
        for (const call of all) assert.deepEqual(call.received, ['BYE 481']);
      });

      await t.test('a registration has a Path that leads back to its instance', async (t) => {
        const before = await stamped();
        const all = await play(t, target, 'no-dialog', args);
        servedByOne(all);
        const registered = new Map(all.map(({ callId, servedBy }) => [callId, servedBy]));
        const others = all.filter(({ callId }) => callId.startsWith('other///'));
        assert.equal(others.length, calls);
        for (const { callId, servedBy } of others)
          assert.deepEqual(servedBy, registered.get(callId.slice('other///'.length)), callId);
        assert.equal((await stamped()) - before, calls);
      });

      assert.equal(await sum(cluster, 'sailring_stamps_invalid_total', 'route'), 0);
    });
  }

  it('sipsak gets its 200 to OPTIONS, again and again', async (t) => {
    if (!requireTool('sipsak', t)) return;
    const cluster = await startCluster(t);
    for (let turn = 0; turn < 6; turn++) {
      const { stdout } = await run('sipsak', ['-vv', '-s', `sip:x@${cluster.sip.udp}`]);
      assert.match(stdout, /SIP\/2\.0 200 OK/);
    }
  });
});

describe('SIP over IPv6', { timeout: 60_000 }, () => {
  for (const [name, transport, args] of transports) {
    it(`${name}: whole calls`, async (t) => {
      if (!requireTool('sipp', t)) return;
      const address = '::1';
      const listeners = ['udp', 'tcp'].map((each) => ({ transport: each, address, port: 0 }));
      const application = { kind: 'embedded', module: 'demo' };
      const { peers } = await startPeers(t, [{ sip: { listeners }, application }]);
      const target = peers[0]!.sip[transport];
      assert.match(target, /^\[::1\]:\d+$/);
      const all = await play(t, target, 'dialog', ['-i', address, ...args]);
      servedByOne(all);
    });
  }
});
