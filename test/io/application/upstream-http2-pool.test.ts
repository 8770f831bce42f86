import assert from 'node:assert/strict';
import type { ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { describe, it } from 'node:test';
import { createUpstreamHttp, UpstreamApplication } from '../../../src/io/application/upstream.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import { upstreamConfig } from '../http/http-rig.ts';
import { until } from '../http/listener-parts.ts';
import { Inbox } from '../sip/sip-rig.ts';
import {
  Asker,
  envelope,
  Http2Rig,
  RawHttp2,
  requestOf,
  startHttp2Origin,
} from './upstream-http2-rig.ts';

function answer(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200 });
  stream.end('ok');
}

/** Asks for so much, some at one time, each answer making room for the next question. */
async function load(
  rig: Http2Rig,
  requests: number,
  atOnce: number,
): Promise<Map<unknown, number>> {
  const outcomes = new Map<unknown, number>();
  let left = requests;
  const lane = async (): Promise<void> => {
    while (left-- > 0) {
      const { code, text } = await rig.ask().over;
      outcomes.set(code ?? text, (outcomes.get(code ?? text) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return outcomes;
}

describe('sessions with an HTTP/2 server', () => {
  it('carry 10,000 requests, and are few', async (t) => {
    const origin = await startHttp2Origin(t, answer);
    const rig = new Http2Rig(t, origin.port);
    assert.deepEqual([...(await load(rig, 10_000, 250))], [['ok', 10_000]]);
    // More than wait for one that opens made a few more.
    assert.ok(rig.count('connect') <= 3, `${rig.count('connect')} sessions`);
    await origin.empty();
  });

  it('are opened when the others carry what the server allows', async (t) => {
    const held = new Inbox<ServerHttp2Stream>();
    const origin = await startHttp2Origin(t, (stream) => held.put(stream), {
      settings: { maxConcurrentStreams: 2 },
    });
    const rig = new Http2Rig(t, origin.port);
    const askers: Asker[] = [];
    const streams: ServerHttp2Stream[] = [];
    const counts: number[] = [];
    for (let at = 0; at < 5; at++) {
      askers.push(rig.ask());
      streams.push(await held.take());
      counts.push(rig.upstream.connections);
    }
    assert.deepEqual(counts, [1, 1, 2, 2, 3]);
    streams.forEach(answer);
    await Promise.all(askers.map(({ over }) => over));
    rig.ask();
    await held.take();
    assert.equal(rig.count('connect'), 3);
  });

  it('are opened when many requests wait for the first', async (t) => {
    const origin = await startHttp2Origin(t, answer);
    const rig = new Http2Rig(t, origin.port, { limits: { openingMax: 2 } });
    const askers = [rig.ask(), rig.ask(), rig.ask()];
    assert.deepEqual([rig.upstream.connections, rig.upstream.waiting], [2, 3]);
    await Promise.all(askers.map(({ over }) => over));
    assert.deepEqual(
      askers.map(({ text }) => text),
      ['ok', 'ok', 'ok'],
    );
  });

  it('never carry more than the server allows, whatever waited for them', async (t) => {
    const origin = await startHttp2Origin(t, (stream) => setImmediate(answer, stream), {
      settings: { maxConcurrentStreams: 4 },
    });
    const rig = new Http2Rig(t, origin.port, { connectionsMax: 1 });
    assert.deepEqual([...(await load(rig, 200, 50))], [['ok', 200]]);
    assert.deepEqual([origin.streamsMost, rig.count('connect')], [4, 1]);
  });

  it('never carry more than is configured', async (t) => {
    const origin = await startHttp2Origin(t, (stream) => setImmediate(answer, stream));
    const limits = { streamsMax: 3 };
    const rig = new Http2Rig(t, origin.port, { connectionsMax: 1, limits });
    assert.deepEqual([...(await load(rig, 100, 20))], [['ok', 100]]);
    assert.equal(origin.streamsMost, 3);
  });

  it('let requests wait when all are full: so many, and so long', async (t) => {
    const held = new Inbox<ServerHttp2Stream>();
    const origin = await startHttp2Origin(t, (stream) => held.put(stream));
    const rig = new Http2Rig(t, origin.port, {
      connectionsMax: 1,
      queueMax: 1,
      limits: { streamsMax: 1 },
      timeouts: { queueMs: 300 },
    });
    const first = rig.ask();
    const stream = await held.take();
    const late = rig.ask();
    const tooMuch = rig.ask();
    assert.equal(rig.upstream.waiting, 1);
    await Promise.all([late.over, tooMuch.over]);
    assert.deepEqual([late.code, tooMuch.code], ['timeout', 'limit']);
    assert.deepEqual([rig.count('queue-timeout'), rig.count('queue-full')], [1, 1]);
    const next = rig.ask();
    answer(stream);
    await first.over;
    answer(await held.take());
    assert.equal((await next.over).text, 'ok');
  });

  it('have no place for requests whose asker went away', async (t) => {
    const held = new Inbox<ServerHttp2Stream>();
    const origin = await startHttp2Origin(t, (stream) => held.put(stream));
    const rig = new Http2Rig(t, origin.port, {
      connectionsMax: 1,
      queueMax: 1,
      limits: { streamsMax: 1, openingMax: 1 },
    });
    rig.ask().request.reset('cancelled');
    assert.equal(rig.upstream.waiting, 0);
    const first = rig.ask();
    const stream = await held.take();
    rig.ask().request.reset('cancelled');
    const next = rig.ask();
    assert.equal(rig.upstream.waiting, 1);
    answer(stream);
    await first.over;
    answer(await held.take());
    assert.equal((await next.over).text, 'ok');
    assert.equal(rig.count('queue-full'), 0);
  });

  it('close when they have been idle', async (t) => {
    const origin = await startHttp2Origin(t, answer);
    const rig = new Http2Rig(t, origin.port, { timeouts: { idleMs: 20 } });
    await rig.ask().over;
    const session = await origin.opened.take();
    await new Promise((resolve) => session.once('close', resolve));
    assert.equal((await rig.ask().over).text, 'ok');
    assert.equal(rig.count('connect'), 2);
  });

  it('are gone when they have been idle, even if the server keeps its end', async (t) => {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      const origin = new RawHttp2(socket);
      void origin.next(1).then(({ stream }) => {
        origin.send(1, 5, stream, Buffer.of(0x88));
      });
      t.after(() => socket.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const rig = new Http2Rig(t, port, { timeouts: { idleMs: 20 }, limits: { restMs: 20 } });
    assert.equal((await rig.ask().over).status, 200);
    await until(() => rig.upstream.connections === 0);
    assert.equal(rig.count('session-error'), 0);
  });

  it('are replaced before they run out of numbers', async (t) => {
    const origin = await startHttp2Origin(t, (stream) => setImmediate(answer, stream));
    const limits = { sessionRequestsMax: 10 };
    const rig = new Http2Rig(t, origin.port, { connectionsMax: 1, limits });
    assert.deepEqual([...(await load(rig, 100, 4))], [['ok', 100]]);
    assert.deepEqual([rig.count('connect'), rig.count('refused-stream')], [10, 0]);
  });

  it('end with the pool: what runs breaks, what waits is refused', async (t) => {
    const held = new Inbox<ServerHttp2Stream>();
    const origin = await startHttp2Origin(t, (stream) => held.put(stream));
    const limits = { streamsMax: 1 };
    const rig = new Http2Rig(t, origin.port, { connectionsMax: 1, limits });
    const running = rig.ask();
    await held.take();
    const waiting = rig.ask();
    await rig.upstream.stop();
    const late = rig.ask();
    assert.deepEqual([running.code, waiting.code, late.code], ['broken', 'refused', 'refused']);
    assert.equal(rig.upstream.connections, 0);
  });

  it('end with the pool while they open', async (t) => {
    const origin = await startHttp2Origin(t, answer);
    const rig = new Http2Rig(t, origin.port);
    const asker = rig.ask(requestOf({ method: 'POST', framing: { kind: 'chunked' } }));
    await rig.upstream.stop();
    assert.deepEqual([asker.code, rig.upstream.connections], ['refused', 0]);
  });

  it('are what an application has whose server is configured to speak HTTP/2', async (t) => {
    const origin = await startHttp2Origin(t, answer);
    const counters = new Counters();
    for (const protocol of ['http2', 'http1'] as const) {
      const config = upstreamConfig(origin.port, { protocol });
      const http = createUpstreamHttp({ config, counters, log: { warn: () => undefined } });
      const application = new UpstreamApplication({ sip: undefined, http, counters });
      const asker = new Asker();
      application.serveHttp(requestOf(), envelope, asker).end([]);
      await asker.over;
      await application.stop();
      assert.equal(asker.code ?? asker.text, protocol === 'http2' ? 'ok' : 'broken');
    }
  });
});
