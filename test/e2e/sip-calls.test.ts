import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startCluster } from '../support/cluster.ts';
import { runSipp, shares } from '../support/sipp.ts';
import { requireTool } from '../support/tools.ts';

describe('SIPp through the per-packet sprayer', { timeout: 120_000 }, () => {
  const transports: readonly [string, 'udp' | 'tcp', string[]][] = [
    ['UDP', 'udp', []],
    ['TCP, one connection for all calls', 'tcp', ['-t', 't1']],
    ['TCP, a connection for each call', 'tcp', ['-t', 'tn', '-max_socket', '300']],
  ];
  for (const [name, transport, args] of transports) {
    it(`${name}: 200 calls, none fails, each is served by one instance, all instances serve`, async (t) => {
      if (!requireTool('sipp', t)) return;
      const cluster = await startCluster(t);
      const result = await runSipp(t, cluster.sip[transport], [
        '-sn',
        'uac',
        '-r',
        '50',
        '-m',
        '200',
        ...args,
      ]);
      assert.deepEqual([result.successful, result.failed], [200, 0]);
      assert.equal(result.calls.length, 200);
      for (const call of result.calls) assert.equal(call.servedBy.size, 1, call.callId);
      const share = shares(result.calls);
      assert.equal(share.size, 3);
      for (const [instance, calls] of share) assert.ok(calls <= 90, `${instance}: ${calls} of 200`);
    });
  }

  it('one peer alone and two peers serve too', async (t) => {
    if (!requireTool('sipp', t)) return;
    for (const peers of ['1', '2']) {
      const cluster = await startCluster(t, ['--peers', peers]);
      assert.equal(cluster.peers.length, Number(peers));
      const result = await runSipp(t, cluster.sip.udp, ['-sn', 'uac', '-r', '50', '-m', '50']);
      assert.deepEqual([result.successful, result.failed], [50, 0]);
    }
  });
});
