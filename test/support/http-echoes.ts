import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { TestContext } from 'node:test';
import { WebSocket } from 'ws';
import { block } from './http-cases.ts';
import type { Door, Doors } from './http-doors.ts';
import { comparable, fieldsOf } from './http-seen.ts';
import { siteName } from './http-site.ts';

/** What a WebSocket of the package ws sees at a door: the handshake, its echoes, and the close of its own accord. */
export async function echoesByWs(t: TestContext, doors: Doors, door: Door): Promise<unknown> {
  const socket = open(t, doors, door, '/socket');
  const [[answer]] = (await Promise.all([once(socket, 'upgrade'), once(socket, 'open')])) as [
    [IncomingMessage],
    unknown,
  ];
  const echoes: unknown[] = [];
  for (const message of ['', 'grüße', block]) {
    socket.send(message);
    const [data, isBinary] = (await once(socket, 'message')) as [Buffer, boolean];
    echoes.push([data.length, createHash('sha256').update(data).digest('hex'), isBinary]);
  }
  socket.close(4000, 'enough');
  const [code] = (await once(socket, 'close')) as [number];
  return [handshakeOf(answer), socket.extensions, echoes, code];
}

/** What one sees whose application closes. */
export async function closeByWs(t: TestContext, doors: Doors, door: Door): Promise<unknown> {
  const socket = open(t, doors, door, '/socket/commands');
  await once(socket, 'open');
  socket.send('close 4001 why');
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
  return [code, reason.toString()];
}

function open(t: TestContext, doors: Doors, door: Door, path: string): WebSocket {
  const url = new URL(path, doors.origin(door).replace(/^http/, 'ws'));
  const socket = new WebSocket(url, {
    headers: { host: siteName, cookie: doors.site.cookie },
    ...(url.protocol === 'wss:' ? { ca: doors.ca, servername: siteName } : {}),
  });
  t.after(() => {
    socket.terminate();
  });
  return socket;
}

/** The answer to the handshake without what is new each time, which the client checks. */
function handshakeOf({ statusCode, statusMessage, rawHeaders }: IncomingMessage): unknown {
  const headers = fieldsOf(rawHeaders).filter(([name]) => !/^sec-websocket-accept$/i.test(name));
  return comparable({
    ...{ status: statusCode ?? 0, reason: statusMessage ?? '', headers },
    ...{ interim: [], trailers: [], body: Buffer.alloc(0) },
  });
}
