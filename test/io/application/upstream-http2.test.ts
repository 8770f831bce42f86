import assert from 'node:assert/strict';
import { type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { describe, it } from 'node:test';
import { readBody, StreamBody } from '../../support/stream-body.ts';
import { crc32 } from 'node:zlib';
import { Http2Rig, requestOf, startHttp2Origin } from './upstream-http2-rig.ts';

const hello = (stream: ServerHttp2Stream): void => {
  stream.respond({ ':status': 200 });
  stream.end('hello');
};

describe('a request over HTTP/2', () => {
  it('carries what it had, the marks of peers and nothing of the hop', async (t) => {
    const seen: string[][] = [];
    const origin = await startHttp2Origin(t, hello);
    origin.server.on('stream', (_stream, _headers, _flags, fields) => seen.push(fields));
    const rig = new Http2Rig(t, origin.port);
    const asker = rig.ask(
      requestOf({
        target: '/a?b',
        headers: [
          ['Host', 'shop:81'],
          ['Cookie', 'a=1'],
          ['User-Agent', 'x'],
          ['User-Agent', 'y'],
          ['X-Latin', 'caf\u00e9'],
          ['TE', 'trailers'],
        ],
      }),
    );
    await asker.over;
    assert.deepEqual(seen[0], [
      ...[':method', 'GET', ':scheme', 'http', ':authority', 'shop:81', ':path', '/a?b'],
      ...['cookie', 'a=1', 'user-agent', 'x', 'user-agent', 'y', 'x-latin', 'caf\u00e9'],
      ...['te', 'trailers', 'proxy-beroute', 'p1', 'proxy-bekey', 'k'.repeat(22)],
    ]);
  });

  it('names the server where the client named no host', async (t) => {
    const hosts: (string | undefined)[] = [];
    const origin = await startHttp2Origin(t, (stream, headers) => {
      hosts.push(headers[':authority']);
      hello(stream);
    });
    const rig = new Http2Rig(t, origin.port);
    await rig.ask(requestOf({ headers: [] })).over;
    await rig.ask(requestOf({ headers: [['Host', '']] })).over;
    const server = `127.0.0.1:${origin.port}`;
    assert.deepEqual(hosts, [server, server]);
  });

  it('that asks for an upgrade goes without it, and is answered', async (t) => {
    const seen: unknown[] = [];
    const origin = await startHttp2Origin(t, (stream, headers) => {
      seen.push(headers.upgrade, headers['x-other']);
      stream.respond({ ':status': 426 }, { endStream: true });
    });
    const rig = new Http2Rig(t, origin.port);
    const headers = [
      ['Host', 'a'],
      ['Upgrade', 'websocket'],
      ['X-Other', '1'],
    ] as const;
    const asker = rig.ask(requestOf({ headers, framing: { kind: 'tunnel' } }));
    await asker.over;
    assert.deepEqual([asker.status, asker.code, ...seen], [426, undefined, undefined, '1']);
  });

  it('brings its body, by length or without', async (t) => {
    const lengths: (string | undefined)[] = [];
    const origin = await startHttp2Origin(t, (stream, headers) => {
      lengths.push(headers['content-length']);
      stream.respond({ ':status': 200 });
      stream.pipe(stream);
    });
    const rig = new Http2Rig(t, origin.port);
    const measured = rig.ask(requestOf({ method: 'POST', framing: { kind: 'length', bytes: 6 } }));
    measured.request.data(Buffer.from('abc'));
    measured.request.data(Buffer.from('def'));
    measured.request.end([]);
    const empty = rig.ask(requestOf({ method: 'POST', framing: { kind: 'length', bytes: 0 } }));
    empty.request.end([]);
    const open = rig.ask(requestOf({ method: 'POST', framing: { kind: 'chunked' } }));
    open.request.data(Buffer.from('xyz'));
    open.request.end([]);
    await Promise.all([measured.over, empty.over, open.over]);
    assert.deepEqual([measured.text, empty.text, open.text], ['abcdef', '', 'xyz']);
    assert.deepEqual(lengths, ['6', '0', undefined]);
  });

  it('and its response have trailers', async (t) => {
    const sums: (string | string[] | undefined)[] = [];
    const origin = await startHttp2Origin(t, (stream) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.on('wantTrailers', () => {
        stream.sendTrailers({ 'x-back': '2', 'content-type': 'no/no' });
      });
      stream.on('trailers', (trailers: IncomingHttpHeaders) => {
        sums.push(trailers['x-sum'], trailers['x-both']);
        stream.end('ok');
      });
      stream.resume();
    });
    const rig = new Http2Rig(t, origin.port);
    const asker = rig.ask(requestOf({ method: 'POST', framing: { kind: 'chunked' } }));
    asker.request.data(Buffer.from('abc'));
    asker.request.end([
      ['X-Sum', '1'],
      ['X-Both', 'a'],
      ['X-Both', 'b'],
    ]);
    await asker.over;
    assert.deepEqual(sums, ['1', 'a, b']);
    assert.deepEqual([asker.text, asker.trailers], ['ok', [['x-back', '2']]]);
  });

  it('that cannot be written ends alone', async (t) => {
    const origin = await startHttp2Origin(t, hello);
    const rig = new Http2Rig(t, origin.port);
    const bad = rig.ask(requestOf({ target: '/a b' }));
    const good = rig.ask();
    await Promise.all([bad.over, good.over]);
    assert.deepEqual([bad.code, good.text, rig.count('unwritable')], ['broken', 'hello', 1]);
  });

  it('with trailers that cannot be written breaks, and nothing else', async (t) => {
    const origin = await startHttp2Origin(t, (stream) => stream.resume());
    const rig = new Http2Rig(t, origin.port);
    const asker = rig.ask(requestOf({ method: 'POST', framing: { kind: 'chunked' } }));
    asker.request.data(Buffer.from('abc'));
    asker.request.end([['X Sum', '1']]);
    await asker.over;
    assert.deepEqual([asker.code, rig.count('unwritable')], ['broken', 1]);
  });
});

describe('a response over HTTP/2', () => {
  it('keeps its fields in order, without those of the hop and the marks', async (t) => {
    const origin = await startHttp2Origin(t, (stream) => {
      const fields = { ':status': 201, 'set-cookie': ['a=1', 'b=2'], 'proxy-beroute': 'p9' };
      stream.respond({ ...fields, 'x-latin': 'caf\u00e9', 'content-length': 2 }, {
        sendDate: false,
      } as object);
      stream.end('ok');
    });
    const rig = new Http2Rig(t, origin.port);
    const asker = await rig.ask().over;
    const [head] = asker.heads;
    assert.deepEqual(
      [head?.status, head?.reason, head?.framing],
      [201, '', { kind: 'length', bytes: 2 }],
    );
    assert.deepEqual(
      head?.headers.list().filter(([name]) => name !== 'date'),
      [
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
        ['x-latin', 'caf\u00e9'],
      ],
    );
  });

  it('comes behind 100 and early hints', async (t) => {
    const origin = await startHttp2Origin(t, (stream, headers) => {
      assert.equal(headers.expect, '100-continue');
      stream.additionalHeaders({ ':status': 100 });
      stream.additionalHeaders({ ':status': 103, link: '</a.css>' });
      stream.on('data', () => undefined).on('end', () => hello(stream));
    });
    const rig = new Http2Rig(t, origin.port);
    const asker = rig.ask(
      requestOf({
        method: 'PUT',
        headers: [
          ['Host', 'a'],
          ['Expect', '100-continue'],
        ],
        framing: { kind: 'length', bytes: 3 },
      }),
    );
    const told = asker.head.bind(asker);
    asker.head = (head) => {
      told(head);
      if (head.status !== 103) return;
      asker.request.data(Buffer.from('abc'));
      asker.request.end([]);
    };
    await asker.over;
    assert.deepEqual(
      asker.heads.map(({ status }) => status),
      [100, 103, 200],
    );
    assert.equal(asker.heads[1]?.headers.get('link'), '</a.css>');
    assert.equal(asker.text, 'hello');
  });

  it('says of its body what is known of it', async (t) => {
    const kinds: Record<string, (stream: ServerHttp2Stream) => void> = {
      '/alone': (stream) =>
        stream.respond({ ':status': 200, 'grpc-status': 12 }, { endStream: true }),
      '/alone-of-no-length': (stream) =>
        stream.respond({ ':status': 200, 'content-length': 0 }, { endStream: true }),
      '/streamed': hello,
      '/unchanged': (stream) =>
        stream.respond({ ':status': 304, 'content-length': 7 }, { endStream: true }),
      '/nothing': (stream) => stream.respond({ ':status': 204 }, { endStream: true }),
      '/head': (stream) =>
        stream.respond({ ':status': 200, 'content-length': 9 }, { endStream: true }),
      '/bare-head': (stream) => stream.respond({ ':status': 200 }, { endStream: true }),
    };
    const origin = await startHttp2Origin(t, (stream, headers) =>
      kinds[headers[':path']!]!(stream),
    );
    const rig = new Http2Rig(t, origin.port);
    const framings: Record<string, unknown> = {};
    for (const target of Object.keys(kinds)) {
      const method = target.endsWith('head') ? 'HEAD' : 'GET';
      const asker = await rig.ask(requestOf({ method, target })).over;
      assert.deepEqual([asker.code, asker.trailers], [undefined, []], target);
      framings[target] = asker.heads[0]?.framing;
    }
    assert.deepEqual(framings, {
      '/alone': { kind: 'none' },
      '/alone-of-no-length': { kind: 'none' },
      '/streamed': { kind: 'chunked' },
      '/unchanged': { kind: 'length', bytes: 7 },
      '/nothing': { kind: 'none' },
      '/head': { kind: 'length', bytes: 9 },
      '/bare-head': { kind: 'none' },
    });
  });

  it('is broken where length and body differ', async (t) => {
    const origin = await startHttp2Origin(t, (stream, headers) => {
      stream.respond({ ':status': 200, 'content-length': 5 });
      stream.end(headers[':path'] === '/long' ? 'too long' : 'abc');
    });
    const rig = new Http2Rig(t, origin.port);
    for (const target of ['/long', '/short']) {
      const asker = await rig.ask(requestOf({ target })).over;
      assert.deepEqual([asker.code, asker.trailers], ['broken', undefined], target);
    }
  });

  it('that comes before the request is whole ends the request', async (t) => {
    const codes: number[] = [];
    const origin = await startHttp2Origin(t, (stream) => {
      stream.on('close', () => codes.push(stream.rstCode));
      stream.respond({ ':status': 413 }, { endStream: true });
    });
    const rig = new Http2Rig(t, origin.port);
    const asker = rig.ask(requestOf({ method: 'POST', framing: { kind: 'chunked' } }));
    asker.request.data(Buffer.from('abc'));
    await asker.over;
    await origin.empty();
    assert.deepEqual([asker.status, asker.trailers, asker.code], [413, [], undefined]);
    asker.request.data(Buffer.from('more'));
    asker.request.end([]);
    assert.deepEqual(
      [await rig.ask().over.then(({ status }) => status), rig.upstream.connections],
      [413, 1],
    );
  });

  it('and its request may be large', async (t) => {
    const bytes = 64 * 1024 * 1024;
    const down = new StreamBody(bytes);
    let received: unknown;
    const origin = await startHttp2Origin(t, (stream) => {
      stream.respond({ ':status': 200 });
      void (async () => {
        received = await readBody(stream);
        for (const block of down) {
          if (!stream.write(block)) await new Promise((resolve) => stream.once('drain', resolve));
        }
        stream.end();
      })();
    });
    const rig = new Http2Rig(t, origin.port);
    const asker = rig.ask(requestOf({ method: 'POST', framing: { kind: 'length', bytes } }));
    asker.keepsBody = false;
    let sum = 0;
    asker.onData = (chunk) => (sum = crc32(chunk, sum));
    const up = new StreamBody(bytes);
    let most = 0;
    for (const block of up) {
      await asker.ready();
      asker.request.data(block);
      most = Math.max(most, rig.upstream.bufferedBytes);
    }
    asker.request.end([]);
    await asker.over;
    assert.deepEqual(received, up.reading);
    assert.deepEqual({ bytes: asker.bytes, crc32: sum }, down.reading);
    assert.ok(most <= 262_144, `${most} bytes waited`);
  });
});
