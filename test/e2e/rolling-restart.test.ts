import assert from 'node:assert/strict';
import { Agent, get, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { startClusterProcess } from '../support/cluster.ts';
import { startSipp } from '../support/sipp-process.ts';
import { requireTool } from '../support/tools.ts';

const peersCount = 10;
const callsPerSecond = 20;

/** Requests on kept connections through the sprayer, one after another on each, until `isOver`. */
async function browse(url: string, isOver: () => boolean): Promise<string[]> {
  const faults: string[] = [];
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let cookies = '';
  for (let at = 0; !isOver(); at++) {
    try {
      const request = get(`${url}/conference?ConferenceName=${at % 7}`, {
        agent,
        headers: { accept: 'application/json', ...(cookies === '' ? {} : { cookie: cookies }) },
      });
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      const body = await text(response);
      if (response.statusCode !== 200) faults.push(`${response.statusCode ?? 0}: ${body}`);
      const set = response.headers['set-cookie'];
      if (set !== undefined) cookies = set.map((cookie) => cookie.split(';')[0]).join('; ');
    } catch (error) {
      faults.push(String(error));
    }
    // The pace of a visitor, not a wait for anything.
    await pause(50);
  }
  agent.destroy();
  return faults;
}

/** Resolves when the cluster has told of all its peers that they were restarted. */
async function restarted(lines: () => string[], isOver: () => boolean): Promise<string[]> {
  for (;;) {
    const names = lines().map((line) => (JSON.parse(line) as { restarted: string }).restarted);
    if (names.length >= peersCount) return names;
    assert.equal(isOver(), false, `the calls ended when only ${names.join(', ')} had restarted`);
    await pause(100);
  }
}

describe('a rolling restart of ten peers under load', { timeout: 240_000 }, () => {
  it('loses no call and no request', async (t: TestContext) => {
    if (!requireTool('sipp', t)) return;
    const { addresses, pid, lines } = await startClusterProcess(t, ['--peers', `${peersCount}`]);
    const before = addresses.peers.map((peer) => peer.pid);
    const calls = await startSipp(t, {
      scenario: 'call',
      target: addresses.sip.udp,
      args: ['-r', String(callsPerSecond), '-d', '1000', '-m', '4000'],
    });
    let isOver = false;
    t.after(() => {
      isOver = true;
    });
    const visitors = Array.from({ length: 8 }, () => browse(addresses.http, () => isOver));
    process.kill(pid, 'SIGUSR2');
    const startedMs = performance.now();
    const names = await restarted(lines, calls.hasEnded);
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
    isOver = true;
    const outcome = await calls.finish();
    const faults = (await Promise.all(visitors)).flat();
    t.diagnostic(
      `${peersCount} peers restarted in ${seconds} s: ${outcome.failed} of ${outcome.calls} calls ` +
        `failed, ${outcome.retransmissions} retransmissions; ${faults.length} requests failed`,
    );
    assert.equal(new Set(names).size, peersCount);
    for (const old of before) assert.throws(() => process.kill(old, 0), /ESRCH/);
    assert.deepEqual([outcome.failed, outcome.complaints, faults], [0, '', []]);
    assert.ok(outcome.successful > 100);
  });
});
