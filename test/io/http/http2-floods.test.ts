import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { http2Limits, httpDefaults, linkLimits } from '../../../src/config/defaults.ts';
import {
  codeOf,
  data,
  endStream,
  errorCodes,
  fieldSection,
  frame,
  FrameClient,
  get,
  headers,
  initialWindowSize,
  post,
  reset,
  settings,
  windowUpdate,
} from '../../support/http2-frames.ts';
import type { Rig } from './http-rig.ts';
import { answering, ask, dial, quick, startHttp2, Stub } from './http2-rig.ts';
import { until } from './listener-parts.ts';

/** The client is cut off, its connection is gone and another one is served. */
async function assertCutOff(t: TestContext, rig: Rig, client: FrameClient): Promise<void> {
  await client.closed();
  await until(() => rig.listener.connections === 0);
  assert.equal((await ask(dial(t, rig.port))).headers[':status'], 200);
  assert.equal(rig.counters.get('http_defects', 'stream'), 0);
}

describe('a client of HTTP/2 that floods its peer', () => {
  it('with streams that it resets at once is cut off (CVE-2023-44487)', async (t) => {
    const stub = answering();
    const rig = await startHttp2(t, stub.serve);
    const client = new FrameClient(t, rig.port);
    const head = fieldSection(get());
    const most = http2Limits.resetsBurst;
    for (let at = 0; at < 2 * most; at++) {
      const stream = 2 * at + 1;
      client.send(frame('headers', 0x5, stream, head), reset(stream));
    }
    await client.until(() => client.frames.some(({ type }) => type === 'goaway'));
    assert.equal(codeOf(await client.first('goaway')), errorCodes.calm);
    assert.equal(rig.counters.get('http2_goaways', 'resets'), 1);
    assert.ok(stub.requests.length <= most);
    await assertCutOff(t, rig, client);
  });

  it('with streams reset while they are served is cut off, and none leaks', async (t) => {
    const stub = new Stub((request) => {
      if (request.head.target === '/end') request.answer();
    });
    const rig = await startHttp2(t, stub.serve);
    const client = new FrameClient(t, rig.port);
    for (let at = 0; !client.isClosed; at++) {
      const stream = 2 * at + 1;
      client.send(headers(stream, get()));
      await client.ping(`${at}`).catch(() => undefined);
      client.send(reset(stream));
    }
    assert.equal(rig.counters.get('http2_goaways', 'resets'), 1);
    await until(() => stub.requests.every(({ wasReset }) => wasReset === 'cancelled'));
    const most = http2Limits.resetsBurst;
    assert.ok(Math.abs(stub.requests.length - most) <= most / 2, `${stub.requests.length}`);
    assert.equal(rig.counters.get('http_aborts', 'client'), stub.requests.length);
  });

  it('may reset what is left of its requests behind whole answers', async (t) => {
    const rig = await startHttp2(t, answering().serve);
    const client = new FrameClient(t, rig.port);
    const most = 2 * http2Limits.resetsBurst;
    for (let at = 0; at < most; at++) {
      const stream = 2 * at + 1;
      client.send(headers(stream, post(), 0));
      await client.ended(stream);
      client.send(reset(stream));
    }
    await client.ping();
    assert.equal(rig.counters.get('http2_goaways', 'resets'), 0);
  });

  it('with faults that make the peer reset streams is cut off', async (t) => {
    const rig = await startHttp2(t, answering().serve);
    const client = new FrameClient(t, rig.port);
    const head = fieldSection([...get(), ['connection', 'close']]);
    for (let at = 0; at < 4 * http2Limits.invalidFramesMax; at++) {
      client.send(frame('headers', 0x5, 2 * at + 1, head));
    }
    await assertCutOff(t, rig, client);
    assert.equal(rig.counters.get('http2_goaways', 'invalid-frames'), 1);
  });

  it('with requests that do not agree with themselves is cut off', async (t) => {
    const rig = await startHttp2(t, answering().serve);
    const client = new FrameClient(t, rig.port);
    const head = fieldSection([...get(), ['host', 'b.example.org']]);
    for (let at = 0; at < 2 * http2Limits.resetsBurst; at++) {
      client.send(frame('headers', 0x5, 2 * at + 1, head));
      if (at % 50 === 49) await client.ping(`${at}`).catch(() => undefined);
    }
    await assertCutOff(t, rig, client);
    assert.equal(rig.counters.get('http2_goaways', 'resets'), 1);
  });

  it('with more streams than it may have is refused, then cut off', async (t) => {
    const stub = new Stub((request) => {
      if (request.head.target === '/end') request.answer();
    });
    const rig = await startHttp2(t, stub.serve, { streamsMax: 10 });
    const client = new FrameClient(t, rig.port);
    await client.ping();
    const head = fieldSection(get());
    for (let at = 0; at < 10 + 2 * http2Limits.rejectedStreamsMax; at++) {
      client.send(frame('headers', 0x5, 2 * at + 1, head));
    }
    await client.closed();
    assert.equal(stub.requests.length, 10);
    await until(() => stub.requests.every(({ wasReset }) => wasReset === 'cancelled'));
  });

  it('with an endless field section is cut off (CVE-2024-27983)', async (t) => {
    const rig = await startHttp2(t, answering().serve);
    const client = new FrameClient(t, rig.port);
    const piece = fieldSection(Array.from({ length: 64 }, () => ['x-a', 'b'.repeat(128)] as const));
    client.send(frame('headers', endStream, 1, fieldSection(get())));
    for (let at = 0; at < 1_000; at++) client.send(frame('continuation', 0, 1, piece));
    await assertCutOff(t, rig, client);
    assert.equal(rig.counters.get('http_requests', 'received'), 1);
  });

  it('with field sections that unpack to much more has them refused', async (t) => {
    const rig = await startHttp2(t, answering().serve);
    const client = new FrameClient(t, rig.port);
    // 4 KiB in the dynamic table (RFC 7541 section 6.2.1), referred to by a byte each.
    const value = Buffer.alloc(3_900, 0x61);
    const entry = Buffer.concat([Buffer.of(0x40, 1, 0x78, 127, 0xbd, 0x1d), value]);
    const references = Buffer.alloc(8_000, 0x80 | 62);
    client.send(
      frame('headers', 0x5, 1, Buffer.concat([fieldSection(get()), entry, references])),
      headers(3, get('/next')),
    );
    assert.equal(await client.ended(1), 'reset');
    assert.equal(codeOf(await client.first('reset', 1)), errorCodes.calm);
    await client.ended(3);
    assert.equal(client.body(3).toString(), '/next');
  });

  for (const [what, excess, flood, most] of [
    ['SETTINGS', 'settings', settings(), http2Limits.settingsBurst],
    ['PING', 'pings', frame('ping', 0, 0, Buffer.alloc(8)), http2Limits.pingsBurst],
  ] as const) {
    it(`with ${what} is cut off (CVE-2019-9512, -9515)`, async (t) => {
      const rig = await startHttp2(t, answering().serve);
      const client = new FrameClient(t, rig.port);
      await client.ping();
      // In turns, so that the limit on frames that wait to be answered is not the one that acts.
      for (let at = 0; at < 2 * most && !client.isClosed; at += 50) {
        client.send(...Array.from({ length: 50 }, () => flood));
        await client.ping(`${at}`).catch(() => undefined);
      }
      await client.closed();
      assert.equal(codeOf(await client.first('goaway')), errorCodes.calm);
      assert.equal(rig.counters.get('http2_goaways', excess), 1);
      await assertCutOff(t, rig, client);
    });
  }

  it('with a PING for each piece of an answer measures, as gRPC clients do', async (t) => {
    const rig = await startHttp2(t, answering().serve);
    const client = new FrameClient(t, rig.port);
    const most = 2 * http2Limits.pingsBurst;
    for (let at = 0; at < most; at += 50) {
      const asked = Array.from({ length: 50 }, (_, more) => headers(2 * (at + more) + 1, get()));
      client.send(...asked);
      await client.ended(2 * (at + 49) + 1);
      client.send(...asked.map(() => frame('ping', 0, 0, Buffer.alloc(8))));
    }
    await client.ping();
    assert.equal(rig.counters.get('http2_goaways', 'pings'), 0);
  });

  it('with PING and takes no answers is cut off', async (t) => {
    const rig = await startHttp2(t, answering().serve);
    const client = new FrameClient(t, rig.port);
    await client.ping();
    client.socket.pause();
    const flood = Buffer.concat(
      Array.from({ length: 1_000 }, () => frame('ping', 0, 0, Buffer.alloc(8))),
    );
    for (let at = 0; at < 20; at++) client.send(flood);
    await until(() => rig.listener.connections === 0);
    assert.equal((await ask(dial(t, rig.port))).headers[':status'], 200);
  });

  it('with empty DATA is cut off (CVE-2019-9518)', async (t) => {
    const stub = new Stub((request) => {
      if (request.head.method === 'GET') request.answer();
    });
    const rig = await startHttp2(t, stub.serve);
    const client = new FrameClient(t, rig.port);
    client.send(headers(1, post(), 0));
    await until(() => stub.requests.length === 1);
    const flood = Buffer.concat(Array.from({ length: 1_000 }, () => data(1, '')));
    for (let at = 0; at < 20 && !client.isClosed; at++) client.send(flood);
    await assertCutOff(t, rig, client);
    assert.equal(stub.requests[0]!.wasReset, 'cancelled');
    assert.equal(rig.counters.get('http2_goaways', 'invalid-frames'), 1);
  });
});

function hasReset(client: FrameClient): boolean {
  return client.frames.some(({ type }) => type === 'reset');
}

describe('a client of HTTP/2 that takes nothing', () => {
  const megabyte = Buffer.alloc(1_048_576, 'a');

  it('costs no more than its streams may hold, and each is reset in time', async (t) => {
    const stub = new Stub((request) => {
      if (request.head.target === '/end') request.answer();
      else request.begin().data(Buffer.from(megabyte.subarray(0, 65_536)));
    });
    const rig = await startHttp2(t, stub.serve, { timeouts: { ...quick, writeMs: 100 } });
    const client = new FrameClient(t, rig.port, settings([initialWindowSize, 0]));
    for (let at = 0; at < 20; at++) client.send(headers(2 * at + 1, get()));
    await until(
      () => stub.requests.length === 20 && stub.requests.every(({ isPaused }) => isPaused),
    );
    assert.equal(rig.listener.bufferedBytes, 20 * 65_536);
    await client.ended(39);
    await until(() => stub.requests.every(({ wasReset }) => wasReset === 'cancelled'));
    assert.equal(rig.counters.get('http_timeouts', 'write'), 20);
    assert.equal(rig.counters.get('http2_resets', 'timeout'), 20);
    assert.equal(rig.listener.bufferedBytes, 0);
    client.send(windowUpdate(0, 65_535), headers(41, get('/end')));
    assert.match(await client.ended(41), /^headers/);
  });

  it('gets further streams, whatever instances of other peers have on their way', async (t) => {
    const piece = Buffer.alloc(65_536);
    const stub = new Stub((request) => {
      const response = request.begin();
      for (let sent = 0; sent < linkLimits.exchangeWindowBytes; sent += piece.length) {
        response.data(piece);
      }
    });
    const rig = await startHttp2(t, stub.serve);
    const client = new FrameClient(
      t,
      rig.port,
      Buffer.concat([settings([initialWindowSize, 70_000]), windowUpdate(0, 2 ** 30)]),
    );
    const streams = Array.from(
      { length: httpDefaults.streamsPerConnection },
      (_, at) => 2 * at + 1,
    );
    for (const stream of streams) {
      client.send(headers(stream, get()));
      // Behind the first piece go all the others at one time.
      await client.until(() => client.body(stream).length === 70_000 || hasReset(client));
    }
    assert.ok(!hasReset(client));
  });

  it('gets no further stream while an instance that heeds nothing fills it', async (t) => {
    const piece = Buffer.alloc(65_536);
    const stub = new Stub((request) => {
      const response = request.begin();
      for (let sent = 0; sent < 16_777_216; sent += piece.length) response.data(piece);
    });
    const rig = await startHttp2(t, stub.serve, { streamsMax: 2 });
    const client = new FrameClient(t, rig.port);
    client.send(headers(1, get()));
    // Behind the first piece go all the others at one time.
    await client.until(() => client.body(1).length === 65_535);
    client.send(windowUpdate(0, 65_536), windowUpdate(1, 65_536));
    await client.until(() => client.body(1).length === 131_071);
    client.send(headers(3, get()));
    assert.equal(await client.ended(3), 'reset');
    assert.equal(codeOf(await client.first('reset', 3)), errorCodes.calm);
  });

  it('of its connection either is gone in time', async (t) => {
    const stub = new Stub((request) => {
      request.begin();
    });
    const rig = await startHttp2(t, stub.serve, {
      timeouts: { ...quick, writeMs: 100, idleMs: 100, lingerMs: 100 },
    });
    const client = new FrameClient(
      t,
      rig.port,
      Buffer.concat([settings([initialWindowSize, 2 ** 31 - 1]), windowUpdate(0, 2 ** 30)]),
    );
    await client.ping();
    client.send(headers(1, get()));
    await client.first('headers', 1);
    client.socket.pause();
    const [request] = stub.requests;
    let sent = 0;
    while (request?.wasReset === undefined) {
      // More than the system takes on the way, then an instance that heeds its pauses.
      if (request?.isPaused === false && sent < 64) {
        request.response.data(Buffer.from(megabyte));
        sent++;
      }
      assert.ok(rig.listener.bufferedBytes <= 4 * megabyte.length);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(sent < 64, 'it never was too much');
    await until(() => rig.listener.connections === 0);
  });

  it('and brings its body in crumbs while it is held is reset', async (t) => {
    const stub = new Stub((request) => {
      request.response.pause();
    });
    const rig = await startHttp2(t, stub.serve, { timeouts: quick });
    const client = new FrameClient(t, rig.port);
    const crumbs = Array.from({ length: 2 * http2Limits.heldPiecesMax }, () => data(1, 'a'));
    client.send(headers(1, post(), 0), ...crumbs);
    assert.equal(await client.ended(1), 'reset');
    assert.equal(codeOf(await client.first('reset', 1)), errorCodes.calm);
    assert.equal(rig.counters.get('http2_resets', 'pieces'), 1);
    assert.equal(stub.requests[0]!.wasReset, 'cancelled');
  });
});
