import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import {
  endPeerProcess,
  startPeerProcess,
  startSprayer,
  type PeerProcess,
} from '../support/peers.ts';
import { openUdpCaller } from '../support/sip-caller.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const example = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../dcr-examples/${name}.xml`, import.meta.url)), 'utf8');
const conference = example('conference');
const callee = example('callee');
const anyPort = { address: '127.0.0.1', port: 0 };

interface Status {
  readonly state: string;
  readonly clusterState: { readonly clock: number; readonly digest: string };
  readonly rules: {
    readonly source: string;
    readonly digest: string;
    readonly odd: readonly string[];
  };
  readonly ring: {
    readonly members: readonly { readonly name: string; readonly weight: number }[];
  };
  readonly counters: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

type Peer = Pick<PeerProcess, 'admin'>;

async function ask(
  { admin }: Peer,
  path: string,
  method = 'GET',
  body?: string,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const answer = await fetch(`http://${admin}${path}`, {
    method,
    ...(body === undefined ? {} : { body }),
  });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

async function statusOf(peer: Peer): Promise<Status> {
  return (await ask(peer, '/status')).body as unknown as Status;
}

/** More than news ever takes: each question is answered at the pace of the peers. */
const pollsMax = 20_000;

/** Asks all peers until they say so. */
async function until(peers: readonly Peer[], holds: (status: Status) => boolean): Promise<void> {
  for (let poll = 0; poll < pollsMax; poll++) {
    if ((await Promise.all(peers.map(statusOf))).every(holds)) return;
  }
  assert.fail(JSON.stringify(await Promise.all(peers.map(statusOf))));
}

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'sailring-data-'));
  t.after(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** Starts peers one after another, each with a folder of its own below `data`. */
async function startAll(
  t: TestContext,
  data: string,
  names: readonly string[],
  config: Readonly<Record<string, unknown>> = {},
): Promise<PeerProcess[]> {
  const peers: PeerProcess[] = [];
  for (const name of names) {
    const seeds = peers.map(({ gossip }) => gossip);
    peers.push(
      await startPeerProcess(t, name, {
        application: { kind: 'embedded', module: 'demo' },
        gossip: { listen: anyPort, seeds },
        dataDir: join(data, name),
        log: { level: 'silent' },
        ...config,
      }),
    );
  }
  return peers;
}

/** Waits until all have the same state of so many entries; gives its digest. */
async function agreed(peers: readonly Peer[], count: number): Promise<string> {
  for (let poll = 0; poll < pollsMax; poll++) {
    const states = await Promise.all(peers.map(async (peer) => (await ask(peer, '/state')).body));
    const digests = new Set(states.map(({ digest }) => digest as string));
    const isWhole = states.every(({ entries }) => (entries as unknown[]).length === count);
    if (digests.size === 1 && isWhole) return [...digests][0]!;
  }
  assert.fail('the peers do not agree');
}

async function digestOf(peer: Peer): Promise<string> {
  return (await statusOf(peer)).clusterState.digest;
}

describe('the state of a cluster', { timeout: 120_000 }, () => {
  it('is changed at any peer, goes to all, and is there after all were restarted', async (t) => {
    const data = folderOf(t);
    const names = ['peer-1', 'peer-2', 'peer-3'];
    const peers = await startAll(t, data, names);
    const [one, two, three] = peers as [PeerProcess, PeerProcess, PeerProcess];
    const set = await ask(two, '/rules', 'PUT', conference);
    assert.deepEqual([set.status, set.body['stored']], [200, 'disk']);
    assert.equal((await ask(one, '/instances/peer-3', 'PUT', '{"weight":2}')).status, 200);
    assert.equal((await ask(three, '/policy', 'PUT', '{"algorithm":"round-robin"}')).status, 200);

    const isEverywhere = ({ rules, ring }: Status): boolean =>
      rules.source === 'cluster' &&
      rules.odd.length === 0 &&
      ring.members.find(({ name }) => name === 'peer-3')?.weight === 2;
    await until(peers, isEverywhere);
    const digest = await agreed(peers, 3);
    const metrics = await (await fetch(`http://${three.admin}/metrics`)).text();
    assert.ok(metrics.includes(`sailring_cluster_state_info{digest="${digest}"} 1`));

    // One by SIGKILL: what was answered is on the disk.
    await endPeerProcess(two, 'SIGKILL');
    await Promise.all([endPeerProcess(one), endPeerProcess(three)]);
    const again = await startAll(t, data, names);
    for (const peer of again) assert.equal(await digestOf(peer), digest);
    await until(again, isEverywhere);
    const { entries } = (await ask(again[2]!, '/state')).body;
    assert.deepEqual(
      (entries as { key: string; author: string }[]).map(({ key, author }) => [key, author]),
      [
        ['instance/peer-3', 'peer-1'],
        ['policy', 'peer-3'],
        ['rules', 'peer-2'],
      ],
    );
    assert.deepEqual((await ask(again[0]!, '/policy')).body, {
      policy: { algorithm: 'round-robin' },
    });
  });

  it('drains, disables and enables an instance from any peer', async (t) => {
    const peers = await startAll(t, folderOf(t), ['peer-1', 'peer-2', 'peer-3']);
    const set = async (at: number, body: object): Promise<void> => {
      const path = '/instances/peer-2';
      assert.equal((await ask(peers[at]!, path, 'PUT', JSON.stringify(body))).status, 200);
    };
    const isOnRing = ({ ring }: Status): boolean =>
      ring.members.some(({ name }) => name === 'peer-2');
    await until(peers, isOnRing);
    await set(0, { status: 'draining' });
    await until(peers, (status) => !isOnRing(status));
    await until([peers[1]!], ({ state }) => state === 'draining');
    await set(2, { status: 'disabled', quiesceMs: 0 });
    await until([peers[1]!], ({ state }) => state === 'disabled');
    await set(1, { status: 'enabled' });
    await until(peers, isOnRing);
    await until([peers[1]!], ({ state }) => state === 'ready');
  });

  it('is known to a peer that was away, with or without a folder, before it is ready', async (t) => {
    const data = folderOf(t);
    const [one, away] = (await startAll(t, data, ['peer-1', 'away'])) as [PeerProcess, PeerProcess];
    await ask(one, '/policy', 'PUT', '{"algorithm":"round-robin"}');
    const before = await digestOf(one);
    await until([away], ({ clusterState }) => clusterState.digest === before);
    await endPeerProcess(away);
    assert.equal((await ask(one, '/rules', 'PUT', conference)).status, 200);
    await ask(one, '/policy', 'DELETE');
    const digest = await digestOf(one);
    assert.notEqual(digest, before);
    for (const dataDir of [{ dataDir: join(data, 'away') }, {}]) {
      const back = await startPeerProcess(t, 'away', {
        application: { kind: 'embedded', module: 'demo' },
        gossip: { listen: anyPort, seeds: [one.gossip] },
        log: { level: 'silent' },
        ...dataDir,
      });
      // It has said that it is ready, and nothing is waited for.
      const status = await statusOf(back);
      assert.deepEqual([status.clusterState.digest, status.rules.source], [digest, 'cluster']);
      assert.deepEqual((await ask(back, '/policy')).body, { policy: {} });
      await endPeerProcess(back);
    }
  });

  it('is recovered from the others where its file was damaged, which is kept and counted', async (t) => {
    const data = folderOf(t);
    const [one, two] = (await startAll(t, data, ['peer-1', 'peer-2'])) as [
      PeerProcess,
      PeerProcess,
    ];
    await ask(one, '/rules', 'PUT', conference);
    const digest = await digestOf(one);
    await until([two], ({ clusterState }) => clusterState.digest === digest);
    await endPeerProcess(two);
    const file = join(data, 'peer-2', 'cluster-state');
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.subarray(0, bytes.length / 2));
    const config = {
      application: { kind: 'embedded', module: 'demo' },
      gossip: { listen: anyPort, seeds: [one.gossip] },
      dataDir: join(data, 'peer-2'),
      log: { level: 'silent' },
    };
    const back = await startPeerProcess(t, 'peer-2', config);
    const status = await statusOf(back);
    assert.equal(status.clusterState.digest, digest);
    assert.equal(status.counters['state_files']?.['checksum'], 1);
    assert.ok(existsSync(`${file}.bad-1`));
    await endPeerProcess(back);
    // What was recovered is on its disk again.
    assert.deepEqual(readFileSync(file), bytes);
  });

  it('is not kept in the folder of another peer: that is told at the start', async (t) => {
    const data = folderOf(t);
    const [one] = (await startAll(t, data, ['peer-1'])) as [PeerProcess];
    const config = {
      name: 'peer-2',
      application: { kind: 'embedded', module: 'demo' },
      gossip: { listen: anyPort },
      link: { listen: anyPort },
      sip: { listeners: [{ transport: 'udp', ...anyPort }], internal: anyPort },
      admin: { listen: anyPort },
      dataDir: join(data, 'peer-1'),
      log: { level: 'silent' },
    };
    const file = join(data, 'peer-2.yaml');
    writeFileSync(file, stringify(config));
    const start = async (): Promise<string> => {
      const child = spawn(process.execPath, [main, 'start', '-c', file], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      t.after(() => child.kill());
      const [said, exit] = await Promise.all([text(child.stderr), once(child, 'exit')]);
      assert.deepEqual(exit, [1, null]);
      return said;
    };
    assert.match(await start(), /dataDir .* is in use: the process \d+ \(peer peer-1\) uses it;/);
    await endPeerProcess(one);
    assert.match(await start(), /dataDir .* belongs to peer peer-1 of cluster sailring; give each/);
  });
});

describe('rules that a running cluster is given', { timeout: 120_000 }, () => {
  it('are refused with their faults when they cannot be loaded, and nobody runs them', async (t) => {
    const peers = await startAll(t, folderOf(t), ['peer-1', 'peer-2']);
    await ask(peers[0]!, '/rules', 'PUT', conference);
    await until(peers, ({ rules }) => rules.source === 'cluster');
    const before = await statusOf(peers[0]!);
    const broken = conference.replace('<exist/>', '<exists/>');
    const refused = await ask(peers[1]!, '/rules?file=broken.xml', 'PUT', broken);
    assert.equal(refused.status, 422);
    assert.match(String((refused.body['faults'] as string[])[0]), /^broken\.xml:6:\d+: error: /);
    for (const peer of peers) {
      const { clusterState, rules } = await statusOf(peer);
      assert.deepEqual([clusterState, rules.digest], [before.clusterState, before.rules.digest]);
    }
  });

  it('are replaced under load without a failed request or call', async (t) => {
    const peers = await startAll(t, folderOf(t), ['peer-1', 'peer-2', 'peer-3']);
    const sprayer = await startSprayer(t, peers);
    await until(peers, ({ ring }) => ring.members.length === 3);
    const load = { isOver: false, requests: 0, calls: 0 };
    const visit = async (worker: number): Promise<void> => {
      while (!load.isOver) {
        const room = `ConferenceName=${worker}-${load.requests++}`;
        const answer = await fetch(`http://${sprayer.http}/?${room}`);
        await answer.arrayBuffer();
        assert.equal(answer.status, 200);
      }
    };
    const caller = await openUdpCaller(t);
    const dial = async (): Promise<void> => {
      while (!load.isOver) {
        const call = await caller.call(`room-${load.calls++}`, sprayer.sip.udp);
        assert.equal((await caller.within(call, 'BYE', sprayer.sip.udp)).status, 200);
      }
    };
    const change = async (): Promise<void> => {
      for (const [turn, rules] of [conference, callee, undefined, conference, callee].entries()) {
        const peer = peers[turn % peers.length]!;
        const method = rules === undefined ? 'DELETE' : 'PUT';
        assert.equal((await ask(peer, '/rules', method, rules)).status, 200);
        const { digest } = (await statusOf(peer)).rules;
        await until(peers, (status) => status.rules.digest === digest);
        const { requests, calls } = load;
        while (load.requests < requests + 10 || load.calls < calls + 2) await statusOf(peer);
      }
    };
    // Without rules calls for one room go everywhere; with the last ones given they meet.
    const meeting = async (): Promise<number> => {
      const calls = [];
      for (let at = 0; at < 12; at++) calls.push(await caller.call('room', sprayer.sip.udp));
      return new Set(calls.map(({ instance }) => instance)).size;
    };
    assert.ok((await meeting()) > 1);
    await Promise.all([visit(1), visit(2), dial(), change().finally(() => (load.isOver = true))]);
    assert.equal(await meeting(), 1);
  });

  it('differ from those of one peer, which is told, and not ready after the grace time', async (t) => {
    const data = folderOf(t);
    const files = { conference: join(data, 'a.xml'), callee: join(data, 'b.xml') };
    writeFileSync(files.conference, conference);
    writeFileSync(files.callee, callee);
    const cluster = { mixedRulesGraceMs: 0 };
    const same = await startAll(t, data, ['peer-1', 'peer-2'], {
      cluster,
      rules: { file: files.conference },
    });
    const [other] = (await startAll(t, data, ['peer-3'], {
      cluster,
      rules: { file: files.callee },
      gossip: { listen: anyPort, seeds: [same[0]!.gossip] },
    })) as [PeerProcess];
    const peers = [...same, other];
    await until(peers, ({ rules }) => rules.odd.join() === 'peer-3');
    const { digest } = (await statusOf(same[0]!)).rules;
    const readiness = await ask(other, '/readyz');
    const own = (await statusOf(other)).rules.digest;
    assert.deepEqual(readiness.body['reasons'], [
      `it runs other rules (${own}) than the cluster (${digest})`,
    ]);
    for (const peer of same) assert.equal((await ask(peer, '/readyz')).status, 200);
    const metrics = await (await fetch(`http://${same[1]!.admin}/metrics`)).text();
    assert.match(metrics, /^sailring_rules_odd_members 1$/m);

    // What the cluster is given goes before all files.
    await ask(other, '/rules', 'PUT', callee);
    await until(peers, ({ rules }) => rules.digest === own && rules.odd.length === 0);
    for (const peer of peers) assert.equal((await ask(peer, '/readyz')).status, 200);
    await ask(same[1]!, '/rules', 'DELETE');
    await until(peers, ({ rules }) => rules.odd.join() === 'peer-3' && rules.source === 'file');
  });
});
