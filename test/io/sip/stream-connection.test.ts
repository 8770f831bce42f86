import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import type { Socket } from 'node:net';
import { sipSocketLimits } from '../../../src/config/defaults.ts';
import { StreamConnection } from '../../../src/io/sip/stream-connection.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import { NetworkSet } from '../../../src/pipeline/network.ts';
import { request } from '../../support/sip-text.ts';
import { Inbox, tcpClient, tcpServer } from './sip-rig.ts';

const { partialMessageMs, quietMs, lifetimeGraceMs } = sipSocketLimits;
const idleMs = 660_000;
const lifetimeMs = 600_000;
const text = request().toString('latin1');

interface Rig {
  readonly client: Socket;
  readonly connection: StreamConnection;
  readonly counters: Counters;
  readonly clock: { nowMs: number };
  readonly messages: Inbox<string>;
  /** Writes at a time of the virtual clock and waits until the connection took it. */
  readonly write: (atMs: number, bytes: string) => Promise<void>;
}

async function connected(t: TestContext, lifetime = 0): Promise<Rig> {
  const { port, accepted } = await tcpServer(t);
  const client = await tcpClient(t, '127.0.0.1', port);
  client.on('error', () => undefined);
  const socket = await accepted.take();
  const counters = new Counters();
  const messages = new Inbox<string>();
  const clock = { nowMs: 0 };
  const connection = new StreamConnection({
    socket,
    transport: 'tcp',
    context: {
      receive: () => undefined,
      counters,
      now: () => clock.nowMs,
      log: { info: () => undefined, warn: () => undefined },
      connections: { idleMs, lifetimeMs: lifetime, perSourceMax: 1 },
      unlimited: new NetworkSet([]),
      limits: sipSocketLimits,
    },
    receive: (message) => messages.put(message.toString('latin1')),
    closed: () => undefined,
  });
  return {
    client,
    connection,
    counters,
    clock,
    messages,
    write: async (atMs, bytes) => {
      clock.nowMs = atMs;
      const taken = once(socket, 'data');
      client.write(bytes, 'latin1');
      await taken;
    },
  };
}

describe('StreamConnection', () => {
  it('ends what is idle, and at the next sweep closes what did not end', async (t) => {
    const { client, connection, counters } = await connected(t);
    connection.sweep(idleMs);
    assert.ok(connection.isOpen);
    client.resume();
    const closed = once(client, 'close');
    connection.sweep(idleMs + 1);
    assert.ok(!connection.isOpen);
    connection.sweep(idleMs + 2);
    assert.equal(counters.get('sip_connections_lost', 'idle'), 1);
    await closed;
  });

  it('takes a keep-alive for traffic', async (t) => {
    const { connection, write } = await connected(t);
    await write(1, '\r\n\r\n');
    connection.sweep(idleMs + 1);
    assert.ok(connection.isOpen);
  });

  it('closes a connection whose message never becomes complete', async (t) => {
    const { client, connection, counters, write } = await connected(t);
    await write(10, text.slice(0, 20));
    await write(partialMessageMs, text.slice(20, 30));
    connection.sweep(partialMessageMs + 10);
    assert.ok(connection.isOpen);
    const closed = once(client, 'close');
    client.resume();
    connection.sweep(partialMessageMs + 11);
    assert.equal(counters.get('sip_connections_lost', 'partial-message'), 1);
    await closed;
  });

  it('keeps a busy connection whose chunks never end where a message does', async (t) => {
    const { connection, messages, write } = await connected(t);
    await write(0, text.slice(0, 20));
    await write(partialMessageMs, text.slice(20) + text.slice(0, 20));
    connection.sweep(partialMessageMs + 1);
    assert.ok(connection.isOpen);
    await write(2 * partialMessageMs, text.slice(20));
    assert.deepEqual([await messages.take(), await messages.take()], [text, text]);
  });

  it('takes a lone CRLF for no message', async (t) => {
    const { connection, write } = await connected(t);
    await write(0, '\r\n');
    connection.sweep(partialMessageMs + 1);
    assert.ok(connection.isOpen);
  });

  it('sends nothing on a connection that it is ending', async (t) => {
    const { client, connection, messages, write } = await connected(t);
    client.resume();
    await write(0, text.replace('Content-Length: 0', 'Content-Length: -'));
    await messages.take();
    assert.ok(!connection.send(Buffer.from('late')));
  });

  it('ends at its first quiet moment after its lifetime', async (t) => {
    const { client, connection, counters, clock, write } = await connected(t, lifetimeMs);
    client.resume();
    const lastMs = lifetimeMs - 10;
    await write(lastMs, text);
    connection.sweep(lastMs + quietMs - 1);
    assert.ok(connection.isOpen);
    // What we send breaks the quiet as well; a keep-alive does not.
    clock.nowMs = lifetimeMs + 1;
    assert.ok(connection.send(Buffer.from(text)));
    connection.sweep(lastMs + quietMs + 1);
    assert.ok(connection.isOpen);
    await write(lifetimeMs + quietMs, '\r\n\r\n');
    const ended = once(client, 'end');
    connection.sweep(lifetimeMs + quietMs + 1);
    assert.ok(!connection.isOpen);
    assert.equal(counters.get('sip_connections_lost', 'lifetime'), 1);
    await ended;
  });

  it('ends some time after its lifetime even when it is never quiet', async (t) => {
    const { client, connection, counters, write } = await connected(t, lifetimeMs);
    client.resume();
    const lastMs = lifetimeMs + lifetimeGraceMs;
    await write(lastMs, text);
    connection.sweep(lastMs);
    assert.ok(connection.isOpen);
    connection.sweep(lastMs + 1);
    assert.equal(counters.get('sip_connections_lost', 'lifetime'), 1);
  });

  it('lives as long as it is used where no lifetime is set', async (t) => {
    const { connection, write } = await connected(t);
    const lateMs = 1_000 * idleMs;
    await write(lateMs, text);
    connection.sweep(lateMs + quietMs);
    assert.ok(connection.isOpen);
  });
});
