/**
 * One instance of a web application, as a process of its own: `node http-application.ts <name>`. It
 * prints its port as one JSON line and ends with its standard input. What it answers depends on the request alone and, under /session, on
 * the sessions that it keeps in memory.
 */
import { once } from 'node:events';
import { type IncomingMessage, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { brotliCompressSync, crc32, gzipSync } from 'node:zlib';
import { WebSocketServer, type WebSocket } from 'ws';
import { fastify, type FastifyReply, type FastifyRequest } from 'fastify';
import { readBody } from './stream-body.ts';

const name = process.argv[2] ?? 'application';
const app = fastify({ exposeHeadRoutes: false, forceCloseConnections: true });

/** Bytes that are the same at every instance, all 256 values among them. */
function pattern(bytes: number): Buffer {
  const block = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at++) block[at] = (at * 31 + (at >> 8) * 7) & 0xff;
  return block;
}

const file = pattern(100_000);
const text = 'A text that packs well. '.repeat(500);

// Bodies are streams: nobody reads them but the routes.
app.removeAllContentTypeParsers();
app.addContentTypeParser('*', (_request, _payload, done) => {
  done(null);
});

type Raw = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

/** A route that writes its answer itself, byte by byte as it wants it. */
function raw(method: string | string[], path: string, serve: Raw): void {
  app.route({
    method,
    url: path,
    handler: async (request: FastifyRequest, reply: FastifyReply) => {
      reply.hijack();
      await serve(request.raw, reply.raw);
    },
  });
}

app.get('/json', () => ({ text: 'grüße', list: [1, 2, 3], none: null }));
app.get('/nothing', (_request, reply) => reply.code(204).send());
app.get('/fresh', (_request, reply) => reply.code(304).header('etag', '"v1"').send());
app.head('/file', (_request, reply) =>
  reply.header('content-length', file.length).header('content-type', 'application/x-file').send(),
);
app.get('/file', (request, reply) => {
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  reply.header('accept-ranges', 'bytes').type('application/x-file');
  if (range === null) return reply.send(file);
  const [from, to] = [Number(range[1]), Number(range[2])];
  if (from >= file.length) {
    return reply.code(416).header('content-range', `bytes */${file.length}`).send();
  }
  reply.code(206).header('content-range', `bytes ${from}-${to}/${file.length}`);
  return reply.send(file.subarray(from, to + 1));
});
app.get('/gzip', (_request, reply) =>
  reply.header('content-encoding', 'gzip').type('text/plain').send(gzipSync(text)),
);
app.get('/br', (_request, reply) =>
  reply.header('content-encoding', 'br').type('text/plain').send(brotliCompressSync(text)),
);
app.get('/cookies', (_request, reply) => {
  for (const at of [1, 2, 3, 4, 5]) {
    reply.header('set-cookie', `c${at}=v=${at}; Path=/; Expires=Wed, 01 Jan 2098 00:00:0${at} GMT`);
  }
  return reply.send('baked');
});
app.get('/page', (_request, reply) =>
  reply.type('text/html').send('<!doctype html><title>page</title>'),
);

raw('GET', '/headers', (_request, response) => {
  response.writeHead(200, 'Just Fine', [
    ...['X-Twice', 'one', 'x-other', 'caf\xe9 \xfc\xff', 'X-TWICE', 'two'],
    ...['X-Empty', '', 'Content-Length', '2'],
  ]);
  // With a text Node would write the fields in UTF-8.
  response.end(Buffer.from('ok'));
});
raw('GET', '/hints', (_request, response) => {
  response.writeEarlyHints({ link: '</style.css>; rel=preload; as=style', 'x-hint': 'first' });
  response.writeEarlyHints({ link: '</script.js>; rel=preload; as=script' });
  response.end('after the hints');
});
raw('GET', '/chunks', (_request, response) => {
  response.writeHead(200, { trailer: 'x-checksum', 'content-type': 'text/plain' });
  for (const piece of ['one ', 'two ', 'three']) response.write(piece);
  response.addTrailers({ 'x-checksum': String(crc32('one two three')), 'X-Other-End': 'caf\xe9' });
  response.end();
});
raw('GET', '/until-closed', (_request, response) => {
  response.useChunkedEncodingByDefault = false;
  response.writeHead(200, { 'content-type': 'text/plain', connection: 'close' });
  response.end('its end is the end of the connection');
});
raw('GET', '/body', (request, response) => {
  const bytes = Number(new URL(request.url ?? '', 'http://any').searchParams.get('bytes'));
  response.writeHead(200, { 'content-length': bytes });
  response.end(pattern(bytes));
});
raw(['POST', 'PUT'], '/echo', async (request, response) => {
  const length = request.headers['content-length'];
  if (length !== undefined) response.setHeader('content-length', length);
  await pipeline(request, response);
});
raw(['POST', 'PUT'], '/digest', async (request, response) => {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(await readBody(request)));
});
/** What of a request arrives here. */
raw(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'], '/view', view);
raw(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'], '/view/*', view);

async function view(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await readBody(request);
  const { method, url, rawHeaders, rawTrailers } = request;
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ method, url, rawHeaders, rawTrailers, body }));
}

const streams = new Map<string, ServerResponse>();
raw('GET', '/events/:id', (request, response) => {
  streams.set(request.url ?? '', response);
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  response.write('data: 0\n\n');
});
/** The next event is sent when somebody asks for it. */
raw('POST', '/events/:id', async (request, response) => {
  const { event } = (await readJson(request)) as { event: number };
  const stream = streams.get(request.url ?? '');
  if (event < 0) stream?.end();
  else stream?.write(`data: ${event}\n\n`);
  response.end();
});

async function readJson(request: IncomingMessage): Promise<unknown> {
  let body = '';
  for await (const piece of request) body += String(piece);
  return JSON.parse(body);
}

interface Session {
  user: string | undefined;
  visits: number;
}
const sessions = new Map<string, Session>();

/** The session that a request names, else a new one with its cookie. */
function sessionOf(request: FastifyRequest, reply: FastifyReply): Session {
  const id = /(?:^|; )JSESSIONID=([^;]*)/.exec(request.headers.cookie ?? '')?.[1];
  const known = id === undefined ? undefined : sessions.get(id);
  if (known !== undefined) return known;
  const session: Session = { user: undefined, visits: 0 };
  const fresh = `${name}-${process.pid}-${sessions.size + 1}`;
  sessions.set(fresh, session);
  reply.header('set-cookie', `JSESSIONID=${fresh}; Path=/; HttpOnly`);
  return session;
}

interface Visit {
  readonly Querystring: { readonly delayMs?: string; readonly user?: string };
}
app.get<Visit>('/session', async (request, reply) => {
  const session = sessionOf(request, reply);
  session.visits += 1;
  const { visits, user } = session;
  const delayMs = Number(request.query.delayMs ?? 0);
  if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
  return { instance: name, visits, user };
});
app.get<Visit>('/session/login', (request, reply) => {
  sessionOf(request, reply).user = request.query.user;
  return reply.redirect('/session/page');
});
app.get('/session/page', (request, reply) => {
  const { user = 'nobody' } = sessionOf(request, reply);
  const html = `<!doctype html><title>${user} at ${name}</title><p id="user">${user}</p>`;
  return reply.type('text/html').send(html);
});

app.server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
  if (request.url === '/echo?refused') {
    response.writeHead(403, { 'content-length': 0 }).end();
    return;
  }
  response.writeContinue();
  app.server.emit('request', request, response);
});
/** Bytes of echoes that wait for their client; above it nothing more is read from it. */
const echoBytesMax = 1_048_576;

/**
 * WebSockets. `/socket` gives back what it gets; `/socket/commands` does what a text says: `close 4001 why`,
 * `ping`; it tells of the client's close in `/socket/closed`.
 */
const sockets = new WebSocketServer({
  noServer: true,
  perMessageDeflate: true,
  maxPayload: 1 << 26,
});
const closes: string[] = [];
raw('GET', '/socket/closed', (_request, response) => {
  response.end(JSON.stringify(closes));
});
app.server.on('upgrade', (request, socket, head) => {
  sockets.handleUpgrade(request, socket, head, (client) => {
    if (request.url === '/socket/commands') obey(client);
    else echo(client);
  });
});

function echo(client: WebSocket): void {
  client.on('message', (data, isBinary) => {
    client.send(data, { binary: isBinary }, () => {
      if (client.isPaused && client.bufferedAmount < echoBytesMax) client.resume();
    });
    if (client.bufferedAmount >= echoBytesMax) client.pause();
  });
}

function obey(client: WebSocket): void {
  client.on('message', (data) => {
    const [command, code, reason] = (data as Buffer).toString().split(' ');
    if (command === 'close') client.close(Number(code), reason);
    else client.ping('from the application');
  });
  client.on('pong', (data) => {
    client.send(`pong ${data.toString()}`);
  });
  client.on('close', (code, reason) => closes.push(`${code} ${reason.toString()}`));
}

await app.listen({ host: '127.0.0.1', port: 0 });
const address = app.server.address();
if (address === null || typeof address === 'string') throw new Error('not listening');
process.stdout.write(`${JSON.stringify({ name, port: address.port })}\n`);
// Nobody is left to serve for.
process.stdin.resume();
await once(process.stdin, 'end');
process.exit(0);
