import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, it, type TestContext } from 'node:test';
import { sessionAt, startHttpPeers } from '../support/http-cluster.ts';
import { memoryGrowth, type MemoryGrowth } from '../support/http-memory.ts';
import { throttled } from '../support/http-throttle.ts';
import { tellsMemory } from '../support/memory.ts';
import { readBody, StreamBody, type BodyReading } from '../support/stream-body.ts';

const mib = 2 ** 20;
const isFull = process.env['SAILRING_FULL'] === '1';

/** Four times what may lie in a peer at the least, so that one which gathers bodies fails. */
const bodyBytes = isFull ? 2_048 * mib : 128 * mib;
const readerBytesPerSecond = 20_000_000;
const growthMiBMax = 32;

/** What a peer has served before it is measured: its code is compiled, its heap has its usual size. */
const warmRequests = 500;

const host = '127.0.0.1';

/** The body that the upstream server gave last. */
const given: { body: StreamBody | undefined } = { body: undefined };

/** `PUT` reads slowly and tells what it read; `GET /source` gives a body as fast as it is taken. */
async function serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
  if (message.method === 'PUT') {
    response.end(JSON.stringify(await readBody(throttled(message, readerBytesPerSecond))));
  } else if (message.url === '/source') {
    given.body = new StreamBody(bodyBytes);
    await pipeline(Readable.from(given.body), response);
  } else {
    response.setHeader('set-cookie', 'JSESSIONID=of-this-test; Path=/').end('small');
  }
}

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

async function upload(address: string, cookie: string): Promise<void> {
  const body = new StreamBody(bodyBytes);
  const sent = request(`http://${address}/sink`, {
    method: 'PUT',
    agent: false,
    headers: { cookie, 'content-length': bodyBytes },
  });
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
  await pipeline(Readable.from(body), sent);
  const [response] = await answered;
  assert.equal(response.statusCode, 200);
  let text = '';
  for await (const piece of response) text += String(piece);
  assert.deepEqual(JSON.parse(text), body.reading);
  assert.equal(body.reading.bytes, bodyBytes);
}

async function download(address: string, cookie: string): Promise<void> {
  const sent = request(`http://${address}/source`, { agent: false, headers: { cookie } }).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  assert.equal(response.statusCode, 200);
  const reading: BodyReading = await readBody(throttled(response, readerBytesPerSecond));
  assert.deepEqual(reading, given.body?.reading);
  assert.equal(reading.bytes, bodyBytes);
}

function words({ name, baselineMiB, peakMiB, tenthsMiB }: MemoryGrowth): string {
  const course = tenthsMiB.map((mibs) => mibs.toFixed(0)).join(' ');
  return `${name}: ${baselineMiB.toFixed(0)} MiB before, at most ${peakMiB.toFixed(0)} MiB (${course})`;
}

describe('Long bodies at the pace of slow readers', { timeout: isFull ? 300_000 : 90_000 }, () => {
  it(`pass up and down at one time, and no peer of two grows by ${growthMiBMax} MiB`, async (t) => {
    if (!tellsMemory) {
      t.skip('the system has no /proc to read memory from');
      return;
    }
    const port = await startUpstream(t);
    const [owner, ingress] = await startHttpPeers(t, [
      { host, port },
      { host, port },
    ]);
    assert.ok(owner !== undefined && ingress !== undefined);
    const cookie = await sessionAt(owner, '/login');
    for (let at = 0; at < warmRequests; at++) {
      const small = await fetch(`http://${ingress.http}/small`, { headers: { cookie } });
      assert.equal(await small.text(), 'small');
    }
    const growths = await memoryGrowth([ingress, owner], () =>
      Promise.all([upload(ingress.http, cookie), download(ingress.http, cookie)]),
    );
    for (const growth of growths) t.diagnostic(words(growth));
    for (const { name, baselineMiB, peakMiB } of growths)
      assert.ok(
        peakMiB - baselineMiB < growthMiBMax,
        `${name} grew from ${baselineMiB} to ${peakMiB} MiB`,
      );
  });
});
