import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { Child } from '../cli/child.ts';
import { endPeerProcess, startPeers, type PeerProcess } from '../support/peers.ts';

const config = {
  application: { kind: 'embedded', module: 'demo' },
  log: { level: 'error' },
};

interface Status {
  readonly members: readonly {
    readonly name: string;
    readonly state: string;
    readonly link?: string;
    readonly stateDigest?: string;
  }[];
  readonly clusterState: { readonly digest: string };
}

/** Runs a command against a peer; gives what it printed. */
async function run(t: TestContext, peer: PeerProcess, ...args: string[]): Promise<string> {
  const child = new Child(t, [...args, '--admin', `http://${peer.admin}`]);
  assert.deepEqual(await child.closed, { code: 0, signal: null }, child.err);
  assert.equal(child.err, '');
  return child.out;
}

async function statusOf(peer: PeerProcess): Promise<Status> {
  return (await (await fetch(`http://${peer.admin}/status`)).json()) as Status;
}

async function until(peer: PeerProcess, holds: (status: Status) => boolean): Promise<void> {
  while (!holds(await statusOf(peer)));
}

function linksOf({ members }: Status): Record<string, string | undefined> {
  return Object.fromEntries(members.map(({ name, link }) => [name, link]));
}

/** The row of a member, as cells. */
function rowOf(text: string, name: string): readonly string[] {
  const line = text.split('\n').find((each) => each.startsWith(`${name} `) && !each.includes(';'));
  return (line ?? '').split(/ {2,}/u);
}

describe('the commands of an operator', { timeout: 60_000 }, () => {
  it('show which links are up, in the direction of the peer that is asked', async (t) => {
    // Nobody listens where peer-2 says that its links are: peer-1 cannot reach it, but it reaches peer-1.
    const astray = { address: '127.0.0.1', port: 0 };
    const { peers } = await startPeers(t, [
      config,
      { ...config, link: { listen: astray, advertise: '127.0.0.1:1' } },
    ]);
    const [one, two] = peers as [PeerProcess, PeerProcess];
    await until(two, (status) => linksOf(status)['peer-1'] === 'up');
    assert.deepEqual(linksOf(await statusOf(one)), { 'peer-1': 'self', 'peer-2': 'down' });
    assert.deepEqual(linksOf(await statusOf(two)), { 'peer-1': 'up', 'peer-2': 'self' });
    const text = await run(t, one, 'status');
    assert.deepEqual(rowOf(text, 'peer-1').slice(0, 5).join(), 'peer-1,alive,ready,1,this peer');
    assert.deepEqual(rowOf(text, 'peer-2').slice(0, 5).join(), 'peer-2,alive,ready,1,DOWN');
    const metrics = async (): Promise<string[]> => {
      const page = await (await fetch(`http://${one.admin}/metrics`)).text();
      return page.split('\n').filter((line) => line.startsWith('sailring_link_up'));
    };
    assert.deepEqual(await metrics(), ['sailring_link_up{peer="peer-2"} 0']);
    await endPeerProcess(two);
    await until(one, ({ members }) => members.some(({ state }) => state === 'left'));
    assert.deepEqual(linksOf(await statusOf(one)), { 'peer-1': 'self', 'peer-2': undefined });
    assert.deepEqual(await metrics(), []);
  });

  it('change the policy of all peers, which then show the same state', async (t) => {
    const { peers } = await startPeers(t, [config, config]);
    const [one, two] = peers as [PeerProcess, PeerProcess];
    const set = await run(t, one, 'policy', 'set', '--algorithm', 'round-robin');
    const digest = /^all peers use round-robin; cluster state (\S{8})\n$/u.exec(set)?.[1];
    assert.ok(digest !== undefined, set);
    await until(two, ({ clusterState, members }) => {
      const digests = [clusterState.digest, ...members.map(({ stateDigest }) => stateDigest)];
      return digests.every((each) => each === digest);
    });
    assert.equal(await run(t, two, 'policy', 'show'), 'all peers use round-robin\n');
    const text = await run(t, two, 'status');
    assert.match(text.split('\n')[0]!, new RegExp(`; cluster state ${digest}$`, 'u'));
    for (const name of ['peer-1', 'peer-2']) assert.equal(rowOf(text, name)[5], digest);
    await run(t, two, 'policy', 'clear');
    assert.equal(
      await run(t, two, 'policy', 'show'),
      'nothing is decided: each peer uses sip.algorithm of its configuration\n',
    );
  });
});
