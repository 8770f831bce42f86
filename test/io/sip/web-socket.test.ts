import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { WebSocket } from 'ws';
import { sipLimits, sipSocketLimits } from '../../../src/config/defaults.ts';
import { request } from '../../support/sip-text.ts';
import {
  closing,
  listener,
  listening,
  readText,
  tcpClient,
  until,
  type ListenerRig,
  type RigOptions,
} from './sip-rig.ts';

const { webSocketPingMs, webSocketPongMs, quietMs } = sipSocketLimits;
const text = request({ body: 'v=0' }).toString('latin1');
const host = '127.0.0.1';

const upgrade = [
  'GET /any HTTP/1.1',
  'Host: sip.example.org',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
];

function bind(t: TestContext, options: RigOptions = {}): Promise<ListenerRig> {
  return listening(t, [listener({ transport: 'ws' })], {
    ...options,
    // Every few turns of the event loop, by the virtual clock.
    limits: { sweepIntervalMs: 1, ...options.limits },
  });
}

async function client(t: TestContext, rig: ListenerRig, autoPong = true): Promise<WebSocket> {
  const socket = new WebSocket(`ws://${host}:${rig.port()}`, ['other', 'sip'], { autoPong });
  t.after(() => {
    socket.terminate();
  });
  socket.on('error', () => undefined);
  await once(socket, 'open');
  return socket;
}

/** A client that sent a message and so has a flow. */
async function known(
  t: TestContext,
  rig: ListenerRig,
  autoPong = true,
): Promise<{ socket: WebSocket; flow: string }> {
  const socket = await client(t, rig, autoPong);
  socket.send(text);
  return { socket, flow: (await rig.inbox.take()).arrival.flow };
}

/** A text frame of a client, masked with nothing but zeros. */
function frame(payload: string): Buffer {
  const { length } = payload;
  assert.ok(length > 125 && length < 65_536);
  const head = Buffer.from([0x81, 0x80 | 126, length >> 8, length & 0xff, 0, 0, 0, 0]);
  return Buffer.concat([head, Buffer.from(payload, 'latin1')]);
}

function closeCode(socket: WebSocket): Promise<number> {
  return new Promise((resolve) => socket.once('close', (code: number) => resolve(code)));
}

describe('the WebSocket handshake', () => {
  it('chooses the subprotocol sip', async (t) => {
    const rig = await bind(t);
    assert.equal((await client(t, rig)).protocol, 'sip');
  });

  const refusals: [string, string[], number, string][] = [
    ['without a subprotocol', upgrade, 400, 'upgrade-subprotocol'],
    [
      'with other subprotocols alone',
      [...upgrade, 'Sec-WebSocket-Protocol: msrp, sips'],
      400,
      'upgrade-subprotocol',
    ],
    [
      'of another version',
      [...upgrade.slice(0, -1), 'Sec-WebSocket-Version: 7', 'Sec-WebSocket-Protocol: sip'],
      400,
      'upgrade-malformed',
    ],
    [
      'to something else',
      [
        'GET / HTTP/1.1',
        'Host: a',
        'Connection: Upgrade',
        'Upgrade: h2c',
        'Sec-WebSocket-Protocol: sip',
      ],
      400,
      'upgrade-malformed',
    ],
    [
      'by HTTP/1.0',
      ['GET / HTTP/1.0', ...upgrade.slice(1), 'Sec-WebSocket-Protocol: sip'],
      400,
      'upgrade-malformed',
    ],
    ['that expects something', ['GET / HTTP/1.1', 'Host: a', 'Expect: x'], 426, 'upgrade-missing'],
    ['for a tunnel', ['CONNECT a:1 HTTP/1.1', 'Host: a'], 426, 'upgrade-missing'],
    [
      'that others follow',
      ['GET / HTTP/1.1', 'Host: a', '', 'GET / HTTP/1.1', 'Host: a', '', 'no HTTP'],
      426,
      'upgrade-missing',
    ],
    ['that is no upgrade', ['GET / HTTP/1.1', 'Host: a'], 426, 'upgrade-missing'],
    ['that is no HTTP', ['OPTIONS sip:a SIP/2.0'], 400, 'upgrade-malformed'],
    [
      'with a head that is too long',
      ['GET / HTTP/1.1', `X: ${'x'.repeat(sipSocketLimits.upgradeHeadBytesMax)}`],
      431,
      'upgrade-malformed',
    ],
  ];
  for (const [title, lines, status, reason] of refusals) {
    it(`refuses a request ${title}`, async (t) => {
      const rig = await bind(t);
      const socket = await tcpClient(t, host, rig.port());
      const answered = readText(socket, 12);
      socket.write(`${lines.join('\r\n')}\r\n\r\n`);
      assert.match(await answered, new RegExp(`^HTTP/1.1 ${status} `));
      await closing(socket);
      assert.equal(rig.counters.get('sip_handshake_failures', reason), 1);
      await until(() => rig.listeners.connectionCount === 0);
    });
  }

  it('must come to an end in time, however it is stretched', async (t) => {
    const rig = await bind(t, { limits: { handshakeTimeoutMs: 30 } });
    const socket = await tcpClient(t, host, rig.port());
    const ended = closing(socket);
    let isOver = false;
    void ended.then(() => {
      isOver = true;
    });
    socket.write('GET / HTTP/1.1\r\n');
    await until(() => {
      if (socket.writable) socket.write('X: 1\r\n');
      return isOver || rig.counters.get('sip_handshake_failures', 'upgrade-malformed') > 0;
    });
    const reasons = rig.counters.entries().get('sip_handshake_failures');
    assert.equal(
      [...reasons!.values()].reduce((sum, times) => sum + times),
      1,
    );
  });

  it('that never begins is given up', async (t) => {
    const rig = await bind(t, { limits: { handshakeTimeoutMs: 5 } });
    await closing(await tcpClient(t, host, rig.port()));
    assert.equal(rig.counters.get('sip_handshake_failures', 'upgrade-timeout'), 1);
  });
});

describe('a WebSocket', () => {
  it('carries a message in a text or a binary frame, whole or in fragments', async (t) => {
    const rig = await bind(t);
    const socket = await client(t, rig);
    socket.send(Buffer.from(text), { binary: true });
    socket.send(text.slice(0, 50), { fin: false });
    socket.send(text.slice(50), { fin: true });
    assert.equal((await rig.inbox.take()).message, text);
    assert.equal((await rig.inbox.take()).message, text);
  });

  it('carries text as text and other bytes as bytes', async (t) => {
    const rig = await bind(t);
    const { socket, flow } = await known(t, rig);
    const kinds: boolean[] = [];
    const both = new Promise<void>((resolve) => {
      socket.on('message', (_data, isBinary) => {
        if (kinds.push(isBinary) === 2) resolve();
      });
    });
    rig.listeners.sendOnFlow(flow, undefined, Buffer.from('grün'));
    rig.listeners.sendOnFlow(flow, undefined, Buffer.from('grün', 'latin1'));
    await both;
    assert.deepEqual(kinds, [false, true]);
  });

  it('may follow its handshake in the same packet', async (t) => {
    const rig = await bind(t);
    const socket = await tcpClient(t, host, rig.port());
    const lines = [...upgrade, 'Sec-WebSocket-Protocol: msrp, sip,xmpp'];
    socket.write(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), frame(text)]));
    assert.equal((await rig.inbox.take()).message, text);
  });

  it('is closed at text that is no UTF-8, and hands over nothing of it', async (t) => {
    const rig = await bind(t);
    const socket = await client(t, rig);
    const code = closeCode(socket);
    socket.send(Buffer.from(text.replace('v=0', '\xff\xfe\xfd'), 'latin1'), { binary: false });
    assert.equal(await code, 1007);
    assert.equal(rig.counters.get('sip_received', 'ws'), 0);
    assert.equal(rig.counters.get('sip_connections_lost', 'error'), 1);
  });

  it('is closed at a message in too many fragments', async (t) => {
    const rig = await bind(t, { limits: { webSocketPiecesMax: 3 } });
    const socket = await client(t, rig);
    const pieces = [text.slice(0, 10), text.slice(10, 20), text.slice(20)];
    for (const piece of pieces) socket.send(piece, { fin: piece === pieces[2] });
    assert.equal((await rig.inbox.take()).message, text);
    const code = closeCode(socket);
    for (const piece of [...pieces, '']) socket.send(piece, { fin: false });
    assert.equal(await code, 1008);
    assert.equal(rig.counters.get('sip_connections_lost', 'error'), 1);
  });

  it('cuts off a client that pings and does not read', async (t) => {
    const rig = await bind(t);
    const socket = await client(t, rig);
    socket.pause();
    const code = closeCode(socket);
    let isClosed = false;
    void code.then(() => {
      isClosed = true;
    });
    await until(() => {
      for (let times = 0; times < 1_000 && socket.bufferedAmount < 1_048_576; times++) {
        socket.ping(Buffer.alloc(125));
      }
      return isClosed || rig.listeners.connectionCount === 0;
    });
  });

  it('takes a single CRLF for a sign of life and no more', async (t) => {
    const rig = await bind(t);
    const socket = await client(t, rig);
    socket.send('\r\n');
    socket.send(text);
    assert.equal((await rig.inbox.take()).message, text);
    assert.equal(rig.counters.get('sip_received', 'keep-alive'), 1);
  });

  it('is closed at a frame that is larger than any message', async (t) => {
    const rig = await bind(t);
    const { socket } = await known(t, rig);
    const { headerBytesMax, bodyBytesMax, ownHeaderBytesMax } = sipLimits;
    const code = closeCode(socket);
    socket.send(Buffer.alloc(headerBytesMax + bodyBytesMax + ownHeaderBytesMax + 1));
    assert.equal(await code, 1009);
    assert.equal(rig.counters.get('sip_connections_lost', 'error'), 1);
  });

  it('is pinged when idle and lives on with the pong', async (t) => {
    const rig = await bind(t, { connections: { idleMs: webSocketPingMs + webSocketPongMs } });
    const { socket, flow } = await known(t, rig);
    for (let round = 0; round < 3; round++) {
      const pinged = once(socket, 'ping');
      rig.nowMs += webSocketPingMs + 1;
      await pinged;
      await rig.counted('sip_received', 'pong', round + 1);
    }
    assert.ok(rig.listeners.sendOnFlow(flow, undefined, Buffer.from('alive')));
  });

  it('is cut off when no pong comes', async (t) => {
    const rig = await bind(t);
    const { socket } = await known(t, rig, false);
    const code = closeCode(socket);
    const pinged = once(socket, 'ping');
    rig.nowMs = webSocketPingMs + 1;
    await pinged;
    rig.nowMs += webSocketPongMs + 1;
    assert.equal(await code, 1006);
    assert.equal(rig.counters.get('sip_connections_lost', 'no-pong'), 1);
  });

  it('is closed in good order after its lifetime', async (t) => {
    const lifetimeMs = 2 * webSocketPingMs;
    const rig = await bind(t, { connections: { lifetimeMs } });
    const { socket, flow } = await known(t, rig);
    const code = closeCode(socket);
    rig.nowMs = lifetimeMs + quietMs;
    assert.equal(await code, 1001);
    assert.equal(rig.counters.get('sip_connections_lost', 'lifetime'), 1);
    assert.ok(!rig.listeners.sendOnFlow(flow, undefined, Buffer.from('late')));
  });

  it('is closed when idle', async (t) => {
    const rig = await bind(t, { connections: { idleMs: 10 } });
    const { socket } = await known(t, rig);
    const code = closeCode(socket);
    rig.nowMs = 11;
    assert.equal(await code, 1001);
    assert.equal(rig.counters.get('sip_connections_lost', 'idle'), 1);
  });
});
