import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fingerprintOf, makeCertificate, replaceCertificate } from '../support/certificate.ts';
import { freeTcpPort } from '../support/free-port.ts';
import { ringOf, startPeerProcess, type PeerProcess } from '../support/peers.ts';
import { openTlsCaller, type TlsCaller } from '../support/sip-caller.ts';
import { startStreamSpray } from '../support/spray.ts';
import { requireTool } from '../support/tools.ts';

const host = '127.0.0.1';
const anyPort = { address: host, port: 0 };

/** Pace of calls and looks: the peers look at their files every few seconds, long at full speed. */
const beatMs = 200;

describe('Certificates swapped under load', { timeout: 120_000 }, () => {
  it('new connections see the new one, none of the old connections is lost', async (t) => {
    if (!requireTool('openssl', t)) return;
    const folder = await mkdtemp(join(tmpdir(), 'sailring-tls-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const tls = await makeCertificate(folder, 'old');
    const fresh = await makeCertificate(folder, 'fresh');
    const [oldPrint, freshPrint] = [await fingerprintOf(tls), await fingerprintOf(fresh)];
    const spray = await startStreamSpray(t);
    const peers: PeerProcess[] = [];
    const addresses: string[] = [];
    for (let at = 1; at <= 3; at++) {
      const port = await freeTcpPort();
      const peer = await startPeerProcess(t, `peer-${at}`, {
        gossip: { listen: anyPort, seeds: peers.slice(0, 1).map(({ gossip }) => gossip) },
        sip: {
          listeners: [
            { transport: 'udp', ...anyPort },
            { transport: 'tls', address: host, port, advertise: spray.address, tls },
          ],
        },
        http: { listeners: [] },
        application: { kind: 'embedded', module: 'demo' },
      });
      peers.push(peer);
      addresses.push(`${host}:${port}`);
      spray.add(`${host}:${port}`);
    }
    await ringOf(
      peers.map(({ admin }) => admin),
      peers.length,
    );

    const callers: TlsCaller[] = [];
    for (let at = 0; at < 12; at++) callers.push(await openTlsCaller(t, spray.address));
    for (const { fingerprint } of callers) assert.equal(fingerprint, oldPrint);
    let isOver = false;
    const loads = callers.map((each) => load(each, () => isOver));
    const beginnings = await Promise.all(loads.map(({ first }) => first));
    assert.equal(beginnings.length, callers.length);

    await replaceCertificate(tls, fresh);
    for (const address of addresses)
      while ((await seenAt(address)) !== freshPrint) await pause(beatMs);
    const newcomers: TlsCaller[] = [];
    for (let at = 0; at < 3; at++) newcomers.push(await openTlsCaller(t, spray.address));
    for (const { fingerprint, caller } of newcomers) {
      assert.equal(fingerprint, freshPrint);
      await caller.call('newcomer');
    }
    isOver = true;
    const counts = await Promise.all(loads.map(({ calls }) => calls));
    for (const [at, count] of counts.entries()) assert.ok(count >= 2, `connection ${at}: ${count}`);
    for (const { isClosed } of [...callers, ...newcomers]) assert.equal(isClosed(), false);
    t.diagnostic(`${counts.reduce((total, count) => total + count)} calls, none failed`);

    async function seenAt(address: string): Promise<string> {
      const { fingerprint, close } = await openTlsCaller(t, address);
      close();
      return fingerprint;
    }
  });
});

/** Call after call on one connection: one before it is asked whether all is over, and one after. */
function load(
  { caller }: TlsCaller,
  isOver: () => boolean,
): { first: Promise<void>; calls: Promise<number> } {
  const one = async (): Promise<void> => {
    const call = await caller.call('friend');
    for (const method of ['INVITE', 'BYE']) {
      const { status } = await caller.within(call, method);
      assert.equal(status, 200, method);
    }
  };
  const first = one();
  const rest = async (): Promise<number> => {
    await first;
    let calls = 1;
    for (let isLast = false; !isLast; calls++) {
      await pause(beatMs);
      isLast = isOver();
      await one();
    }
    return calls;
  };
  return { first, calls: rest() };
}
