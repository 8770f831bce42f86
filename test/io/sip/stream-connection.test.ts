import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import type { Socket } from 'node:net';
import { sipSocketLimits } from '../../../src/config/defaults.ts';
import { StreamConnection } from '../../../src/io/sip/index.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import { request } from '../../support/sip-text.ts';
import { Inbox, tcpClient, tcpServer } from './sip-rig.ts';

const { connectionIdleMs, partialMessageMs } = sipSocketLimits;
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

async function connected(t: TestContext): Promise<Rig> {
  const { port, accepted } = await tcpServer(t);
  const client = await tcpClient(t, '127.0.0.1', port);
  const socket = await accepted.take();
  const counters = new Counters();
  const messages = new Inbox<string>();
  const clock = { nowMs: 0 };
  const connection = new StreamConnection({
    socket,
    counters,
    now: () => clock.nowMs,
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
    connection.sweep(connectionIdleMs);
    assert.ok(connection.isOpen);
    client.resume();
    client.on('error', () => undefined);
    const closed = once(client, 'close');
    connection.sweep(connectionIdleMs + 1);
    assert.ok(!connection.isOpen);
    connection.sweep(connectionIdleMs + 2);
    assert.equal(counters.get('sip_connections_lost', 'idle'), 1);
    await closed;
  });

  it('closes a connection whose message never becomes complete', async (t) => {
    const { client, connection, counters, write } = await connected(t);
    await write(10, text.slice(0, 20));
    await write(partialMessageMs, text.slice(20, 30));
    connection.sweep(partialMessageMs + 10);
    assert.ok(connection.isOpen);
    const closed = once(client, 'close');
    client.resume();
    client.on('error', () => undefined);
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
});
