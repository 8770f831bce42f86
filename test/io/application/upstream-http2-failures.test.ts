import assert from 'node:assert/strict';
import { once } from 'node:events';
import { constants, type ServerHttp2Stream } from 'node:http2';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { closedPort, startOrigin, startRawOrigin } from '../http/http-rig.ts';
import { Inbox } from '../sip/sip-rig.ts';
import { Http2Rig, requestOf, startHttp2Origin, startRawHttp2 } from './upstream-http2-rig.ts';

const post = requestOf({ method: 'POST', framing: { kind: 'chunked' } });

function answer(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200 });
  stream.end('ok');
}

/** A way to the server on which, from a moment on, nothing passes any more. */
async function startFreezer(
  t: TestContext,
  port: number,
): Promise<{ port: number; freeze: () => void }> {
  const sockets: Socket[] = [];
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const socket of [near, far]) socket.on('error', () => undefined);
    sockets.push(near, far);
    near.pipe(far).pipe(near);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const freeze = (): void => {
    for (const socket of sockets) socket.unpipe().pause();
  };
  return { port: (server.address() as AddressInfo).port, freeze };
}

describe('an HTTP/2 server that cannot be spoken to', () => {
  it('refuses while nobody listens, and is told of once', async (t) => {
    const rig = new Http2Rig(t, await closedPort());
    const codes = [];
    for (let at = 0; at < 3; at++) codes.push((await rig.ask().over).code);
    assert.deepEqual(codes, ['refused', 'refused', 'refused']);
    assert.equal(rig.count('unreachable'), 3);
    assert.deepEqual(
      rig.logged.map(({ message }) => message),
      ['Upstream HTTP server is out of reach'],
    );
  });

  it('refuses when it speaks HTTP/1, and is told of once', async (t) => {
    const requests: unknown[] = [];
    const rig = new Http2Rig(t, await startOrigin(t, (request) => requests.push(request)));
    const codes = [];
    for (let at = 0; at < 3; at++) codes.push((await rig.ask().over).code);
    assert.deepEqual(codes, ['refused', 'refused', 'refused']);
    assert.deepEqual([rig.count('not-http2'), requests.length], [3, 0]);
    assert.match(String(rig.logged[0]?.message), /does not speak HTTP\/2/);
    assert.equal(rig.logged.length, 1);
  });

  it('refuses when it takes connections and says nothing', async (t) => {
    const port = await startRawOrigin(t, (socket) => socket.resume());
    const rig = new Http2Rig(t, port, { timeouts: { connectMs: 20 } });
    const asker = await rig.ask(post).over;
    assert.deepEqual([asker.code, rig.count('timeout-connect')], ['refused', 1]);
    assert.equal(rig.upstream.connections, 0);
  });

  it('gets no requests for a while when it keeps failing', async (t) => {
    const rig = new Http2Rig(t, await closedPort(), { ejection: { failures: 2 } });
    for (let at = 0; at < 3; at++) assert.equal((await rig.ask().over).code, 'refused');
    assert.deepEqual([rig.count('ejected'), rig.count('turned-away')], [1, 1]);
  });
});

describe('an HTTP/2 server that is late', () => {
  it('has its time to answer, and hears of the end of it', async (t) => {
    const codes = new Inbox<number>();
    const origin = await startHttp2Origin(t, (stream) => {
      stream.on('close', () => codes.put(stream.rstCode));
    });
    const rig = new Http2Rig(t, origin.port, { timeouts: { responseMs: 20 } });
    const asker = await rig.ask().over;
    assert.deepEqual([asker.code, rig.count('timeout-response')], ['timeout', 1]);
    assert.equal(await codes.take(), constants.NGHTTP2_CANCEL);
    assert.equal(rig.upstream.connections, 1);
  });

  it('has its time only from the whole request on', async (t) => {
    const held = new Inbox<ServerHttp2Stream>();
    const origin = await startHttp2Origin(t, (stream, headers) => {
      stream.resume();
      if (headers[':method'] === 'POST') stream.on('end', () => answer(stream));
      else held.put(stream);
    });
    const rig = new Http2Rig(t, origin.port, { timeouts: { responseMs: 150 } });
    const uploading = rig.ask(post);
    uploading.request.data(Buffer.from('abc'));
    // Begun later and over before: the time of the first would be over, too.
    await rig.ask().over;
    await rig.ask().over;
    uploading.request.end([]);
    assert.equal((await uploading.over).text, 'ok');
  });

  it('has its time when it does not take the request', async (t) => {
    const { port } = await startRawHttp2(t);
    const rig = new Http2Rig(t, port, { timeouts: { responseMs: 20 } });
    const asker = rig.ask(post);
    asker.request.data(Buffer.alloc(262_144));
    assert.deepEqual([(await asker.over).code, asker.pauses > 0], ['timeout', true]);
  });

  it('has its time between two pieces of a body, while somebody takes them', async (t) => {
    const origin = await startHttp2Origin(t, (stream) => {
      stream.respond({ ':status': 200 });
      stream.write('half');
    });
    const rig = new Http2Rig(t, origin.port, { timeouts: { bodyMs: 20 } });
    const paused = rig.ask();
    await paused.headed;
    paused.request.pause();
    const first = await rig.ask().over;
    const second = await rig.ask().over;
    assert.deepEqual([first.code, second.code, paused.code], ['timeout', 'timeout', undefined]);
    paused.request.resume();
    assert.equal((await paused.over).code, 'timeout');
    assert.deepEqual([paused.text, rig.count('timeout-body')], ['half', 3]);
  });

  it('may take what is left of a request that it has answered, for a while', async (t) => {
    const { port, opened } = await startRawHttp2(t);
    const rig = new Http2Rig(t, port, { limits: { restMs: 20 } });
    const bytes = 1_000_000;
    const asker = rig.ask(requestOf({ method: 'POST', framing: { kind: 'length', bytes } }));
    asker.request.data(Buffer.alloc(bytes));
    asker.request.end([]);
    const server = await opened.take();
    const { stream } = await server.next(1);
    server.ok(stream);
    server.data(stream, 'early', true);
    assert.equal((await asker.over).text, 'early');
    const { payload } = await server.next(3);
    assert.equal(payload.readUInt32BE(), constants.NGHTTP2_CANCEL);
    assert.deepEqual([rig.count('connect'), rig.upstream.bufferedBytes], [1, 0]);
  });

  it('is asked whether it lives, and counts as dead without a word', async (t) => {
    const held = new Inbox<ServerHttp2Stream>();
    const origin = await startHttp2Origin(t, (stream) => held.put(stream));
    const { port, freeze } = await startFreezer(t, origin.port);
    const limits = { silenceMs: 20, pingMs: 20 };
    const rig = new Http2Rig(t, port, { limits });
    const asker = rig.ask();
    await held.take();
    freeze();
    assert.deepEqual([(await asker.over).code, rig.count('timeout-ping')], ['broken', 1]);
  });

  it('lives when it answers that, and is not asked often', async (t) => {
    let pings = 0;
    const pinged = new Inbox<true>();
    const held = new Inbox<ServerHttp2Stream>();
    const origin = await startHttp2Origin(t, (stream) => held.put(stream));
    const limits = { silenceMs: 20, pingMs: 2_000 };
    const rig = new Http2Rig(t, origin.port, { limits, timeouts: { responseMs: 600 } });
    const patient = rig.ask();
    (await origin.opened.take()).on('ping', () => {
      pings++;
      pinged.put(true);
    });
    const stream = await held.take();
    await pinged.take();
    // Many times as long as the silence before it.
    await patient.over;
    assert.deepEqual([patient.code, pings, stream.session?.destroyed], ['timeout', 1, false]);
    const next = rig.ask();
    answer(await held.take());
    assert.equal((await next.over).text, 'ok');
    assert.equal(rig.count('connect'), 1);
  });
});

describe('a stream that its server resets', () => {
  const outcomes = [
    [constants.NGHTTP2_INTERNAL_ERROR, 'broken'],
    [constants.NGHTTP2_CANCEL, 'broken'],
    [constants.NGHTTP2_NO_ERROR, 'broken'],
    [constants.NGHTTP2_HTTP_1_1_REQUIRED, 'broken'],
    [constants.NGHTTP2_ENHANCE_YOUR_CALM, 'limit'],
    [constants.NGHTTP2_REFUSED_STREAM, 'refused'],
  ] as const;
  for (const [code, expected] of outcomes) {
    it(`with code ${code} is ${expected}`, async (t) => {
      const origin = await startHttp2Origin(t, (stream, headers) => {
        if (headers[':path'] === '/ok') answer(stream);
        else stream.close(code);
      });
      const rig = new Http2Rig(t, origin.port);
      const asker = await rig.ask().over;
      assert.deepEqual([asker.code, asker.heads], [expected, []]);
      // Refused requests are sent again, but not for ever.
      assert.equal(rig.count('refused-stream'), expected === 'refused' ? 3 : 0);
      assert.equal((await rig.ask(requestOf({ target: '/ok' })).over).text, 'ok');
      assert.equal(rig.count('connect'), 1);
    });
  }

  for (const code of [constants.NGHTTP2_NO_ERROR, constants.NGHTTP2_REFUSED_STREAM]) {
    it(`with code ${code} is broken when its response has begun`, async (t) => {
      const { port, opened } = await startRawHttp2(t);
      const rig = new Http2Rig(t, port);
      const asker = rig.ask();
      const server = await opened.take();
      const { stream } = await server.next(1);
      server.ok(stream);
      server.data(stream, 'half');
      await asker.headed;
      server.reset(stream, code);
      assert.deepEqual([(await asker.over).code, asker.trailers], ['broken', undefined]);
      assert.equal(rig.count('refused-stream'), 0);
    });
  }

  for (const framing of [post.framing, { kind: 'length', bytes: 6 } as const]) {
    it(`is reset, never ended, when its asker gives up a ${framing.kind} body`, async (t) => {
      const { port, opened } = await startRawHttp2(t);
      const rig = new Http2Rig(t, port);
      const asker = rig.ask(requestOf({ method: 'POST', framing }));
      asker.request.data(Buffer.from('abc'));
      const server = await opened.take();
      await server.next(0);
      asker.request.reset('cancelled');
      const { type, payload } = await server.frames.take();
      assert.deepEqual([type, payload.readUInt32BE()], [3, constants.NGHTTP2_CANCEL]);
    });

    it(`is reset when its response is whole before a ${framing.kind} body`, async (t) => {
      const { port, opened } = await startRawHttp2(t);
      const rig = new Http2Rig(t, port, { limits: { restMs: 3_600_000 } });
      const asker = rig.ask(requestOf({ method: 'POST', framing }));
      asker.request.data(Buffer.from('abc'));
      const server = await opened.take();
      const { stream } = await server.next(0);
      server.ok(stream);
      server.data(stream, 'whole', true);
      assert.equal((await asker.over).text, 'whole');
      const { type, payload } = await server.frames.take();
      assert.deepEqual([type, payload.readUInt32BE()], [3, constants.NGHTTP2_CANCEL]);
    });
  }

  it('without an error behind a whole response has that response', async (t) => {
    const { port, opened } = await startRawHttp2(t);
    const rig = new Http2Rig(t, port);
    const asker = rig.ask(post);
    asker.request.data(Buffer.from('abc'));
    const server = await opened.take();
    const { stream } = await server.next(1);
    server.ok(stream);
    server.data(stream, 'whole', true);
    server.reset(stream, constants.NGHTTP2_NO_ERROR);
    assert.deepEqual([(await asker.over).text, asker.trailers], ['whole', []]);
  });

  it('is sent again with its body when it was not processed', async (t) => {
    let refusals = 2;
    const origin = await startHttp2Origin(t, (stream) => {
      if (refusals-- > 0) {
        stream.close(constants.NGHTTP2_REFUSED_STREAM);
        return;
      }
      stream.respond({ ':status': 200 });
      stream.pipe(stream);
    });
    const rig = new Http2Rig(t, origin.port);
    const asker = rig.ask(post);
    asker.request.data(Buffer.from('abc'));
    while (rig.count('refused-stream') < 2) await rig.counted('refused-stream');
    asker.request.data(Buffer.from('def'));
    asker.request.end([]);
    assert.equal((await asker.over).text, 'abcdef');
  });

  it('is refused when its body is too large to be kept', async (t) => {
    const held = new Inbox<ServerHttp2Stream>();
    const origin = await startHttp2Origin(t, (stream) => {
      stream.resume();
      held.put(stream);
    });
    const rig = new Http2Rig(t, origin.port);
    const asker = rig.ask(post);
    const stream = await held.take();
    asker.request.data(Buffer.alloc(65_537));
    await once(stream, 'data');
    stream.close(constants.NGHTTP2_REFUSED_STREAM);
    assert.equal((await asker.over).code, 'refused');
    assert.equal(rig.count('refused-stream'), 1);
  });

  it('with 10,000 others leaves nothing when their askers give up', async (t) => {
    const seen = new Inbox<true>();
    const origin = await startHttp2Origin(
      t,
      (stream, headers) => {
        seen.put(true);
        if (headers[':path'] === '/silent') return;
        stream.respond({ ':status': 200 });
        stream.write('x'.repeat(1_000));
      },
      { streamResetBurst: 100_000, streamResetRate: 100_000 },
    );
    const rig = new Http2Rig(t, origin.port);
    rig.ask(requestOf({ target: '/silent' })).request.reset('cancelled');
    for (let round = 0; round < 100; round++) {
      const askers = Array.from({ length: 100 }, (_, at) => {
        const target = at % 2 === 0 ? '/silent' : '/begun';
        const asker = rig.ask(at % 4 < 2 ? requestOf({ target }) : { ...post, target });
        if (at % 4 > 1) asker.request.data(Buffer.from('abc'));
        return { asker, isBegun: at % 2 === 1 };
      });
      for (const { asker, isBegun } of askers) {
        if (isBegun) await asker.headed;
        else await seen.take();
      }
      askers.forEach(({ asker }, at) => {
        if (at % 3 === 0) asker.request.pause();
        asker.request.reset('cancelled');
      });
    }
    await origin.empty();
    assert.equal(rig.upstream.bufferedBytes, 0);
    assert.deepEqual([rig.count('connect'), rig.count('reset-stream')], [1, 0]);
  });
});

describe('a session that its server ends', () => {
  it('loses nothing that was not processed', async (t) => {
    const served = new Map<string, number>();
    let streams = 0;
    const origin = await startHttp2Origin(t, (stream, headers) => {
      const path = headers[':path']!;
      served.set(path, (served.get(path) ?? 0) + 1);
      setImmediate(answer, stream);
      // What is on its way now comes too late for this session.
      if (++streams % 50 === 0) stream.session!.close();
    });
    const rig = new Http2Rig(t, origin.port);
    let next = 0;
    const failures: unknown[] = [];
    const lane = async (): Promise<void> => {
      while (next < 3_000) {
        const framing = next % 2 === 0 ? post.framing : requestOf().framing;
        const asker = rig.ask(requestOf({ method: 'POST', target: `/${next++}`, framing }));
        asker.request.data(Buffer.from('abc'));
        if (framing.kind === 'chunked') asker.request.end([]);
        if ((await asker.over).text !== 'ok') failures.push(asker.code);
      }
    };
    await Promise.all(Array.from({ length: 40 }, lane));
    assert.deepEqual(failures, []);
    assert.equal(served.size, 3_000);
    assert.deepEqual(
      [...served.values()].filter((times) => times > 1),
      [],
    );
    assert.ok(rig.count('goaway') >= 30, `${rig.count('goaway')} left`);
  });

  it('breaks those that it may have processed, and moves the others', async (t) => {
    const held = new Inbox<ServerHttp2Stream>();
    let isFirst = true;
    const origin = await startHttp2Origin(t, (stream) => {
      if (isFirst) held.put(stream);
      else answer(stream);
    });
    const rig = new Http2Rig(t, origin.port);
    const askers = [rig.ask(), rig.ask(post), rig.ask(post)];
    askers[2]!.request.data(Buffer.from('abc'));
    askers[2]!.request.end([]);
    const first = await held.take();
    await held.take();
    await held.take();
    isFirst = false;
    first.session!.goaway(constants.NGHTTP2_INTERNAL_ERROR, first.id);
    await Promise.all(askers.map(({ over }) => over));
    assert.deepEqual(
      askers.map(({ code, text }) => code ?? text),
      ['broken', 'ok', 'ok'],
    );
    assert.equal(rig.count('refused-stream'), 2);
  });

  it('goes on with what it has while others go elsewhere', async (t) => {
    const held = new Inbox<ServerHttp2Stream>();
    const origin = await startHttp2Origin(t, (stream) => held.put(stream));
    const rig = new Http2Rig(t, origin.port, { connectionsMax: 1 });
    const old = rig.ask();
    const stream = await held.take();
    stream.session!.close();
    await rig.counted('goaway');
    const other = rig.ask();
    answer(await held.take());
    assert.equal((await other.over).text, 'ok');
    assert.equal(rig.upstream.connections, 2);
    answer(stream);
    assert.equal((await old.over).text, 'ok');
  });

  it('breaks what runs when its connection does', async (t) => {
    const held = new Inbox<ServerHttp2Stream>();
    const origin = await startHttp2Origin(t, (stream) => held.put(stream));
    const rig = new Http2Rig(t, origin.port);
    const askers = [rig.ask(), rig.ask(post)];
    const stream = await held.take();
    await held.take();
    stream.session!.socket.destroy();
    await Promise.all(askers.map(({ over }) => over));
    assert.deepEqual(
      askers.map(({ code }) => code),
      ['broken', 'broken'],
    );
    assert.deepEqual([rig.count('reset-stream'), rig.upstream.connections], [2, 0]);
  });

  it('that was kept too long gets a request a second time that may be repeated', async (t) => {
    let streams = 0;
    const origin = await startHttp2Origin(t, (stream) => {
      if (++streams % 2 === 0) stream.session!.socket.destroy();
      else answer(stream);
    });
    const rig = new Http2Rig(t, origin.port);
    await rig.ask().over;
    assert.equal((await rig.ask().over).text, 'ok');
    assert.equal(rig.count('stale'), 1);
    const once = rig.ask(requestOf({ method: 'POST' }));
    assert.equal((await once.over).code, 'broken');
  });
});

describe('whoever is slow over HTTP/2', () => {
  it('holds the server back when it is the reader', async (t) => {
    const bytes = 8_388_608;
    let sent = 0;
    const origin = await startHttp2Origin(t, (stream, headers) => {
      if (headers[':path'] === '/small') {
        answer(stream);
        return;
      }
      stream.respond({ ':status': 200 });
      const send = (): void => {
        while (sent < bytes) {
          sent += 65_536;
          if (stream.write(Buffer.alloc(65_536))) continue;
          stream.once('drain', send);
          return;
        }
        stream.end();
      };
      send();
    });
    const rig = new Http2Rig(t, origin.port);
    const asker = rig.ask();
    await asker.headed;
    asker.request.pause();
    // Others are not held back. Long before they are through, nothing moves on the first stream.
    for (let at = 0; at < 100; at++) {
      assert.equal((await rig.ask(requestOf({ target: '/small' })).over).text, 'ok');
    }
    assert.ok(asker.bytes <= 65_536, `${asker.bytes} bytes given`);
    // The window, and what the server holds back.
    assert.ok(sent <= 262_144 + 196_608, `${sent} bytes sent`);
    asker.request.resume();
    assert.equal((await asker.over).bytes, bytes);
  });

  it('holds the asker back when it is the server', async (t) => {
    const held = new Inbox<ServerHttp2Stream>();
    const origin = await startHttp2Origin(t, (stream) => held.put(stream));
    const rig = new Http2Rig(t, origin.port);
    const asker = rig.ask(post);
    let sent = 0;
    const chunk = Buffer.alloc(16_384);
    const stream = await held.take();
    const fill = async (): Promise<void> => {
      for (; sent < 4_194_304; sent += chunk.length) {
        await asker.ready();
        asker.request.data(chunk);
      }
      asker.request.end([]);
    };
    const filled = fill();
    while (!asker.isPaused) await new Promise((resolve) => setImmediate(resolve));
    assert.ok(rig.upstream.bufferedBytes <= 131_072, `${rig.upstream.bufferedBytes} bytes wait`);
    let received = 0;
    stream.on('data', (piece: Buffer) => (received += piece.length));
    stream.on('end', () => answer(stream));
    await filled;
    assert.equal((await asker.over).text, 'ok');
    assert.deepEqual([received, rig.upstream.bufferedBytes], [4_194_304, 0]);
  });
});
