import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startPeers, type PeerProcess } from '../support/peers.ts';

async function readiness({ admin }: PeerProcess): Promise<string> {
  const answer = await fetch(`http://${admin}/readyz`);
  return `${answer.status} ${await answer.text()}`;
}

async function gauge({ admin }: PeerProcess, name: string): Promise<string | undefined> {
  const page = await (await fetch(`http://${admin}/metrics`)).text();
  return page
    .split('\n')
    .find((line) => line.startsWith(`${name} `))
    ?.split(' ')[1];
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds()));
}

describe('a peer that sees less than half of its cluster', { timeout: 60_000 }, () => {
  it('is not ready while it was told so, serves what comes, and is ready when the others are back', async (t) => {
    const application = { kind: 'embedded', module: 'demo' };
    const log = { level: 'error' };
    const configs = ['unready', 'serve', 'serve', 'serve', 'serve'].map((minority) => ({
      cluster: { minority },
      application,
      log,
    }));
    const { peers } = await startPeers(t, configs);
    const [told, untold, ...others] = peers as [PeerProcess, PeerProcess, ...PeerProcess[]];
    assert.match(await readiness(told), /^200 /);
    assert.equal(await gauge(told, 'sailring_minority'), '0');
    try {
      for (const { pid } of others) process.kill(pid, 'SIGSTOP');
      await until(async () => (await gauge(told, 'sailring_minority')) === '1');
      assert.match(await readiness(told), /^503 [^]*less than half of the cluster is in sight/);
      assert.equal((await fetch(`http://${told.http}/`)).status, 200);
      await until(async () => (await gauge(untold, 'sailring_minority')) === '1');
      assert.match(await readiness(untold), /^200 /);
    } finally {
      for (const { pid } of others) process.kill(pid, 'SIGCONT');
    }
    await until(async () => (await gauge(told, 'sailring_minority')) === '0');
    assert.match(await readiness(told), /^200 /);
  });
});
