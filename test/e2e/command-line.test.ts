import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { randomInt } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { describe, it, type TestContext } from 'node:test';
import { clusterPorts, wantedPorts } from '../../src/cli/cluster-ports.ts';
import { findOccupied } from '../../src/cli/free-ports.ts';
import { Child } from '../cli/child.ts';
import { metric, startCluster, type ClusterAddresses } from '../support/cluster.ts';
import { request } from '../support/sip-text.ts';

/** A base port with room for a whole cluster, below the ports that the system gives away. */
async function freeBasePort(peers: number): Promise<number> {
  for (;;) {
    const base = randomInt(27_000, 30_000);
    const wanted = wantedPorts(clusterPorts(peers, base));
    if ((await findOccupied(wanted, '127.0.0.1')) === undefined) return base;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function client(t: TestContext): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.after(() => socket.close());
  return socket;
}

/** Sends a request and gives the answer. */
async function ask(socket: Socket, target: string, message: Buffer): Promise<string> {
  const [host, port] = target.split(':');
  const answered = once(socket, 'message') as Promise<[Buffer]>;
  socket.send(message, Number(port), host);
  return (await answered)[0].toString();
}

describe('sailring cluster, as a user runs it', { timeout: 60_000 }, () => {
  it('keeps a client at one peer with --sprayer flow; SIGINT ends all of it with 0', async (t) => {
    const base = String(await freeBasePort(3));
    const options = ['--json', '--sprayer', 'flow', '--base-port', base];
    const child = new Child(t, ['cluster', ...options]);
    const line = await child.firstLine;
    assert.ok(line !== undefined, child.err);
    const { sip, peers } = JSON.parse(line) as ClusterAddresses;
    const asked = 12;
    for (let clients = 0; clients < 3; clients++) {
      const socket = await client(t);
      const counts = (): Promise<number[]> =>
        Promise.all(
          peers.map(({ admin }) => metric(admin, 'sailring_sip_requests_total', 'fallback')),
        );
      const before = await counts();
      for (let turn = 0; turn < asked; turn++) {
        const callId = `flow-${clients}-${turn}`;
        const answer = await ask(socket, sip.udp, request({ method: 'OPTIONS', callId }));
        assert.match(answer, /^SIP\/2\.0 200 /);
      }
      const grown = (await counts()).map((count, at) => count - before[at]!);
      assert.deepEqual(grown.toSorted(), [0, 0, asked].toSorted());
    }
    child.process.kill('SIGINT');
    assert.deepEqual(await child.closed, { code: 0, signal: null });
    assert.deepEqual(
      peers.filter(({ pid }) => isRunning(pid)),
      [],
    );
  });

  it('serves with one peer alone', async (t) => {
    const base = String(await freeBasePort(1));
    const child = new Child(t, ['cluster', '--json', '--peers', '1', '--base-port', base]);
    const line = await child.firstLine;
    assert.ok(line !== undefined, child.err);
    const { sip, http, peers } = JSON.parse(line) as ClusterAddresses;
    assert.equal(peers.length, 1);
    const answer = await ask(await client(t), sip.udp, request({ method: 'OPTIONS' }));
    assert.match(answer, /^SIP\/2\.0 200 OK[^]*\r\nX-Served-By: peer-1\r\n/);
    const page = await fetch(`${http}/conference?ConferenceName=42`);
    assert.equal(page.headers.get('x-served-by'), 'peer-1');
    child.process.kill('SIGINT');
    assert.deepEqual(await child.closed, { code: 0, signal: null });
    assert.deepEqual(
      peers.filter(({ pid }) => isRunning(pid)),
      [],
    );
  });
});

describe('sailring dcr explain', { timeout: 60_000 }, () => {
  const rules = fileURLToPath(new URL('../../dcr-examples/conference.xml', import.meta.url));

  async function explain(t: TestContext, message: Buffer | string) {
    const child = new Child(t, ['dcr', 'explain', rules, '--json']);
    child.process.stdin.end(message);
    assert.deepEqual(await child.closed, { code: 0, signal: null });
    assert.equal(child.err, '');
    return JSON.parse(child.out) as { key: string | null; source: string; digest: string };
  }

  it('says the key that the running cluster stamps, for SIP and HTTP', async (t) => {
    const cluster = await startCluster(t);
    const target = '/conference?ConferenceName=42';
    const page = await fetch(`${cluster.http}${target}`);
    const cookie = page.headers.getSetCookie().find((line) => line.startsWith('BEKEY='));
    const ofPage = await explain(t, `GET ${target} HTTP/1.1\r\nHost: example.com\r\n\r\n`);
    assert.equal(ofPage.key, '42');
    assert.equal(/^BEKEY=([^.]+)\./.exec(cookie ?? '')?.[1], ofPage.digest);

    const socket = await client(t);
    const conference = request({
      uri: 'sip:ring@example.com',
      extra: ['ConferenceName: 42', 'Contact: <sip:bob@127.0.0.1>'],
    });
    const ofCall = await explain(t, conference);
    assert.deepEqual([ofCall.key, ofCall.digest], ['42', ofPage.digest]);
    assert.equal(stampedKey(await ask(socket, cluster.sip.udp, conference)), ofPage.digest);

    const plain = request({
      uri: 'sip:ring@example.com',
      callId: 'plain@client',
      via: ['SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bKplain;rport'],
      extra: ['Contact: <sip:bob@127.0.0.1>'],
    });
    const ofPlain = await explain(t, plain);
    assert.deepEqual([ofPlain.key, ofPlain.source], [null, 'fallback']);
    assert.equal(stampedKey(await ask(socket, cluster.sip.udp, plain)), ofPlain.digest);
  });
});

function stampedKey(answer: string): string | undefined {
  assert.match(answer, /^SIP\/2\.0 180 /);
  return /^Record-Route: .*;bekey=([^;]+);/m.exec(answer)?.[1];
}
