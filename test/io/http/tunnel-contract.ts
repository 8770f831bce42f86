import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { WebSocket, WebSocketServer, type RawData } from 'ws';
import type { UpstreamHttp } from '../../../src/io/application/upstream-http.ts';
import type { HttpListener } from '../../../src/io/http/index.ts';
import type { Counters } from '../../../src/pipeline/counters.ts';
import { RawClient, startOrigin, startRawOrigin } from './http-rig.ts';

/** A way from a client to an upstream server, in whatever peers. */
export interface TunnelPath {
  /** Where the client connects to. */
  readonly port: number;
  /** Of the client's peer. */
  readonly counters: Counters;
  readonly listener: HttpListener;
  readonly upstream: UpstreamHttp;
}

export type StartPath = (t: TestContext, originPort: number) => Promise<TunnelPath>;

/** What asks for a protocol that is not WebSocket. */
export const echoRequest =
  'GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n';
export const echoAnswer =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n';

/** Upper bound of what a path holds of one direction: socket buffers, windows and queues of a peer. */
const heldBytesMax = 2_097_152;

/** Sees to it that the head of the request is whole, then hands the connection over with what follows. */
export function whenAsked(socket: Socket, tunnel: (early: string) => void): void {
  let text = '';
  const read = (bytes: Buffer): void => {
    text += bytes.toString('latin1');
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) return;
    socket.off('data', read);
    tunnel(text.slice(end + 4));
  };
  socket.on('data', read);
}

/** A server of raw tunnels that each give back what they get; it is half-open. */
export async function startEcho(t: TestContext): Promise<number> {
  return startRawOrigin(t, (socket) => {
    whenAsked(socket, (early) => {
      socket.write(echoAnswer + early);
      socket.pipe(socket);
    });
  });
}

/** A raw client whose tunnel is open. */
export async function openEcho(t: TestContext, port: number): Promise<RawClient> {
  const client = new RawClient(t, port);
  client.send(echoRequest);
  await client.until(/^HTTP\/1\.1 101 [^]*\r\n\r\n/);
  client.text = '';
  return client;
}

async function startWebSockets(
  t: TestContext,
  accept: (socket: WebSocket) => void,
): Promise<{ port: number; keys: (string | undefined)[] }> {
  const keys: (string | undefined)[] = [];
  const http = createServer();
  const server = new WebSocketServer({
    server: http,
    perMessageDeflate: true,
    handleProtocols: (offered) => [...offered].at(-1) ?? false,
  });
  server.on('connection', (socket, request) => {
    keys.push(request.headers['sec-websocket-key']);
    accept(socket);
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  t.after(async () => {
    for (const socket of server.clients) socket.terminate();
    server.close();
    await new Promise((resolve) => http.close(resolve));
  });
  return { port: (http.address() as AddressInfo).port, keys };
}

async function openWebSocket(t: TestContext, port: number): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat`, ['first', 'last']);
  t.after(() => {
    socket.terminate();
  });
  await once(socket, 'open');
  return socket;
}

function bytesOf(data: RawData): Buffer {
  assert.ok(Buffer.isBuffer(data));
  return data;
}

/** Lets each turn of the event loop be seen until `isOver`. */
async function eachTurn(isOver: () => boolean, see: () => void): Promise<void> {
  while (!isOver()) {
    see();
    await new Promise(setImmediate);
  }
}

/** Writes as fast as the socket takes it. */
async function pour(socket: Socket, pieces: number, piece: Buffer): Promise<void> {
  for (let sent = 0; sent < pieces; sent++) {
    if (!socket.write(piece)) await once(socket, 'drain');
  }
}

/** Reads one piece in many turns; `done` with the number of bytes. */
function readSlowly(socket: Socket, done: (bytes: number) => void): void {
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    done(bytes);
    socket.pause();
    let turns = 0;
    const wait = (): void => {
      if (++turns < 5) setImmediate(wait);
      else socket.resume();
    };
    setImmediate(wait);
  });
}

function nothingIsLeft(path: TunnelPath): boolean {
  return path.listener.connections === 0 && path.upstream.tunnels === 0;
}

/** What holds for a tunnel on any way. */
export function tunnelContract(name: string, start: StartPath): void {
  describe(`WebSockets ${name}`, () => {
    it('pass 10,000 messages in order, with their subprotocol and compression', async (t) => {
      const origin = await startWebSockets(t, (socket) => {
        socket.on('message', (data, isBinary) => {
          socket.send(bytesOf(data), { binary: isBinary });
        });
      });
      const path = await start(t, origin.port);
      const client = await openWebSocket(t, path.port);
      assert.equal(client.protocol, 'last');
      assert.match(client.extensions, /permessage-deflate/);
      assert.equal(origin.keys.length, 1);
      const count = 10_000;
      let received = 0;
      const all = new Promise<void>((resolve, reject) => {
        client.on('message', (data) => {
          if (bytesOf(data).toString() !== `message ${received}`) reject(new Error('order'));
          if (++received === count) resolve();
        });
      });
      for (let sent = 0; sent < count; sent++) client.send(`message ${sent}`);
      await all;
      client.close(4_000, 'done');
      const [code, reason] = (await once(client, 'close')) as [number, Buffer];
      assert.equal(`${code} ${reason.toString()}`, '4000 done');
      await eachTurn(
        () => nothingIsLeft(path),
        () => undefined,
      );
      assert.equal(path.counters.get('http_tunnels', 'opened'), 1);
      assert.equal(path.counters.get('http_tunnels', 'closed'), 1);
      assert.equal(path.counters.get('http_requests', 'received'), 1);
    });

    it('pass large messages in fragments, both ways at once', async (t) => {
      const origin = await startWebSockets(t, (socket) => {
        socket.on('message', (data) => {
          socket.send(bytesOf(data));
        });
      });
      const path = await start(t, origin.port);
      const client = await openWebSocket(t, path.port);
      const parts = Array.from({ length: 64 }, () => randomBytes(131_072));
      const echoed = [once(client, 'message')];
      for (const [at, part] of parts.entries()) {
        client.send(part, { fin: at === parts.length - 1 });
      }
      const [message] = (await echoed[0]) as [RawData];
      assert.ok(Buffer.concat(parts).equals(bytesOf(message)));
    });
  });

  describe(`a tunnel ${name}`, () => {
    it('serves any protocol, and bytes behind the heads of both sides are its data', async (t) => {
      const origin = await startRawOrigin(t, (socket) => {
        whenAsked(socket, (early) => {
          assert.equal(early, '');
          socket.write(`${echoAnswer}welcome;`);
          socket.pipe(socket);
        });
      });
      const path = await start(t, origin);
      const client = new RawClient(t, path.port);
      client.send(`${echoRequest}GET / HTTP/1.1\r\n\r\n;`);
      const text = await client.until(/HTTP\/1\.1\r\n\r\n;$/);
      const [head, data] = [text.slice(0, text.indexOf('\r\n\r\n')), text.split('\r\n\r\n')];
      assert.match(head, /\r\nUpgrade: echo\/1(\r\n|$)/);
      assert.match(head, /\r\nConnection: Upgrade(\r\n|$)/);
      assert.doesNotMatch(head, /Content-Length|Transfer-Encoding|close/i);
      assert.equal(data[1], 'welcome;GET / HTTP/1.1');
      assert.equal(path.counters.get('http_requests', 'received'), 1);
    });

    it('goes on towards the client when the client has ended', async (t) => {
      const origin = await startRawOrigin(t, (socket) => {
        // Half-open, as net.Server is not by itself.
        socket.allowHalfOpen = true;
        whenAsked(socket, () => {
          socket.write(echoAnswer);
          let got = '';
          socket.on('data', (bytes: Buffer) => (got += bytes.toString()));
          socket.on('end', () => {
            socket.write(`all of <${got}>`);
            setImmediate(() => socket.end(', later'));
          });
        });
      });
      const path = await start(t, origin);
      const client = await openEcho(t, path.port);
      client.socket.end('question');
      assert.equal(await client.end(), 'all of <question>, later');
      assert.equal(client.hasError, false);
      await eachTurn(
        () => nothingIsLeft(path),
        () => undefined,
      );
      assert.equal(path.counters.get('http_tunnels', 'closed'), 1);
    });

    it('goes on towards the server when the server has ended', async (t) => {
      let tell: (text: string) => void;
      const whole = new Promise<string>((resolve) => {
        tell = resolve;
      });
      const origin = await startRawOrigin(t, (socket) => {
        whenAsked(socket, () => {
          socket.end(`${echoAnswer}over to you`);
          let got = '';
          socket.on('data', (bytes: Buffer) => (got += bytes.toString()));
          socket.on('end', () => {
            tell(got);
          });
        });
      });
      const path = await start(t, origin);
      const client = new RawClient(t, path.port);
      client.socket.allowHalfOpen = true;
      client.send(echoRequest);
      if (!client.socket.readableEnded) await once(client.socket, 'end');
      assert.match(client.text, /over to you$/);
      client.send('one ');
      await new Promise(setImmediate);
      client.socket.end('two');
      assert.equal(await whole, 'one two');
      await eachTurn(
        () => nothingIsLeft(path),
        () => undefined,
      );
      assert.equal(path.counters.get('http_tunnels', 'closed'), 1);
    });

    it('breaks at the server when its client breaks', async (t) => {
      const broken = Promise.withResolvers<string | undefined>();
      const origin = await startRawOrigin(t, (socket) => {
        whenAsked(socket, () => {
          socket.write(echoAnswer);
          socket.on('error', (error: NodeJS.ErrnoException) => {
            broken.resolve(error.code);
          });
          socket.on('end', () => {
            broken.resolve('an end as if all were said');
          });
          socket.resume();
        });
      });
      const path = await start(t, origin);
      const client = await openEcho(t, path.port);
      client.socket.resetAndDestroy();
      assert.equal(await broken.promise, 'ECONNRESET');
      assert.equal(path.counters.get('http_tunnels', 'aborted'), 1);
    });

    it('breaks at the client when its server breaks', async (t) => {
      const origin = await startRawOrigin(t, (socket) => {
        whenAsked(socket, () => {
          socket.write(echoAnswer);
          socket.on('data', () => {
            socket.resetAndDestroy();
          });
        });
      });
      const path = await start(t, origin);
      const client = await openEcho(t, path.port);
      client.send('x');
      await client.end();
      assert.equal(client.hasError, true);
      assert.equal(path.counters.get('http_tunnels', 'broken'), 1);
    });

    for (const direction of ['to the server', 'to the client'] as const) {
      it(`holds a fast sender back ${direction}, in bounded memory`, async (t) => {
        const piece = randomBytes(65_536);
        const pieces = 512;
        let received = 0;
        const count = (bytes: number): void => {
          received = bytes;
        };
        const origin = await startRawOrigin(t, (socket) => {
          whenAsked(socket, () => {
            socket.write(echoAnswer);
            if (direction === 'to the server') readSlowly(socket, count);
            else void pour(socket, pieces, piece);
          });
        });
        const path = await start(t, origin);
        const client = new RawClient(t, path.port);
        client.send(echoRequest);
        if (direction === 'to the client') {
          client.socket.removeAllListeners('data');
          readSlowly(client.socket, count);
        } else {
          await client.until(/\r\n\r\n$/);
          void pour(client.socket, pieces, piece);
        }
        let most = 0;
        await eachTurn(
          () => received >= pieces * piece.length,
          () => {
            most = Math.max(most, path.listener.bufferedBytes + path.upstream.bufferedBytes);
          },
        );
        assert.ok(most > 0 && most < heldBytesMax, `${most} bytes held`);
      });
    }

    for (const status of [400, 426]) {
      it(`is not opened by ${status}: its client gets the answer and goes on with HTTP`, async (t) => {
        const connections = new Set<Socket>();
        const seen: string[] = [];
        const refuse = (socket: Socket): void => {
          socket.write(`HTTP/1.1 ${status} No\r\nContent-Length: 3\r\n\r\nno\n`);
        };
        const origin = await startRawOrigin(t, (socket) => {
          connections.add(socket);
          socket.on('data', (bytes: Buffer) => {
            const text = bytes.toString('latin1');
            seen.push(text.slice(0, text.indexOf(' HTTP')));
            if (/^Upgrade: /m.test(text)) refuse(socket);
            else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
          });
        });
        const path = await start(t, origin);
        const client = new RawClient(t, path.port);
        client.send(echoRequest);
        const text = await client.until(/\r\n\r\nno\n$/);
        assert.match(text, new RegExp(`^HTTP/1.1 ${status} No\r\n`));
        client.send('GET /next HTTP/1.1\r\nHost: a\r\n\r\n');
        await client.until(/ok$/);
        // The connection could be kept: nothing more of the first request was to come.
        assert.equal(connections.size, 1);
        client.text = '';
        client.send(`${echoRequest}GET /pipelined HTTP/1.1\r\nHost: a\r\n\r\n`);
        await client.until(/no\nHTTP\/1\.1 200 OK\r\n[^]*ok$/);
        assert.deepEqual(seen, ['GET /echo', 'GET /next', 'GET /echo', 'GET /pipelined']);
        assert.equal(path.counters.get('http_tunnels', 'opened'), 0);
      });
    }

    it('is opened behind interim answers', async (t) => {
      const origin = await startRawOrigin(t, (socket) => {
        whenAsked(socket, () => {
          socket.write(`HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${echoAnswer}data`);
        });
      });
      const path = await start(t, origin);
      const client = new RawClient(t, path.port);
      client.send(echoRequest);
      assert.match(await client.until(/data$/), /^HTTP\/1\.1 103 [^]*HTTP\/1\.1 101 /);
    });

    for (const [what, answer] of [
      ['another protocol', echoAnswer.replace('echo/1', 'echo/2')],
      ['several protocols', echoAnswer.replace('echo/1', 'echo/1, tls')],
      ['no protocol', echoAnswer.replace('Upgrade: echo/1\r\n', '')],
    ] as const) {
      it(`is not opened to ${what}: 502`, async (t) => {
        const closed = Promise.withResolvers<undefined>();
        const origin = await startRawOrigin(t, (socket) => {
          socket.on('close', () => {
            closed.resolve(undefined);
          });
          whenAsked(socket, () => {
            socket.write(`${answer}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`);
          });
        });
        const path = await start(t, origin);
        const client = new RawClient(t, path.port);
        client.send(echoRequest);
        assert.match(await client.until(/\n$/), /^HTTP\/1\.1 502 /);
        await closed.promise;
        assert.equal(path.counters.get('http_tunnels', 'opened'), 0);
      });
    }

    it('is not opened for a request that asked for none: 502', async (t) => {
      const origin = await startRawOrigin(t, (socket) => {
        whenAsked(socket, () => {
          socket.write(echoAnswer);
        });
      });
      const path = await start(t, origin);
      const client = new RawClient(t, path.port);
      client.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
      assert.match(await client.end(), /^HTTP\/1\.1 502 /);
    });

    it('leaves nothing behind, 1,000 times opened and aborted', async (t) => {
      const path = await start(t, await startEcho(t));
      for (let round = 0; round < 20; round++) {
        const clients = await Promise.all(Array.from({ length: 50 }, () => openEcho(t, path.port)));
        if (round === 0) assert.equal(path.upstream.tunnels, 50);
        for (const [at, client] of clients.entries()) {
          client.send('something on its way');
          if (at % 2 === 0) client.socket.resetAndDestroy();
          else client.socket.destroy();
        }
        await eachTurn(
          () => nothingIsLeft(path),
          () => undefined,
        );
      }
      assert.equal(path.upstream.connections, 0);
      assert.equal(path.upstream.bufferedBytes + path.listener.bufferedBytes, 0);
      const { counters } = path;
      const ended = ['closed', 'aborted', 'broken'].map((end) => counters.get('http_tunnels', end));
      assert.equal(counters.get('http_tunnels', 'opened'), 1_000);
      assert.equal(
        ended.reduce((sum, number) => sum + number),
        1_000,
      );
    });
  });
}

/** An ordinary server, for requests beside tunnels. */
export async function startOk(t: TestContext): Promise<number> {
  return startOrigin(t, (_, response) => response.end('ok'));
}
