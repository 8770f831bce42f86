import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { ClusterAddresses } from '../../src/cli/cluster-text.ts';
import { clusterPorts, wantedPorts } from '../../src/cli/cluster-ports.ts';
import { findOccupied } from '../../src/cli/free-ports.ts';
import { Child } from './child.ts';

const folder = mkdtempSync(join(tmpdir(), 'sailring-test-'));
after(() => {
  rmSync(folder, { recursive: true });
});

/** A base port with room for a whole cluster, below the ports that the system gives away. */
async function freeBasePort(peers: number): Promise<number> {
  for (;;) {
    const base = randomInt(10_000, 30_000);
    const wanted = wantedPorts(clusterPorts(peers, base));
    if ((await findOccupied(wanted, '127.0.0.1')) === undefined) return base;
  }
}

async function startCluster(t: TestContext, peers: number, base: number, ...args: string[]) {
  const options = ['--peers', String(peers), '--base-port', String(base), ...args];
  const child = new Child(t, ['cluster', ...options], { TMPDIR: folder });
  const line = await child.firstLine;
  assert.notEqual(line, undefined, child.err);
  return { child, line: line ?? '' };
}

async function askSip(address: string, text: string): Promise<string> {
  const socket = createSocket('udp4');
  socket.send(text, Number(address.split(':')[1]), '127.0.0.1');
  const [answer] = (await once(socket, 'message')) as [Buffer];
  socket.close();
  return answer.toString();
}

function options(host: string): string {
  return [
    `OPTIONS sip:anyone@${host} SIP/2.0`,
    'Via: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bKtest',
    'Max-Forwards: 70',
    'From: <sip:test@127.0.0.1>;tag=1',
    `To: <sip:anyone@${host}>`,
    'Call-ID: test',
    'CSeq: 1 OPTIONS',
    'Content-Length: 0',
    '\r\n',
  ].join('\r\n');
}

describe('sailring cluster', () => {
  it('serves SIP and HTTP, survives a peer, and leaves nothing behind', async (t) => {
    const base = await freeBasePort(2);
    const { child, line } = await startCluster(t, 2, base, '--json');
    const cluster = JSON.parse(line) as ClusterAddresses;
    const at = (offset: number): string => `127.0.0.1:${base + offset}`;
    assert.deepEqual(cluster, {
      sip: { udp: at(0), tcp: at(0) },
      http: `http://${at(1)}`,
      peers: [1, 2].map((number) => ({
        name: `peer-${number}`,
        pid: cluster.peers[number - 1]?.pid,
        sip: at(10 * number),
        http: `http://${at(10 * number + 2)}`,
        admin: `http://${at(10 * number + 3)}`,
        gossip: at(10 * number + 4),
        link: at(10 * number + 5),
      })),
    });
    assert.match(await askSip(cluster.sip.udp, options(cluster.sip.udp)), /^SIP\/2\.0 200 /u);
    const page = `${cluster.http}/conference?ConferenceName=42`;
    const seen = new Set<string>();
    for (let turn = 0; turn < 4; turn++) {
      const response = await fetch(page, { headers: { accept: 'application/json' } });
      seen.add(((await response.json()) as { instance: string }).instance);
    }
    assert.equal(seen.size, 1, 'one conference is served by one instance');

    const [victim, survivor] = cluster.peers;
    process.kill(victim!.pid, 'SIGKILL');
    await child.complains(/peer-1 \(pid \d+\) was ended by SIGKILL; the others go on/u);
    assert.equal((await fetch(`${survivor!.admin}/livez`)).status, 200);
    assert.equal(readdirSync(folder).length, 1);

    child.process.kill('SIGINT');
    assert.deepEqual(await child.closed, { code: 0, signal: null });
    assert.deepEqual(readdirSync(folder), []);
    const wanted = wantedPorts(clusterPorts(2, base));
    assert.equal(await findOccupied(wanted, '127.0.0.1'), undefined);
  });

  it('prints commands to try; its peers end when it is killed', async (t) => {
    const base = await freeBasePort(1);
    const { child, line } = await startCluster(t, 1, base, '--sprayer', 'flow');
    assert.equal(line, 'sailring cluster ready: 1 peer behind a flow sprayer');
    while (!child.out.includes('Ctrl-C')) await once(child.process.stdout, 'data');
    assert.match(
      child.out,
      new RegExp(`curl .*http://127\\.0\\.0\\.1:${base + 1}/conference`, 'u'),
    );
    assert.match(child.out, / dcr explain .*conference\.xml/u);
    child.process.kill('SIGKILL');
    // The peer holds the same standard error, so this resolves when the peer is gone too.
    assert.deepEqual(await child.closed, { code: null, signal: 'SIGKILL' });
    const wanted = wantedPorts(clusterPorts(1, base));
    assert.equal(await findOccupied(wanted, '127.0.0.1'), undefined);
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
  });

  it('names an occupied port and starts nothing', async (t) => {
    const base = await freeBasePort(3);
    const taken = createServer().listen(base + 25, '127.0.0.1');
    await once(taken, 'listening');
    t.after(() => taken.close());
    const child = new Child(t, ['cluster', '--base-port', String(base)], { TMPDIR: folder });
    assert.deepEqual(await child.closed, { code: 1, signal: null });
    assert.equal(
      child.err,
      `sailring: error: port ${base + 25} (link of peer-2) is in use or not allowed; stop what holds it or choose other ports with --base-port N\n`,
    );
    assert.equal(child.out, '');
    assert.deepEqual(readdirSync(folder), []);
  });

  it('tells faults of a rule file with line and column, once', async (t) => {
    const rules = join(folder, 'broken.xml');
    writeFileSync(rules, '<user-centric-rules>\n  <sip-rule/>\n</user-centric-rules>\n');
    t.after(() => {
      rmSync(rules);
    });
    const child = new Child(t, ['cluster', '--dcr', rules], { TMPDIR: folder });
    assert.deepEqual(await child.closed, { code: 1, signal: null });
    assert.match(child.err, /^\S*broken\.xml:2:\d+: error: /u);
    assert.deepEqual(readdirSync(folder), ['broken.xml']);
  });
});
