import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { httpLimits } from '../../../src/config/defaults.ts';
import { SourcePlaces } from '../../../src/io/accept/index.ts';
import { NetworkSet } from '../../../src/pipeline/network.ts';
import { exchange, RawClient, type Rig, startRig } from './http-rig.ts';
import { echoing, nothing, until } from './listener-parts.ts';

const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
/** Above 10 ms: below the least rate when a byte comes each time. */
const dripMs = 20;

/** Sends `piece` again and again until the server has closed. */
async function drip(t: TestContext, client: RawClient, piece: string): Promise<string> {
  const timer = setInterval(() => {
    if (client.socket.writable) client.send(piece);
  }, dripMs);
  t.after(() => {
    clearInterval(timer);
  });
  const text = await client.end();
  clearInterval(timer);
  return text;
}

/** Somebody else is served as if nothing were. */
async function assertServed(t: TestContext, rig: Rig): Promise<void> {
  const raw = 'GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
  assert.match(await exchange(t, rig.port, raw), /^HTTP\/1\.1 200 OK\r\n[^]*GET \/other\n/);
}

describe('clients that drip', { timeout: 20_000 }, () => {
  const timeouts = { sweepIntervalMs: 5, headMs: 120, bodyMs: 120, idleMs: 120 };

  const heads: readonly (readonly [why: string, begin: string, piece: string])[] = [
    ['a request line', 'GET /', 'a'],
    ['a header', 'GET / HTTP/1.1\r\nHost: ', 'a'],
    ['header after header', 'GET / HTTP/1.1\r\n', 'X: a\r\n'],
  ];
  for (const [why, begin, piece] of heads) {
    it(`${why} get 408 when the time of a head is over`, async (t) => {
      const rig = await startRig(t, { instances: { p1: echoing }, listener: { timeouts } });
      const client = new RawClient(t, rig.port);
      client.send(begin);
      assert.match(await drip(t, client, piece), /^HTTP\/1\.1 408 Request Timeout\r\n/);
      assert.equal(rig.counters.get('http_timeouts', 'head'), 1);
      await assertServed(t, rig);
    });
  }

  it('empty lines are refused at the second', async (t) => {
    const rig = await startRig(t, { instances: { p1: echoing }, listener: { timeouts } });
    assert.match(await drip(t, new RawClient(t, rig.port), '\r\n'), /^HTTP\/1\.1 400 /);
  });

  const bodies: readonly (readonly [why: string, begin: string, piece: string])[] = [
    ['a body', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n', 'a'],
    [
      'the size of a chunk',
      'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n',
      '0',
    ],
    ['trailers', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ', 'a'],
  ];
  for (const [why, begin, piece] of bodies) {
    it(`${why} get 408, or are refused, and the instance is told`, async (t) => {
      const resets: string[] = [];
      const serve = () => ({ ...nothing, reset: (code: string) => resets.push(code) });
      const rig = await startRig(t, { instances: { p1: serve }, listener: { timeouts } });
      const client = new RawClient(t, rig.port);
      client.send(begin);
      assert.match(await drip(t, client, piece), /^HTTP\/1\.1 4(?:08|00) /);
      assert.equal(resets.length, 1);
      assert.equal(rig.listener.bufferedBytes, 0);
    });
  }

  it('pieces of a body that arrive fast enough are borne', async (t) => {
    let received = 0;
    const rig = await startRig(t, {
      instances: {
        p1: (name, request, envelope, response) => ({
          ...nothing,
          data: (chunk) => (received += chunk.length),
          end: () => echoing(name, request, envelope, response),
        }),
      },
      listener: { timeouts },
    });
    const client = new RawClient(t, rig.port);
    const pieces = 25;
    const piece = 'a'.repeat(4_096);
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${pieces * piece.length}\r\n`);
    client.send('Connection: close\r\n\r\n');
    let sent = 0;
    const timer = setInterval(() => {
      if (sent++ < pieces) client.send(piece);
      else clearInterval(timer);
    }, dripMs);
    assert.match(await client.end(), /^HTTP\/1\.1 200 OK\r\n/);
    assert.equal(received, pieces * piece.length);
    assert.equal(rig.counters.get('http_timeouts', 'body'), 0);
  });
});

describe('clients that send too much', { timeout: 20_000 }, () => {
  it('of a head get 431, and no more than its limit is held', async (t) => {
    const rig = await startRig(t, { instances: { p1: echoing } });
    const client = new RawClient(t, rig.port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n');
    const line = `X: ${'a'.repeat(1_019)}\r\n`;
    while (!client.text.startsWith('HTTP/1.1 431 ') && !client.isClosed) {
      if (client.socket.writable) client.send(line);
      await turn();
    }
    assert.match(client.text, /^HTTP\/1\.1 431 /);
    assert.equal(rig.counters.get('http_faults', 'HTTP_HEAD_TOO_LARGE'), 1);
    await assertServed(t, rig);
  });

  it('headers get 431', async (t) => {
    const rig = await startRig(t, { instances: { p1: echoing } });
    const raw = `GET / HTTP/1.1\r\nHost: a\r\n${'X: a\r\n'.repeat(5_000)}\r\n`;
    assert.match(await exchange(t, rig.port, raw), /^HTTP\/1\.1 431 /);
    assert.equal(rig.counters.get('http_faults', 'HTTP_HEADERS_TOO_MANY'), 1);
  });

  it('requests at once, and read no answer, are read no further', async (t) => {
    const rig = await startRig(t, { instances: { p1: echoing } });
    const client = new RawClient(t, rig.port);
    client.socket.pause();
    const many = get('/many').repeat(500);
    let before = -1;
    let most = 0;
    // Until no bytes have been taken for many turns: all buffers between are full.
    for (let still = 0; still < 300; still++) {
      while (client.socket.writableLength < 262_144) client.send(many);
      await turn();
      const taken = client.socket.bytesWritten - client.socket.writableLength;
      if (taken !== before) still = 0;
      before = taken;
      most = Math.max(most, rig.listener.bufferedBytes);
    }
    assert.ok(most < 4 * httpLimits.pipelinedBytesMax, `${most} bytes were held`);
    const served = rig.counters.get('http_requests', 'received');
    await assertServed(t, rig);
    assert.equal(rig.counters.get('http_requests', 'received'), served + 1);
    client.socket.destroy();
    await until(() => rig.listener.connections === 0);
    assert.equal(rig.listener.bufferedBytes, 0);
  });

  it('requests byte by byte behind one that waits are held up to a limit', async (t) => {
    const rig = await startRig(t, { instances: { p1: () => nothing } });
    const client = new RawClient(t, rig.port);
    client.send(get('/waits'));
    await until(() => rig.counters.get('http_requests', 'received') === 1);
    let most = 0;
    for (let sent = 0; sent < 3_000; sent++) {
      client.send('GET /'.charAt(sent % 5));
      if (sent % 4 === 0) await turn();
      most = Math.max(most, rig.listener.bufferedBytes);
    }
    assert.ok(most > 0 && most <= httpLimits.pipelinedBytesMax, `${most} bytes were held`);
    assert.equal(rig.counters.get('http_requests', 'received'), 1);
  });
});

describe('very many clients', { timeout: 30_000 }, () => {
  const count = 2_000;

  /** Connects them all, each with the same first bytes. */
  async function crowd(t: TestContext, rig: Rig, first: string): Promise<RawClient[]> {
    const clients: RawClient[] = [];
    // No more at once than the system lets wait for us.
    while (clients.length < count) {
      for (let more = 0; more < 250; more++) clients.push(new RawClient(t, rig.port));
      await until(() => rig.counters.get('http_connections', 'accepted') === clients.length);
    }
    for (const client of clients) if (first !== '') client.send(first);
    return clients;
  }

  it('that say nothing, or half a head, hinder nobody and are closed in their time', async (t) => {
    for (const [first, counted] of [
      ['', 'idle'],
      ['GET / HTTP/1.1\r\nHost: a\r\n', 'head'],
    ] as const) {
      const timeouts = { sweepIntervalMs: 20, headMs: 1_500, idleMs: 1_500, lingerMs: 500 };
      const rig = await startRig(t, {
        instances: { p1: echoing },
        listener: { timeouts, trustedProxies: ['127.0.0.1'] },
      });
      const clients = await crowd(t, rig, first);
      for (let round = 0; round < 20; round++) await assertServed(t, rig);
      const texts = await Promise.all(clients.map((client) => client.end()));
      const answer = counted === 'idle' ? /^$/ : /^HTTP\/1\.1 408 /;
      for (const text of texts) assert.match(text, answer);
      assert.equal(rig.counters.get('http_timeouts', counted), count);
      await until(() => rig.listener.connections === 0);
    }
  });

  it('above the limit of connections are closed at once and counted', async (t) => {
    const rig = await startRig(t, {
      instances: { p1: echoing },
      listener: { connectionsMax: 100 },
    });
    const within = Array.from({ length: 100 }, () => new RawClient(t, rig.port));
    await until(() => rig.listener.connections === 100);
    const above = Array.from({ length: 400 }, () => new RawClient(t, rig.port));
    for (const client of above) assert.equal(await client.end(), '');
    assert.equal(rig.counters.get('http_connections', 'refused'), 400);
    within[0]!.send(get('/within'));
    await within[0]!.until(/GET \/within\n/);
  });

  it('of one address take no place of another', async (t) => {
    const sources = new SourcePlaces(50, new NetworkSet([]));
    const rig = await startRig(t, { instances: { p1: echoing }, listener: { sources } });
    const many = Array.from({ length: 200 }, () => new RawClient(t, rig.port));
    await until(() => many.filter(({ isClosed }) => isClosed).length === 150);
    const to = { host: '127.0.0.1', port: rig.port, localAddress: '127.0.0.2' };
    const other = new RawClient(t, connect(to));
    other.send(get('/other'));
    await other.until(/GET \/other\n/);
    assert.equal(rig.listener.connections, 51);
  });
});
