import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { metric } from '../support/cluster.ts';
import { DnsServer } from '../support/dns-server.ts';
import { Etcd } from '../support/etcd.ts';
import { freeSipPorts } from '../support/free-port.ts';
import { ringOf, startPeerProcess, type PeerProcess } from '../support/peers.ts';
import { requireTool } from '../support/tools.ts';

const address = '127.0.0.1';
const application = { kind: 'embedded', module: 'demo' };
const prefix = '/sailring/sailring/members/';

interface Finding {
  readonly discovery: object;
  readonly seeds?: readonly string[];
  readonly port?: number;
}

function startPeer(
  t: TestContext,
  name: string,
  { discovery, seeds = [], port = 0 }: Finding,
): Promise<PeerProcess> {
  return startPeerProcess(t, name, {
    gossip: { listen: { address, port }, seeds, discovery },
    application,
    log: { level: 'error' },
  });
}

function byEtcd(etcd: Etcd): Finding {
  const access = { endpoints: [etcd.endpoint], ttlMs: 2_000 };
  return { discovery: { etcd: access, pollIntervalMs: 1_000 } };
}

function startAll(t: TestContext, finding: Finding): Promise<PeerProcess[]> {
  return Promise.all(['peer-1', 'peer-2', 'peer-3'].map((name) => startPeer(t, name, finding)));
}

const admins = (peers: readonly PeerProcess[]): string[] => peers.map(({ admin }) => admin);

/** Waits until a counter of each peer has grown by so much. */
async function grown(
  peers: readonly PeerProcess[],
  name: string,
  reason: string,
  by: number,
): Promise<void> {
  for (const { admin } of peers) {
    const begin = await metric(`http://${admin}`, name, reason);
    while ((await metric(`http://${admin}`, name, reason)) < begin + by);
  }
}

async function membersOf({ admin }: PeerProcess): Promise<Record<string, string>> {
  const status = (await (await fetch(`http://${admin}/status`)).json()) as {
    members: readonly { name: string; state: string }[];
  };
  return Object.fromEntries(status.members.map(({ name, state }) => [name, state]));
}

const [polls, registrations, events] = [
  'sailring_discovery_etcd_polls_total',
  'sailring_discovery_etcd_registrations_total',
  'sailring_gossip_events_total',
];

async function gone(name: string, etcd: Etcd): Promise<void> {
  await etcd.until(prefix, (entries) => !entries.some(({ key }) => key === `${prefix}${name}`));
}

/** Nobody was suspected, failed or left, as seen by each. */
async function nobodyLost(peers: readonly PeerProcess[]): Promise<void> {
  for (const peer of peers) {
    assert.deepEqual(
      await membersOf(peer),
      Object.fromEntries(peers.map(({ name }) => [name, 'alive'])),
    );
    for (const reason of ['suspect', 'fail', 'leave'])
      assert.equal(await metric(`http://${peer.admin}`, events, reason), 0, reason);
  }
}

describe('peers without seeds', { timeout: 120_000 }, () => {
  it('find each other by etcd, lose nobody with it, and are listed again by an empty one', async (t) => {
    if (!requireTool('etcd', t)) return;
    const etcd = await Etcd.start(t);
    // Of nobody, as it stands there after a crash.
    await etcd.put(`${prefix}stale`, JSON.stringify({ endpoint: '127.0.0.1:9', epoch: 1 }));
    const peers = await startAll(t, byEtcd(etcd));
    await ringOf(admins(peers), 3);

    await etcd.kill();
    await grown(peers, polls, 'failed', 3);
    await grown(peers, registrations, 'failed', 3);
    await nobodyLost(peers);

    await etcd.wipe();
    await etcd.start();
    await etcd.until(prefix, (entries) => entries.length === 3);
    await nobodyLost(peers);

    const [last] = peers.splice(2, 1);
    process.kill(last!.pid, 'SIGTERM');
    await gone('peer-3', etcd);
    await ringOf(admins(peers), 2);
  });

  it('wait for an etcd that is away at their start, alone but serving', async (t) => {
    if (!requireTool('etcd', t)) return;
    const etcd = await Etcd.create(t);
    const peers = await startAll(t, byEtcd(etcd));
    for (const { admin } of peers) {
      assert.equal((await fetch(`http://${admin}/readyz`)).status, 200);
    }
    await ringOf(admins(peers), 1);
    await etcd.start();
    await ringOf(admins(peers), 3);
  });

  it('join by a static seed while etcd hangs, and register once it answers', async (t) => {
    if (!requireTool('etcd', t)) return;
    const etcd = await Etcd.start(t);
    const first = await startPeer(t, 'peer-1', byEtcd(etcd));
    await etcd.until(prefix, (entries) => entries.length === 1);
    etcd.pause();
    const second = await startPeer(t, 'peer-2', { ...byEtcd(etcd), seeds: [first.gossip] });
    await ringOf(admins([first, second]), 2);
    etcd.resume();
    await etcd.until(prefix, (entries) => entries.length === 2);
    await nobodyLost([first, second]);
  });

  it('come back to their cluster and to etcd after they were stopped for longer than the lease', async (t) => {
    if (!requireTool('etcd', t)) return;
    const etcd = await Etcd.start(t);
    const peers = await startAll(t, byEtcd(etcd));
    await ringOf(admins(peers), 3);
    const stopped = peers[2]!;
    process.kill(stopped.pid, 'SIGSTOP');
    await gone('peer-3', etcd).finally(() => process.kill(stopped.pid, 'SIGCONT'));
    await etcd.until(prefix, (entries) => entries.length === 3);
    await ringOf(admins(peers), 3);
    assert.equal(await metric(`http://${stopped.admin}`, registrations, 'lost'), 1);
  });

  it('find each other by DNS when their records come later', async (t) => {
    const dns = await DnsServer.start(t);
    const ports = await freeSipPorts(2);
    const finding = {
      discovery: {
        dns: [{ name: '_sailring._udp.test', type: 'srv' }],
        dnsServers: [dns.address],
        pollIntervalMs: 1_000,
      },
    };
    const peers = await Promise.all(
      ports.map((port, at) => startPeer(t, `peer-${at + 1}`, { ...finding, port })),
    );
    await ringOf(admins(peers), 1);
    dns.addresses('loopback.test', 'A', [address]);
    dns.targets(
      '_sailring._udp.test',
      ports.map((port) => ({ target: 'loopback.test', port })),
    );
    await ringOf(admins(peers), 2);
    await dns.stop();
    await grown(peers, 'sailring_discovery_dns_polls_total', 'failed', 2);
    await nobodyLost(peers);
  });
});
