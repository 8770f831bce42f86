import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { makeCertificate } from '../support/certificate.ts';
import { freeSipPorts } from '../support/free-port.ts';
import { startKamailio } from '../support/kamailio.ts';
import { ringOf, startPeerProcess, type PeerProcess } from '../support/peers.ts';
import { startSipp } from '../support/sipp-process.ts';
import { startDatagramSpray, startStreamSpray, type Spray } from '../support/spray.ts';
import { requireTool, type ToolName } from '../support/tools.ts';
import { openWebPhones } from '../support/web-phone.ts';

/** A user's registration and the calls to him meet at one instance, which is his registrar. */
const rules = `<?xml version="1.0" encoding="UTF-8"?>
<user-centric-rules>
  <sip-rules>
    <header name="To" return="request.to.uri.user"><exist/></header>
  </sip-rules>
</user-centric-rules>
`;

const host = '127.0.0.1';
const anyPort = { address: host, port: 0 };

interface Rig {
  /** What browsers connect to. */
  readonly web: Spray;
  readonly peers: readonly { readonly udp: string; readonly wss: string }[];
  /** What callers send to; it has no peers yet. */
  readonly calls: Spray;
}

/** Three peers, each with a Kamailio as its registrar, behind a sprayer of TCP and one of UDP. */
async function startRig(t: TestContext): Promise<Rig> {
  const folder = await mkdtemp(join(tmpdir(), 'sailring-browser-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'rules.xml');
  await writeFile(file, rules);
  const tls = await makeCertificate(folder, 'cluster');
  const [web, calls] = [await startStreamSpray(t), await startDatagramSpray(t)];
  const processes: PeerProcess[] = [];
  const peers: { udp: string; wss: string }[] = [];
  for (let at = 0; at < 3; at++) {
    const [wssPort, internal, kamailio] = (await freeSipPorts(3)) as [number, number, number];
    const peer = await startPeerProcess(t, `peer-${at + 1}`, {
      gossip: { listen: anyPort, seeds: processes.slice(0, 1).map(({ gossip }) => gossip) },
      sip: {
        publicAddress: calls.address,
        listeners: [
          { transport: 'udp', ...anyPort },
          { transport: 'wss', address: host, port: wssPort, advertise: web.address, tls },
        ],
        internal: { address: host, port: internal },
      },
      http: { listeners: [] },
      rules: { file },
      application: { kind: 'upstream', sip: { host, port: kamailio, transport: 'udp' } },
    });
    await startKamailio(t, kamailio, `${host}:${internal}`);
    processes.push(peer);
    peers.push({ udp: peer.sip.udp, wss: `${host}:${wssPort}` });
  }
  const admins = processes.map(({ admin }) => admin);
  await ringOf(admins, peers.length);
  for (const { wss } of peers) web.add(wss);
  return { web, peers, calls };
}

const tools: readonly ToolName[] = ['chromium', 'kamailio', 'openssl', 'sipp'];

describe('JsSIP in Chromium', { timeout: 120_000 }, () => {
  it('registers over WSS at one peer and is called through the others; either side hangs up', async (t) => {
    if (!tools.every((tool) => requireTool(tool, t))) return;
    const rig = await startRig(t);
    const phones = await openWebPhones(t);
    const holders = new Set<string | undefined>();
    for (const user of ['alice', 'bob', 'carol']) {
      await phones.register(user, `wss://${rig.web.address}`);
      const holder = rig.web.last();
      holders.add(holder);
      const others = rig.peers.filter(({ wss }) => wss !== holder);
      assert.equal(others.length, 2);
      for (const { udp } of others) rig.calls.add(udp);

      const call = async (scenario: string): Promise<() => Promise<void>> => {
        const target = rig.calls.address;
        const args = ['-m', '1', '-key', 'user', user, '-recv_timeout', '10000'];
        const desk = await startSipp(t, { scenario, target, args });
        await phones.hear(`${user} confirmed remote`);
        return async () => {
          const { exitCode, failed, retransmissions, strays, complaints } = await desk.done;
          assert.deepEqual([exitCode, failed, retransmissions, strays], [0, 0, 0, 0], complaints);
        };
      };
      const hungUp = await call('desk-hangs-up');
      await phones.hear(`${user} ended remote Terminated`);
      await hungUp();

      const waited = await call('desk-waits');
      await phones.hangUp(user);
      await phones.hear(`${user} ended local Terminated`);
      await waited();
      for (const { udp } of others) rig.calls.remove(udp);
    }
    // The sprayer gave each browser's connection to another peer.
    assert.equal(holders.size, 3);
    assert.deepEqual(phones.unheard, []);
  });
});
