import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { WebSocket, type ClientOptions } from 'ws';
import { metric } from '../support/cluster.ts';
import {
  sessionAt,
  startHttpApplication,
  startHttpPeers,
  type HttpApplication,
} from '../support/http-cluster.ts';

interface Rig {
  /** Beside the peer that the client does not enter at. */
  readonly application: HttpApplication;
  readonly cookie: string;
  /** `host:port` of the peer that the client enters at. */
  readonly door: string;
  readonly admin: string;
  readonly open: (path: string, options?: ClientOptions) => Promise<WebSocket>;
}

/** Two peers; the session is at the one, the client comes in at the other. */
async function startRig(t: TestContext): Promise<Rig> {
  const applications = await Promise.all(
    ['one', 'two'].map((name) => startHttpApplication(t, name)),
  );
  const [owner, other] = await startHttpPeers(
    t,
    applications.map(({ host, port }) => ({ host, port })),
  );
  assert.ok(owner !== undefined && other !== undefined);
  const cookie = await sessionAt(owner, '/session');
  const open = async (path: string, options: ClientOptions = {}): Promise<WebSocket> => {
    const socket = new WebSocket(`ws://${other.http}${path}`, { headers: { cookie }, ...options });
    t.after(() => {
      socket.terminate();
    });
    await once(socket, 'open');
    return socket;
  };
  const admin = `http://${other.admin}`;
  return { application: applications[0]!, cookie, door: other.http, admin, open };
}

const messages = 100_000;
/** Echoes that the client waits for at most. */
const underWayMax = 2_000;
/** Bytes; the greater ones are rare, so that all together are some 60 MB. */
const commonSizes = [0, 1, 2, 17, 125, 126, 127, 300, 700, 1_000, 1_400, 2_000];
const rareSizes = [16_000, 65_535, 65_536, 70_000];

/** A message by its number, the same each time: every third is a text. */
function message(number: number): Buffer {
  const size =
    number % 1_000 === 999
      ? rareSizes[Math.floor(number / 1_000) % rareSizes.length]!
      : commonSizes[(number * 7) % commonSizes.length]!;
  if (isText(number)) return Buffer.from(`${number} grüße `.repeat(Math.ceil(size / 20)));
  const bytes = Buffer.alloc(size, number & 0xff);
  if (size >= 4) bytes.writeUInt32BE(number);
  return bytes;
}

function isText(number: number): boolean {
  return number % 3 === 0;
}

/** Sends that many messages and compares each echo with what was sent in its place. */
async function echoed(socket: WebSocket, count: number): Promise<number> {
  let bytes = 0;
  let next = 0;
  let sent = 0;
  const send = (): void => {
    while (sent < count && sent - next < underWayMax) {
      socket.send(message(sent), { binary: !isText(sent) });
      sent += 1;
    }
  };
  await new Promise<void>((resolve, reject) => {
    socket.on('message', (data: Buffer, isBinary) => {
      if (isBinary === isText(next) || !data.equals(message(next))) {
        reject(new Error(`message ${next} came back as ${data.length} other bytes`));
        return;
      }
      bytes += data.length;
      next += 1;
      if (next === count) resolve();
      else send();
    });
    socket.on('close', (code) => {
      reject(new Error(`closed with ${code} after ${next} echoes`));
    });
    send();
  });
  return bytes;
}

describe('WebSockets through two peers', { timeout: 120_000 }, () => {
  it('are WebSockets of the application', async (t) => {
    const rig = await startRig(t);
    const echoes = `give back ${messages} messages in order, texts and bytes of all sizes`;
    await t.test(echoes, (each) => givesBack(each, rig));
    await t.test('pack their messages when both ends want to', () => packs(rig));
    await t.test('tell each end why the other one closed, and pass pings', () =>
      closesAndPings(rig),
    );
    await t.test('end with the application', () => endsWithTheApplication(rig));
  });
});

async function givesBack(t: TestContext, { open, admin }: Rig): Promise<void> {
  const socket = await open('/socket', { perMessageDeflate: false });
  const startMs = performance.now();
  const bytes = await echoed(socket, messages);
  const seconds = (performance.now() - startMs) / 1_000;
  t.diagnostic(`${messages} messages, ${(bytes / 1e6).toFixed(0)} MB in ${seconds.toFixed(1)} s`);
  assert.equal(socket.extensions, '');
  assert.equal(await metric(admin, 'sailring_http_routed_total', 'stamp'), 1);
}

async function packs({ open }: Rig): Promise<void> {
  const socket = await open('/socket', { perMessageDeflate: { threshold: 0 } });
  assert.match(socket.extensions, /permessage-deflate/);
  await echoed(socket, 2_000);
}

async function closesAndPings({ open, door, cookie, admin }: Rig): Promise<void> {
  const before = await tunnels(admin);
  const closed: string[] = [];
  const untilTold = async (): Promise<void> => {
    for (;;) {
      const told = await fetch(`http://${door}/socket/closed`, { headers: { cookie } });
      const list = (await told.json()) as string[];
      if (list.length > closed.length) {
        closed.push(...list.slice(closed.length));
        return;
      }
      await pause(10);
    }
  };

  const first = await open('/socket/commands');
  first.ping('from the client');
  assert.equal(String((await once(first, 'pong'))[0]), 'from the client');
  first.send('ping');
  assert.equal(String((await once(first, 'message'))[0]), 'pong from the application');
  first.close(4001, 'enough');
  assert.deepEqual(closeOf(await once(first, 'close')), [4001, 'enough']);
  await untilTold();

  const second = await open('/socket/commands');
  second.send('close 4002 away');
  assert.deepEqual(closeOf(await once(second, 'close')), [4002, 'away']);
  await untilTold();

  const third = await open('/socket/commands');
  third.terminate();
  await untilTold();
  assert.deepEqual(closed, ['4001 enough', '4002 away', '1006 ']);
  assert.equal((await tunnels(admin)).opened - before.opened, 3);
  while ((await tunnels(admin)).over - before.over < 3) await pause(10);
}

async function endsWithTheApplication({ open, application }: Rig): Promise<void> {
  const sockets = [await open('/socket'), await open('/socket')];
  const closes = sockets.map((socket) => once(socket, 'close'));
  application.child.kill('SIGKILL');
  for (const close of closes) assert.deepEqual(closeOf(await close), [1006, '']);
}

function closeOf([code, reason]: readonly unknown[]): [unknown, string] {
  return [code, String(reason)];
}

/** Tunnels of a peer since it started. */
async function tunnels(admin: string): Promise<{ opened: number; over: number }> {
  const count = (end: string): Promise<number> => metric(admin, 'sailring_http_tunnels_total', end);
  const ends = await Promise.all(['closed', 'idle', 'aborted', 'broken'].map(count));
  return { opened: await count('opened'), over: ends.reduce((sum, each) => sum + each, 0) };
}
