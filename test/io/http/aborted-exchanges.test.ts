import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { UpstreamHttp } from '../../../src/io/application/upstream-http.ts';
import { linked, stopAll, TestPeer } from '../link/test-peer.ts';
import { exchange, RawClient, type Rig, startRig, upstreamConfig } from './http-rig.ts';
import { until } from './listener-parts.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const aborts = 10_000;
/** Clients at one time. */
const atOnce = 40;
/** Above what the clients of one time need, far below all of them. */
const most = 2 * atOnce;

/** What a client does before it goes away. */
interface Phase {
  readonly name: string;
  readonly sends: string;
  /** It waits for this from the server's side. */
  readonly until: 'nothing' | 'connected' | 'arrived' | 'answered';
}

const post = 'POST /upload HTTP/1.1\r\nHost: a\r\n';
const phases: readonly Phase[] = [
  { name: 'before a byte', sends: '', until: 'connected' },
  { name: 'in the head', sends: 'GET / HTTP/1.1\r\nHost:', until: 'connected' },
  { name: 'behind the head', sends: 'GET /wait HTTP/1.1\r\nHost: a\r\n\r\n', until: 'nothing' },
  { name: 'while it waits', sends: 'GET /wait HTTP/1.1\r\nHost: a\r\n\r\n', until: 'arrived' },
  {
    name: 'in a body',
    sends: `${post}Content-Length: 100000\r\n\r\n${'a'.repeat(20_000)}`,
    until: 'arrived',
  },
  {
    name: 'in a chunk',
    sends: `${post}Transfer-Encoding: chunked\r\n\r\nffff\r\n${'a'.repeat(100)}`,
    until: 'arrived',
  },
  {
    name: 'with requests behind',
    sends: 'GET /wait HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n',
    until: 'arrived',
  },
  { name: 'in the response', sends: 'GET /stream HTTP/1.1\r\nHost: a\r\n\r\n', until: 'answered' },
  {
    name: 'in a chunked response',
    sends: 'GET /chunks HTTP/1.1\r\nHost: a\r\n\r\n',
    until: 'answered',
  },
  { name: 'behind the response', sends: 'GET /ok HTTP/1.1\r\nHost: a\r\n\r\n', until: 'answered' },
];

/** An application that answers some paths and leaves others waiting. */
interface Origin {
  port: number;
  /** Heads that arrived. */
  arrived: number;
  readonly open: Set<Socket>;
}

async function startOrigin(t: TestContext): Promise<Origin> {
  const origin: Origin = { port: 0, arrived: 0, open: new Set() };
  const answer = (socket: Socket, path: string): void => {
    if (path === '/ok') {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    } else if (path === '/stream') {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n${'x'.repeat(5_000)}`);
    } else if (path === '/chunks') {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nxxxxx\r\n5\r\nxx');
    }
  };
  // One that keeps nothing of connections that are closed.
  const server = createServer((socket) => {
    origin.open.add(socket);
    socket.on('error', () => undefined);
    let text = '';
    let isBody = false;
    socket.on('data', (bytes) => {
      if (isBody) return;
      text += bytes.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        origin.arrived++;
        answer(socket, text.split(' ', 2)[1]!);
        isBody = text.startsWith('POST');
        text = isBody ? '' : text.slice(end + 4);
      }
    });
    socket.on('close', () => origin.open.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    for (const socket of origin.open) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  origin.port = (server.address() as AddressInfo).port;
  return origin;
}

async function goThrough(t: TestContext, rig: Rig, origin: Origin, phase: Phase): Promise<void> {
  const before = rig.counters.get('http_connections', 'accepted');
  const arrivedBefore = origin.arrived;
  const clients = Array.from({ length: atOnce }, () => new RawClient(t, rig.port));
  for (const { socket } of clients) if (phase.sends !== '') socket.write(phase.sends);
  await until(() => clients.every(({ socket }) => !socket.connecting));
  if (phase.until === 'connected') {
    await until(() => rig.counters.get('http_connections', 'accepted') - before === atOnce);
  }
  if (phase.until === 'arrived') await until(() => origin.arrived - arrivedBefore === atOnce);
  if (phase.until === 'answered') {
    await until(() => clients.every(({ text }) => /\r\n\r\n[^]/.test(text)));
  }
  // Half of them reset, half of them end.
  for (const [at, { socket }] of clients.entries()) {
    if (at % 2 === 0) socket.resetAndDestroy();
    else socket.destroy();
  }
  await until(() => rig.listener.connections === 0);
}

async function abortMany(t: TestContext, rig: Rig, origin: Origin, count: number): Promise<void> {
  for (let round = 0; round < count / atOnce; round++) {
    await goThrough(t, rig, origin, phases[round % phases.length]!);
  }
}

async function heapUsedBytes(): Promise<number> {
  // Finalizers run between turns.
  for (let at = 0; at < 6; at++) {
    collect();
    await turn();
  }
  return process.memoryUsage().heapUsed;
}

const socketsOpen = (): number =>
  process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;

/** @param upstream the pool, wherever it is */
async function checkNothingIsLeft(
  t: TestContext,
  rig: Rig,
  origin: Origin,
  upstream: UpstreamHttp,
): Promise<void> {
  // The test keeps its clients until it ends unless it is told otherwise: they are not what is measured.
  const owner = { after: () => undefined } as unknown as TestContext;
  const isIdle = (): boolean => upstream.connections === 0 && origin.open.size === 0;
  await abortMany(owner, rig, origin, 2_000);
  await until(isIdle);
  const socketsBefore = socketsOpen();
  let heapBefore = await heapUsedBytes();
  // In two halves: what is freed late in one of them cannot hide what is left in the other.
  for (let half = 0; half < 2; half++) {
    await abortMany(owner, rig, origin, aborts / 2);
    await until(isIdle);
    const heapNow = await heapUsedBytes();
    const grownBytes = heapNow - heapBefore;
    heapBefore = heapNow;
    t.diagnostic(`${grownBytes} bytes more after ${aborts / 2} aborts`);
    assert.ok(grownBytes < 50 * aborts, `${grownBytes} bytes more after ${aborts / 2} aborts`);
  }
  assert.equal(socketsOpen(), socketsBefore);
  assert.deepEqual(
    [
      rig.listener.connections,
      rig.listener.bufferedBytes,
      upstream.waiting,
      upstream.bufferedBytes,
    ],
    [0, 0, 0, 0],
  );
  assert.ok(rig.counters.get('http_aborts', 'client') > aborts / 2);
  for (const reason of ['queue-full', 'queue-timeout']) {
    assert.equal(rig.counters.get('http_upstream', reason), 0, reason);
  }
  assert.equal(rig.counters.get('http_defects', 'connection'), 0);
  // All places are free again.
  const raw = 'GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
  const texts = await Promise.all(Array.from({ length: most }, () => exchange(t, rig.port, raw)));
  for (const text of texts) assert.match(text, /^HTTP\/1\.1 200 OK\r\n[^]*ok$/);
}

describe(`${aborts} exchanges that their clients abort in every phase`, { timeout: 60_000 }, () => {
  // Kept connections are closed at once, so that nothing has to be waited for.
  const config = {
    connectionsMax: most,
    queueMax: most,
    sweepIntervalMs: 5,
    timeouts: { idleMs: 10 },
  };

  it('leave nothing behind at a peer', async (t) => {
    const origin = await startOrigin(t);
    const rig = await startRig(t, { instances: { p1: origin.port }, upstream: config });
    await checkNothingIsLeft(t, rig, origin, rig.upstreams.get('p1')!);
  });

  it('leave nothing behind at two peers and the link between them', async (t) => {
    const origin = await startOrigin(t);
    const a = new TestPeer('a', { limits: { exchangesMax: most } });
    const b = new TestPeer('b', { limits: { exchangesMax: most } });
    await linked(a, b);
    const upstream = new UpstreamHttp({
      config: upstreamConfig(origin.port, config),
      counters: b.counters,
      log: { warn: () => undefined },
      sweepIntervalMs: config.sweepIntervalMs,
    });
    t.after(async () => {
      await upstream.stop();
      await stopAll(a, b);
    });
    b.serve = (request, envelope, response) => upstream.serve(request, envelope, response);
    const rig = await startRig(t, {
      instances: {
        b: (name, request, envelope, response) =>
          a.links.openHttp(name, request, envelope, response),
      },
    });
    await checkNothingIsLeft(t, rig, origin, upstream);
  });
});
