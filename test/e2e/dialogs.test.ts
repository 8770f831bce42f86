import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { freeSipPorts } from '../support/free-port.ts';
import { ringOf, startPeerProcess, type PeerProcess } from '../support/peers.ts';
import { startSipp, type SippOutcome, type SippProcess } from '../support/sipp-process.ts';
import { startDatagramSpray, type Spray } from '../support/spray.ts';
import { requireTool } from '../support/tools.ts';

const calls = 500;
const callsPerSecond = 50;
const load = ['-m', String(calls), '-r', String(callsPerSecond), '-recv_timeout', '15000'];

/** Only what begins a dialog bears the header: a CANCEL, an ACK or a PRACK cannot be hashed by it. */
const rules = `<?xml version="1.0" encoding="UTF-8"?>
<user-centric-rules>
  <sip-rules>
    <header name="X-Key" return="request.X-Key"><exist/></header>
  </sip-rules>
</user-centric-rules>
`;

const anyPort = { address: '127.0.0.1', port: 0 };

/** Peers with an application beside each, behind a per-packet sprayer; a last one has not joined yet. */
interface Rig {
  readonly spray: Spray;
  readonly peers: PeerProcess[];
  /** Ports of the applications: of all peers, then of the one that joins. */
  readonly applications: readonly number[];
  /** Where each application sends its requests: its peer. */
  readonly outlets: readonly string[];
  /** Brings the last peer in and begins to drain the first one. */
  readonly change: () => Promise<void>;
}

async function startRig(t: TestContext, applications: readonly number[]): Promise<Rig> {
  const folder = await mkdtemp(join(tmpdir(), 'sailring-rules-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'rules.xml');
  await writeFile(file, rules);
  const spray = await startDatagramSpray(t);
  const internal = await freeSipPorts(applications.length);
  const peers: PeerProcess[] = [];
  const start = async (): Promise<PeerProcess> => {
    const at = peers.length;
    const peer = await startPeerProcess(t, `peer-${at + 1}`, {
      gossip: { listen: anyPort, seeds: peers.slice(0, 1).map(({ gossip }) => gossip) },
      sip: {
        publicAddress: spray.address,
        listeners: [
          { transport: 'udp', ...anyPort },
          { transport: 'tcp', ...anyPort },
        ],
        internal: { address: '127.0.0.1', port: internal[at] },
      },
      http: { listeners: [] },
      rules: { file },
      application: {
        kind: 'upstream',
        sip: { host: '127.0.0.1', port: applications[at], transport: 'udp' },
      },
    });
    peers.push(peer);
    return peer;
  };
  const admins = (): string[] => peers.map(({ admin }) => admin);
  while (peers.length < applications.length - 1) spray.add((await start()).sip.udp);
  await ringOf(admins(), peers.length);
  return {
    spray,
    peers,
    applications,
    outlets: internal.map((port) => `127.0.0.1:${port}`),
    change: async () => {
      const joiner = await start();
      await ringOf(admins(), peers.length);
      spray.add(joiner.sip.udp);
      await fetch(`http://${admins()[0]!}/drain`, { method: 'POST' });
      await ringOf(admins(), peers.length - 1);
    },
  };
}

/** Requests that peers took in so far. */
async function requests(peers: readonly PeerProcess[]): Promise<number> {
  let total = 0;
  for (const { admin } of peers) {
    const page = await (await fetch(`http://${admin}/metrics`)).text();
    for (const [, count] of page.matchAll(/^sailring_sip_requests_total\{.*\} (\d+)$/gm))
      total += Number(count);
  }
  return total;
}

/** Changes the cluster after a fifth of the calls, and wants it done before the last call. */
async function changeUnder(rig: Rig, callers: readonly SippProcess[]): Promise<void> {
  const before = await requests(rig.peers);
  const isOver = (): boolean => callers.every((caller) => caller.hasEnded());
  while (!isOver() && (await requests(rig.peers)) - before < calls / 5);
  await rig.change();
  assert.ok(!isOver(), 'the load ended before the cluster had changed');
}

/** Starts one application of `scenario` beside each of four peers, changes the cluster under load. */
async function play(
  t: TestContext,
  callee: string,
  caller: string,
): Promise<{ callees: readonly SippOutcome[]; caller: SippProcess }> {
  const callees: SippProcess[] = [];
  for (let at = 0; at < 4; at++) callees.push(await startSipp(t, { scenario: callee }));
  const rig = await startRig(
    t,
    callees.map(({ port }) => port),
  );
  const process = await startSipp(t, {
    scenario: caller,
    target: rig.spray.address,
    args: load,
    logMessages: true,
  });
  await changeUnder(rig, [process]);
  const made = await process.done;
  const taken = await Promise.all(callees.map((each) => each.finish()));
  const words = [made, ...taken].map(({ complaints }) => complaints).join('\n');
  assert.deepEqual(clean(made), { successful: calls, ...none }, words);
  assert.deepEqual(clean(sum(taken)), { successful: calls, ...none }, words);
  for (const [at, { calls: share }] of taken.entries())
    assert.ok(share > 0, `instance ${at + 1} got no call`);
  return { callees: taken, caller: process };
}

const none = { failed: 0, retransmissions: 0, strays: 0, late: 0 };

function clean({ successful, failed, retransmissions, strays, late }: SippOutcome): object {
  return { successful, failed, retransmissions, strays, late };
}

function sum(all: readonly SippOutcome[]): SippOutcome {
  return all.reduce((total, each) => ({
    ...total,
    calls: total.calls + each.calls,
    successful: total.successful + each.successful,
    failed: total.failed + each.failed,
    retransmissions: total.retransmissions + each.retransmissions,
    strays: total.strays + each.strays,
    late: total.late + each.late,
  }));
}

describe(
  `${calls} calls, keyed by a private header, while one peer joins and one drains`,
  { timeout: 300_000 },
  () => {
    it('cancelled after 180: each CANCEL and ACK meets its INVITE', async (t) => {
      if (!requireTool('sipp', t)) return;
      const { caller } = await play(t, 'cancelled-callee', 'cancelled');
      const finals = new Map<string, number>();
      for (const { received } of await caller.logged())
        for (const answer of received.filter((each) => !/ 1\d\d$/.test(each)))
          finals.set(answer, (finals.get(answer) ?? 0) + 1);
      assert.deepEqual(
        finals,
        new Map([
          ['CANCEL 200', calls],
          ['INVITE 487', calls],
        ]),
      );
    });

    it('refused: each ACK meets the 486, which never comes again', async (t) => {
      if (!requireTool('sipp', t)) return;
      await play(t, 'refused-callee', 'refused');
    });

    it('PRACK, INFO, UPDATE, re-INVITE and BYE', async (t) => {
      if (!requireTool('sipp', t)) return;
      await play(t, 'dialog-callee', 'dialog');
    });

    it('subscriptions: the application tells the subscriber', async (t) => {
      if (!requireTool('sipp', t)) return;
      await play(t, 'notifier', 'subscriber');
    });

    it('calls of the application, hung up by the other side', async (t) => {
      if (!requireTool('sipp', t)) return;
      const applications = await freeSipPorts(4);
      const rig = await startRig(t, applications);
      // Whatever the friend sends goes to the sprayer, not to the peer that called.
      const friend = await startSipp(t, { scenario: 'friend', args: ['-rsa', rig.spray.address] });
      const callers = [];
      for (const at of [0, 1, 2]) {
        callers.push(
          await startSipp(t, {
            scenario: 'application-caller',
            target: rig.outlets[at]!,
            port: applications[at]!,
            args: [
              ...['-m', String(share(at)), '-r', String(Math.ceil(callsPerSecond / 3))],
              ...['-recv_timeout', '15000', '-key', 'callee', `127.0.0.1:${friend.port}`],
            ],
          }),
        );
      }
      await changeUnder(rig, callers);
      const made = await Promise.all(callers.map(({ done }) => done));
      const taken = await friend.finish();
      const words = [...made, taken].map(({ complaints }) => complaints).join('\n');
      assert.deepEqual(clean(sum(made)), { successful: calls, ...none }, words);
      assert.deepEqual(clean(taken), { successful: calls, ...none }, words);
    });
  },
);

/** Calls of one of three applications. */
function share(at: number): number {
  return Math.floor((calls + at) / 3);
}
