import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, it, type TestContext } from 'node:test';
import { metric } from '../support/cluster.ts';
import { residentMiB, tellsMemory } from '../support/memory.ts';
import { ringOf, startPeerProcess, startSprayer, type PeerProcess } from '../support/peers.ts';
import { readBody, StreamBody, type BodyReading } from '../support/stream-body.ts';

const gib = 2 ** 30;
const bodyBytes = process.env['SAILRING_FULL'] === '1' ? gib : gib / 4;

/**
 * Half of the smallest body, so that a peer which gathers bodies fails. The windows of the link and of
 * the sockets hold some MiB; V8 grows its young generation and lets used buffers lie for a while, which
 * was 90 MiB at most after 4 GiB.
 */
const growthMiBMax = 128;

const host = '127.0.0.1';

/** `PUT /sink` tells what it read; `GET /source` gives a body and tells about it in a trailer. */
async function startUpstream(t: TestContext): Promise<number> {
  const server = createServer((message, response) => {
    serve(message, response).catch((error: unknown) => response.destroy(error as Error));
  }).listen(0, host);
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

/** The body that the upstream server gave last. */
const given: { body: StreamBody | undefined } = { body: undefined };

async function serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
  if (message.url === '/login') {
    response.setHeader('set-cookie', 'JSESSIONID=of-this-test; Path=/').end();
    return;
  }
  if (message.method === 'PUT') {
    const reading = await readBody(message);
    response.end(JSON.stringify({ ...reading, framing: framingOf(message) }));
    return;
  }
  given.body = new StreamBody(bodyBytes);
  if (message.url === '/source?length') response.setHeader('content-length', bodyBytes);
  await pipeline(Readable.from(given.body), response);
}

function framingOf({ headers }: IncomingMessage): string {
  return headers['transfer-encoding'] ?? `length ${headers['content-length']}`;
}

/** Two peers with one upstream server; the sprayer knows the first only, the session is the second's. */
async function startAcrossTheLink(t: TestContext) {
  const port = await startUpstream(t);
  const application = {
    kind: 'upstream',
    sip: { host, port: 9, transport: 'udp' },
    http: { host, port },
  };
  const owner = await startPeerProcess(t, 'owner', { application });
  const ingress = await startPeerProcess(t, 'ingress', {
    application,
    gossip: { listen: { address: host, port: 0 }, seeds: [owner.gossip] },
  });
  await ringOf([owner.admin, ingress.admin], 2);
  const login = await fetch(`http://${owner.http}/login`);
  // Round robin may have chosen the other; the stamp says who has the session.
  const cookies = await sessionAt(owner, login);
  const sprayer = await startSprayer(t, [ingress]);
  return { peers: [ingress, owner], sprayer: sprayer.http, cookies, ingress };
}

/** Cookies of a session of this peer. */
async function sessionAt(peer: PeerProcess, first: Response): Promise<string> {
  for (let login = first; ; login = await fetch(`http://${peer.http}/login`)) {
    const cookies = login.headers.getSetCookie().map((line) => line.split(';')[0]);
    const text = cookies.join('; ');
    if (text.includes(`BEROUTE=${peer.name}.`)) return text;
  }
}

async function upload(
  address: string,
  cookie: string,
  body: StreamBody,
  headers: Record<string, string>,
): Promise<BodyReading & { framing: string }> {
  const sent = request(`http://${address}/sink`, {
    method: 'PUT',
    agent: false,
    headers: { cookie, ...headers },
  });
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
  await pipeline(Readable.from(body), sent);
  const [response] = await answered;
  assert.equal(response.statusCode, 200);
  let text = '';
  for await (const piece of response) text += String(piece);
  return JSON.parse(text) as BodyReading & { framing: string };
}

async function download(address: string, cookie: string, target: string): Promise<BodyReading> {
  const sent = request(`http://${address}${target}`, { agent: false, headers: { cookie } }).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  assert.equal(response.statusCode, 200);
  return readBody(response);
}

describe('A long body from one peer to the other', { timeout: 120_000 }, () => {
  it('passes whole, up and down, and no peer keeps it in memory', async (t) => {
    if (!tellsMemory) {
      t.skip('the system has no /proc to read memory from');
      return;
    }
    const { peers, sprayer, cookies, ingress } = await startAcrossTheLink(t);
    const before = await Promise.all(peers.map(({ pid }) => residentMiB(pid)));
    const size = String(bodyBytes);
    for (const [headers, framing] of [
      [{ 'content-length': size }, `length ${size}`],
      [{ 'transfer-encoding': 'chunked' }, 'chunked'],
    ] as const) {
      const body = new StreamBody(bodyBytes);
      const seen = await upload(sprayer, cookies, body, headers);
      assert.deepEqual(seen, { ...body.reading, framing });
      assert.equal(seen.bytes, bodyBytes);
    }
    for (const target of ['/source?length', '/source?chunked']) {
      const seen = await download(sprayer, cookies, target);
      assert.deepEqual(seen, given.body?.reading);
      assert.equal(seen.bytes, bodyBytes);
    }
    assert.equal(await metric(`http://${ingress.admin}`, 'sailring_http_routed_total', 'stamp'), 4);
    for (const [at, { name, pid }] of peers.entries()) {
      const { now } = before[at]!;
      const { peak } = await residentMiB(pid);
      t.diagnostic(`${name}: ${now.toFixed(0)} MiB before, at most ${peak.toFixed(0)} MiB`);
      assert.ok(peak - now <= growthMiBMax, `${name} grew from ${now} to ${peak} MiB`);
    }
  });
});
