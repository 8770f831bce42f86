import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, type AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { metric, stop } from '../support/cluster.ts';
import { freeTcpPort, freeUdpPort } from '../support/free-port.ts';
import { startPeerProcess } from '../support/peers.ts';
import { openUdpCaller } from '../support/sip-caller.ts';
import { request } from '../support/sip-text.ts';
import { stopAgents, Watched } from '../support/watched-agent.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const address = '127.0.0.1';

/** Asks until the peer answers. */
async function untilAlive(admin: string): Promise<void> {
  for (;;) {
    const answer = await fetch(`${admin}/livez`).catch(() => undefined);
    if (answer?.ok === true) return;
  }
}

describe('a peer that waits for others', { timeout: 60_000 }, () => {
  it('is alive but not ready, drops SIP for a retransmission to find it, and ends at a signal', async (t) => {
    const [sipPort, adminPort, seedPort] = [
      await freeUdpPort(),
      await freeTcpPort(),
      await freeTcpPort(),
    ];
    const folder = await mkdtemp(join(tmpdir(), 'sailring-joining-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, 'peer.yaml');
    const config = {
      name: 'waiting',
      gossip: {
        listen: { address, port: 0 },
        seeds: [`${address}:${seedPort}`],
        allowAlone: false,
      },
      link: { listen: { address, port: 0 } },
      stamps: { keys: [{ id: 'test', secret: 'a secret of the tests alone' }] },
      sip: { listeners: [{ transport: 'udp', address, port: sipPort }] },
      application: { kind: 'embedded', module: 'demo' },
      admin: { listen: { address, port: adminPort } },
      log: { level: 'error' },
    };
    await writeFile(file, stringify(config));
    const child = spawn(process.execPath, [main, 'start', '-c', file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => stop(child));
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const admin = `http://${address}:${adminPort}`;
    await untilAlive(admin);
    assert.equal((await fetch(`${admin}/readyz`)).status, 503);

    const client = createSocket('udp4');
    t.after(() => client.close());
    client.on('message', (answer) => assert.fail(`answered: ${answer.toString()}`));
    const drops = (): Promise<number> => metric(admin, 'sailring_sip_drops_total', 'not-serving');
    while ((await drops()) === 0) client.send(request({ method: 'OPTIONS' }), sipPort, address);

    assert.ok((await fetch(`${admin}/drain`, { method: 'POST' })).ok);
    const status = (await (await fetch(`${admin}/status`)).json()) as { state: string };
    assert.equal(status.state, 'draining');
    const before = await drops();
    while ((await drops()) === before)
      client.send(request({ method: 'OPTIONS' }), sipPort, address);
    // Whatever was decided now would lose against what the cluster knows already.
    const change = { method: 'PUT', body: '{"status":"draining"}' };
    assert.equal((await fetch(`${admin}/instances/waiting`, change)).status, 503);

    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    assert.deepEqual(await gone, [0, null]);
    assert.equal(said, '');
  });

  for (const [how, end] of [
    ['a signal', (child: ChildProcess) => child.kill('SIGTERM')],
    ['the end of its parent', (child: ChildProcess) => child.stdin?.end()],
  ] as const) {
    it(`tells whom it has met that it goes when ${how} ends it`, async (t) => {
      t.after(stopAgents);
      // An observer is no peer, so the one under test waits for one for ever.
      const observer = new Watched('observer');
      await observer.agent.start();
      const folder = await mkdtemp(join(tmpdir(), 'sailring-joining-'));
      t.after(() => rm(folder, { recursive: true, force: true }));
      const file = join(folder, 'peer.yaml');
      const listen = { address, port: 0 };
      const config = {
        name: 'waiting',
        cluster: { name: 'test' },
        gossip: { listen, seeds: [observer.seed], allowAlone: false },
        link: { listen },
        stamps: { keys: [{ id: 'test', secret: 'a secret of the tests alone' }] },
        sip: { listeners: [{ transport: 'udp', ...listen }], internal: listen },
        application: { kind: 'embedded', module: 'demo' },
        admin: { listen },
        log: { level: 'error' },
      };
      await writeFile(file, stringify(config));
      const child = spawn(process.execPath, [main, 'start', '-c', file, '--exit-with-parent'], {
        stdio: ['pipe', 'inherit', 'inherit'],
      });
      t.after(() => stop(child));
      await observer.sees('waiting', 'alive');
      const gone = once(child, 'exit');
      end(child);
      assert.deepEqual(await gone, [0, null]);
      await observer.until(() => observer.member('waiting')?.state !== 'alive');
      assert.equal(observer.member('waiting')?.state, 'left');
    });
  }

  it('is not ready before its links are up, so that no call of another peer is turned away', async (t) => {
    const [linkPort, adminPort] = [await freeTcpPort(), await freeTcpPort()];
    const cable = await heldRelay(t, linkPort);
    const application = { kind: 'embedded', module: 'demo' };
    const first = await startPeerProcess(t, 'first', {
      link: { listen: { address, port: linkPort }, advertise: cable.address },
      application,
    });
    const admin = `http://${address}:${adminPort}`;
    let isReady = false;
    const second = startPeerProcess(t, 'second', {
      gossip: { listen: { address, port: 0 }, seeds: [first.gossip] },
      admin: { listen: { address, port: adminPort } },
      application,
    }).then((peer) => {
      isReady = true;
      return peer;
    });
    await untilAlive(admin);
    while ((await livingOf(admin)) < 2);
    assert.equal(isReady, false);
    cable.release();

    const { sip } = await second;
    const caller = await openUdpCaller(t);
    const instances = new Set<string>();
    for (let at = 0; at < 20; at++) {
      instances.add((await caller.call(`user-${at}`, sip.udp)).instance);
    }
    assert.deepEqual([...instances].sort(), ['first', 'second']);
    assert.equal(await metric(admin, 'sailring_link_sip_drops_total', 'not_up'), 0);
  });
});

async function livingOf(admin: string): Promise<number> {
  const status = (await (await fetch(`${admin}/status`)).json()) as {
    members: readonly { state: string }[];
  };
  return status.members.filter(({ state }) => state === 'alive').length;
}

/** A TCP relay to a port that takes connections and passes nothing on until it is told to. */
async function heldRelay(
  t: TestContext,
  port: number,
): Promise<{ address: string; release: () => void }> {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const server = createServer((near) => {
    const far = connect(port, address);
    t.after(() => near.destroy());
    t.after(() => far.destroy());
    near.on('error', () => far.destroy());
    far.on('error', () => near.destroy());
    void released.then(() => near.pipe(far).pipe(near));
  });
  t.after(() => server.close());
  server.listen(0, address);
  await once(server, 'listening');
  return { address: `${address}:${(server.address() as AddressInfo).port}`, release };
}
