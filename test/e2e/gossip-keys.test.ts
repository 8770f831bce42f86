import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { runProgram } from '../../src/cli/program.ts';
import { endPeerProcess, ringOf, startPeerProcess, type PeerProcess } from '../support/peers.ts';

const anyPort = { address: '127.0.0.1', port: 0 };
const oldKey = Buffer.alloc(32, 1).toString('base64');
const newKey = Buffer.alloc(32, 2).toString('base64');

async function keys(peer: PeerProcess, ...args: readonly string[]): Promise<string> {
  const written: string[] = [];
  const exitCode = await runProgram(['keys', ...args, '--admin', `http://${peer.admin}`], {
    out: (text) => void written.push(text),
    err: (text) => void written.push(text),
    readStdin: () => Promise.resolve(Buffer.alloc(0)),
  });
  assert.equal(exitCode, 0, written.join(''));
  return written.join('');
}

/** The ids that each member has, the one that encrypts first. */
async function idsOf(peer: PeerProcess): Promise<Readonly<Record<string, readonly string[]>>> {
  const { members } = JSON.parse(await keys(peer, 'list', '--json')) as {
    members: readonly { member: string; keys: readonly string[] }[];
  };
  return Object.fromEntries(members.map((one) => [one.member, one.keys]));
}

describe('sailring keys', { timeout: 120_000 }, () => {
  it('changes the key of a running cluster through any peer, and old peers are strangers then', async (t) => {
    const peers: PeerProcess[] = [];
    for (const name of ['one', 'two', 'three']) {
      const seeds = peers.slice(0, 1).map(({ gossip }) => gossip);
      peers.push(
        await startPeerProcess(t, name, {
          gossip: { listen: anyPort, seeds, keys: [oldKey] },
          application: { kind: 'embedded', module: 'demo' },
        }),
      );
    }
    const admins = peers.map(({ admin }) => admin);
    await ringOf(admins, 3);
    const [one, two, three] = peers as [PeerProcess, PeerProcess, PeerProcess];
    const folder = mkdtempSync(join(tmpdir(), 'sailring-keys-'));
    t.after(() => {
      rmSync(folder, { recursive: true });
    });
    writeFileSync(join(folder, 'new.key'), `${newKey}\n`);
    const before = (await idsOf(one))['one']![0]!;

    assert.match(await keys(two, 'install', join(folder, 'new.key')), /: done by 3\n$/u);
    const after = (await idsOf(three))['one']![1]!;
    assert.match(await keys(three, 'use', after), /: done by 3\n$/u);
    assert.match(await keys(one, 'remove', before), /: done by 3\n$/u);

    assert.deepEqual(await idsOf(two), { one: [after], two: [after], three: [after] });
    await ringOf(admins, 3);
    const late = await startPeerProcess(t, 'late', {
      gossip: { listen: anyPort, seeds: [one.gossip], keys: [oldKey] },
      application: { kind: 'embedded', module: 'demo' },
    });
    const fresh = await startPeerProcess(t, 'fresh', {
      gossip: { listen: anyPort, seeds: [one.gossip], keys: [newKey] },
      application: { kind: 'embedded', module: 'demo' },
    });
    await ringOf([...admins, fresh.admin], 4);
    await ringOf([late.admin], 1);
    const metrics = await (await fetch(`http://${one.admin}/metrics`)).text();
    assert.match(metrics, /gossip_drops\w*\{[^}]*reason="wrong-key"[^}]*\} [1-9]/u);
  });

  it('lasts over a crash of a peer with dataDir, whose configuration has the old key alone', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sailring-keys-'));
    t.after(() => {
      rmSync(folder, { recursive: true });
    });
    const start = (name: string, ...seeds: readonly string[]): Promise<PeerProcess> =>
      startPeerProcess(t, name, {
        gossip: { listen: anyPort, seeds, keys: [oldKey] },
        application: { kind: 'embedded', module: 'demo' },
        dataDir: join(folder, name),
      });
    const one = await start('one');
    const two = await start('two', one.gossip);
    await ringOf([one.admin, two.admin], 2);
    writeFileSync(join(folder, 'new.key'), `${newKey}\n`);
    const before = (await idsOf(one))['one']![0]!;
    await keys(one, 'install', join(folder, 'new.key'));
    const after = (await idsOf(one))['one']![1]!;
    await keys(one, 'use', after);
    await keys(one, 'remove', before);
    await endPeerProcess(two, 'SIGKILL');

    const again = await start('two', one.gossip);
    await ringOf([one.admin, again.admin], 2);
    assert.deepEqual(await idsOf(again), { one: [after], two: [after] });
  });
});
