import assert from 'node:assert/strict';
import type { OutgoingHttpHeaders } from 'node:http2';
import { describe, it, type TestContext } from 'node:test';
import { http2Limits, httpLimits } from '../../../src/config/defaults.ts';
import {
  codeOf,
  data,
  endHeaders,
  endStream,
  errorCodes,
  type FieldLines,
  fieldSection,
  frame,
  FrameClient,
  get,
  headers,
  post,
  preface,
  settings,
  windowUpdate,
} from '../../support/http2-frames.ts';
import type { Rig } from './http-rig.ts';
import { ask, dial, startHttp2, Stub } from './http2-rig.ts';
import { until } from './listener-parts.ts';

/** What becomes of a request: answered, its stream reset, or its connection closed. */
type Verdict = 'served' | 'stream' | 'connection' | number;

interface Case {
  /** Of RFC 9113. */
  readonly section: string;
  readonly what: string;
  readonly frames: readonly Buffer[];
  readonly verdict: Verdict;
  /** The code that the client is told. */
  readonly code?: number;
  /** What must not reach an instance. */
  readonly never?: string;
}

const trailers = (stream: number, lines: FieldLines, flags = endStream): Buffer =>
  headers(stream, lines, flags);
const [method, scheme, authority, path] = get() as [
  FieldLines[number],
  FieldLines[number],
  FieldLines[number],
  FieldLines[number],
];
const protocol = errorCodes.protocol;

/**
 * Section 8 of RFC 9113 rule by rule, as frames, and what of the sections before it decides where a
 * request begins or ends. What is malformed may cost its connection (section 5.4.2): Node's `http2`
 * chooses that where a body is longer than it said.
 */
const cases: readonly Case[] = [
  { section: '8.1', what: 'a GET', frames: [headers(1, get())], verdict: 'served' },
  {
    section: '8.1',
    what: 'a body and trailers',
    frames: [headers(1, post(), 0), data(1, 'a'), trailers(1, [['x-a', '1']])],
    verdict: 'served',
  },
  {
    section: '8.1',
    what: 'trailers that do not end the stream',
    frames: [headers(1, post(), 0), data(1, 'a'), trailers(1, [['x-a', '1']], 0)],
    verdict: 'stream',
    code: protocol,
  },
  {
    section: '8.1',
    what: 'a pseudo-header among trailers',
    frames: [headers(1, post(), 0), data(1, 'a'), trailers(1, [[':path', '/b']])],
    verdict: 'stream',
    code: protocol,
    never: '/b',
  },
  {
    section: '8.1',
    what: 'DATA behind END_STREAM',
    frames: [headers(1, get('/a')), data(1, 'a', endStream)],
    verdict: 'connection',
    code: errorCodes.streamClosed,
  },
  {
    section: '8.1',
    what: 'a second head behind END_STREAM',
    frames: [headers(1, get('/a')), headers(1, get('/b'))],
    verdict: 'connection',
    code: errorCodes.streamClosed,
    never: '/b',
  },
  {
    section: '8.1.1',
    what: 'less body than content-length',
    frames: [headers(1, post(['content-length', '5']), 0), data(1, 'abc', endStream)],
    verdict: 'stream',
    code: protocol,
  },
  {
    section: '8.1.1',
    what: 'more body than content-length',
    frames: [headers(1, post(['content-length', '2']), 0), data(1, 'abc', endStream)],
    verdict: 'connection',
  },
  {
    section: '8.1.1',
    what: 'content-length and no body',
    frames: [headers(1, post(['content-length', '5']))],
    verdict: 'stream',
    code: protocol,
  },
  {
    section: '8.1.1',
    what: 'two content-lengths',
    frames: [headers(1, post(['content-length', '1'], ['content-length', '1']), 0)],
    verdict: 'stream',
    code: protocol,
  },
  {
    section: '8.1.1',
    what: 'a content-length that is a list',
    frames: [headers(1, post(['content-length', '1, 1']), 0)],
    verdict: 'stream',
    code: protocol,
  },
  {
    section: '8.2',
    what: 'an upper-case name',
    frames: [headers(1, get('/', ['X-Upper', '1']))],
    verdict: 'stream',
    code: protocol,
  },
  // Node's `http2` drops the next ones and goes on; they must not reach anybody (section 8.2.1).
  {
    section: '8.2.1',
    what: 'CRLF in a value',
    frames: [headers(1, get('/', ['x-a', 'b\r\nx-evil: 1']))],
    verdict: 'served',
    never: 'x-evil',
  },
  {
    section: '8.2.1',
    what: 'NUL in a value',
    frames: [headers(1, get('/', ['x-evil', 'b\0c']))],
    verdict: 'served',
    never: 'x-evil',
  },
  {
    section: '8.2.1',
    what: 'a line feed in a name',
    frames: [headers(1, get('/', ['x-a\nx-evil', '1']))],
    verdict: 'served',
    never: 'x-evil',
  },
  {
    section: '8.2.1',
    what: 'a blank before a value',
    frames: [headers(1, get('/', ['x-evil', ' b']))],
    verdict: 'served',
    never: 'x-evil',
  },
  ...(
    [
      ['connection', 'close'],
      ['connection', 'x-a'],
      ['keep-alive', 'timeout=1'],
      ['proxy-connection', 'keep-alive'],
      ['transfer-encoding', 'chunked'],
      ['upgrade', 'websocket'],
      ['te', 'gzip'],
      ['te', 'trailers, gzip'],
    ] as const
  ).map((line): Case => ({
    section: '8.2.2',
    what: `${line[0]}: ${line[1]}`,
    frames: [headers(1, get('/', line))],
    verdict: 'stream',
    code: protocol,
  })),
  {
    section: '8.2.2',
    what: 'te: trailers',
    frames: [headers(1, get('/', ['te', 'trailers']))],
    verdict: 'served',
  },
  {
    section: '8.2.3',
    what: 'crumbs of a cookie',
    frames: [headers(1, get('/', ['cookie', 'a=1'], ['cookie', 'b=2']))],
    verdict: 'served',
  },
  ...(
    [
      ['a pseudo-header behind a header', [method, scheme, authority, ['x-a', '1'], path]],
      ['an unknown pseudo-header', [...get(), [':evil', '1']]],
      ['a pseudo-header of a response', [...get(), [':status', '200']]],
      ['two paths', [...get(), [':path', '/b']]],
      ['two methods', [[':method', 'POST'], ...get()]],
      ['two authorities', [...get(), [':authority', 'b.example.org']]],
      ['no path', [method, scheme, authority]],
      ['an empty path', [method, scheme, authority, [':path', '']]],
      ['a path without slash', [method, scheme, authority, [':path', 'a']]],
      ['an asterisk but OPTIONS', [method, scheme, authority, [':path', '*']]],
      ['a blank in the path', [method, scheme, authority, [':path', '/ HTTP/1.1']]],
      ['CRLF in the path', [method, scheme, authority, [':path', '/\r\nx-evil: 1']]],
      ['a fragment', [method, scheme, authority, [':path', '/a#b']]],
      ['no scheme', [method, authority, path]],
      ['another scheme', [method, [':scheme', 'ftp'], authority, path]],
      ['no method', [scheme, authority, path]],
      ['CRLF in the method', [[':method', 'GET\r\n'], scheme, authority, path]],
      ['no authority', [method, scheme, path]],
      ['an empty authority', [method, scheme, [':authority', ''], path]],
      ['userinfo', [method, scheme, [':authority', 'me@a.example.org'], path]],
      ['CRLF in the authority', [method, scheme, [':authority', 'a\r\nx-evil: 1'], path]],
      ['another Host', [...get(), ['host', 'b.example.org']]],
      ['two Hosts', [...get(), ['host', 'a.example.org'], ['host', 'b.example.org']]],
    ] as const satisfies readonly (readonly [string, FieldLines])[]
  ).map(([what, lines]): Case => ({
    section: '8.3',
    what,
    frames: [headers(1, lines)],
    verdict: 'stream',
    code: protocol,
  })),
  {
    section: '8.3.1',
    what: 'Host and no authority',
    frames: [headers(1, [method, scheme, path, ['host', 'a.example.org']])],
    verdict: 'served',
  },
  {
    section: '8.3.1',
    what: 'OPTIONS for the server as a whole',
    frames: [headers(1, [[':method', 'OPTIONS'], scheme, authority, [':path', '*']])],
    verdict: 'served',
  },
  {
    section: '8.4',
    what: 'a promise of a client',
    frames: [frame('pushPromise', endHeaders, 1, Buffer.of(0, 0, 0, 2))],
    verdict: 'connection',
    code: protocol,
  },
  {
    section: '8.5',
    what: 'CONNECT',
    frames: [
      headers(1, [
        [':method', 'CONNECT'],
        [':authority', 'a.example.org:443'],
      ]),
    ],
    verdict: 501,
  },
  {
    section: '8.5',
    what: 'CONNECT with a path',
    frames: [headers(1, [[':method', 'CONNECT'], scheme, authority, path])],
    verdict: 'stream',
    code: protocol,
  },
  {
    section: '8.5',
    what: 'extended CONNECT, which is not offered (RFC 8441)',
    frames: [
      headers(1, [[':method', 'CONNECT'], [':protocol', 'websocket'], scheme, authority, path]),
    ],
    verdict: 'stream',
    code: protocol,
  },
  {
    section: '5.1',
    what: 'DATA before any head',
    frames: [data(1, 'a')],
    verdict: 'connection',
    code: protocol,
  },
  {
    section: '5.1.1',
    what: 'an even stream',
    frames: [headers(2, get())],
    verdict: 'connection',
    code: protocol,
  },
  {
    section: '6.1',
    what: 'DATA of no stream',
    frames: [data(0, 'a')],
    verdict: 'connection',
    code: protocol,
  },
  {
    section: '6.1',
    what: 'padding longer than its frame',
    frames: [headers(1, post(), 0), frame('data', 0x8, 1, Buffer.of(200, 0x61))],
    verdict: 'connection',
    code: protocol,
  },
  {
    section: '6.2',
    what: 'another frame inside a field section',
    frames: [
      frame('headers', endStream, 1, fieldSection(get())),
      frame('ping', 0, 0, Buffer.alloc(8)),
    ],
    verdict: 'connection',
    code: protocol,
  },
  {
    section: '6.9',
    what: 'a window update of nothing',
    frames: [windowUpdate(0, 0)],
    verdict: 'connection',
    code: protocol,
  },
  {
    section: '4.2',
    what: 'a frame that is too large',
    frames: [headers(1, post(), 0), data(1, Buffer.alloc(16_385))],
    verdict: 'connection',
    code: errorCodes.frameSize,
  },
  {
    section: '4.3',
    what: 'a field section that is no HPACK',
    frames: [frame('headers', endHeaders | endStream, 1, Buffer.of(0xff, 0xff, 0xff, 0xff, 0xff))],
    verdict: 'connection',
    code: errorCodes.compression,
  },
];

/** An instance that waits for the whole request and then says what it got. */
function telling(): Stub {
  return new Stub((request) => {
    request.end = (got) => {
      const lines = request.head.headers.text;
      request.trailers = got;
      request.answer(`${request.head.method} ${request.head.target}\n${lines}`);
    };
  });
}

async function verdictOn(client: FrameClient): Promise<Verdict> {
  await client.until(() => client.isClosed || /\.$|reset$/.test(client.shape(1)));
  if (client.isClosed || client.frames.some((one) => one.type === 'goaway')) return 'connection';
  return client.shape(1).endsWith('reset') ? 'stream' : statusOf(client);
}

/** Status of the answer on stream 1: the peer's own ones say it in their text. */
function statusOf(client: FrameClient): Verdict {
  const own = /^(\d{3}) /.exec(client.body(1).toString('latin1'));
  return own === null ? 'served' : Number(own[1]);
}

describe('RFC 9113, a request that is', () => {
  for (const one of cases) {
    it(`${one.section} ${one.what}: ${one.verdict}`, async (t) => {
      const stub = telling();
      const rig = await startHttp2(t, stub.serve);
      const client = new FrameClient(t, rig.port);
      client.send(...one.frames);
      assert.equal(await verdictOn(client), one.verdict);
      if (one.code !== undefined) {
        const type = one.verdict === 'stream' ? 'reset' : 'goaway';
        const told = await client.first(type, one.verdict === 'stream' ? 1 : 0);
        assert.equal(codeOf(told), one.code);
      }
      if (one.never !== undefined) assert.ok(!heardBy(stub).includes(one.never));
      if (one.verdict !== 'served') await assertUnharmed(t, rig, stub);
    });
  }
});

/** All that instances got as text. */
function heardBy(stub: Stub): string {
  return stub.requests
    .map(({ head, trailers: got }) => `${head.target}\n${head.headers.text}${JSON.stringify(got)}`)
    .join('');
}

/** No instance took it for a whole request, and others are served. */
async function assertUnharmed(t: TestContext, rig: Rig, stub: Stub): Promise<void> {
  await until(() => stub.requests.every(isOver));
  assert.equal((await ask(dial(t, rig.port))).headers[':status'], 200);
  assert.equal(rig.counters.get('http_defects', 'stream'), 0);
  assert.equal(rig.counters.get('http_defects', 'connection'), 0);
}

function isOver(request: Stub['requests'][number]): boolean {
  return request.wasReset !== undefined || request.trailers !== undefined;
}

describe('a request of HTTP/2 that cannot be served', () => {
  it('is answered where it is no fault of form, and its connection goes on', async (t) => {
    const stub = telling();
    const rig = await startHttp2(t, stub.serve);
    const session = dial(t, rig.port, { maxSendHeaderBlockLength: 1_048_576 });
    const many = Array.from(
      { length: httpLimits.headerCountMax },
      (_, at) => [`x-${at}`, ''] as const,
    );
    for (const [status, fields] of [
      [414, { ':path': `/${'a'.repeat(httpLimits.targetBytesMax)}` }],
      [431, Object.fromEntries([...many, ['x', '1']])],
      [431, { 'x-long': 'a'.repeat(httpLimits.headBytesMax) }],
      [417, { expect: 'wonders' }],
      [501, { ':method': 'TRACE' }],
    ] as readonly (readonly [number, OutgoingHttpHeaders])[]) {
      assert.equal((await ask(session, fields)).headers[':status'], status);
      assert.equal(rig.counters.get('http_errors', String(status)) > 0, true);
    }
    assert.equal(stub.requests.length, 0);
    assert.equal((await ask(session)).headers[':status'], 200);
    assert.equal(rig.counters.get('http_requests', 'received'), 1);
  });

  it('is answered before its body comes where that would be too large', async (t) => {
    const stub = telling();
    const rig = await startHttp2(t, stub.serve);
    const client = new FrameClient(t, rig.port);
    const length = String(httpLimits.requestBodyBytesMax + 1);
    client.send(headers(1, post(['content-length', length]), 0));
    assert.equal(await client.ended(1), 'headers data.');
    assert.equal(client.body(1).toString(), '413 Content Too Large\n');
    assert.equal(stub.requests.length, 0);
  });

  it('is none on a stream below the last one', async (t) => {
    const stub = telling();
    const rig = await startHttp2(t, stub.serve);
    const client = new FrameClient(t, rig.port);
    client.send(headers(3, get('/a')), headers(1, get('/b')));
    await client.ended(3);
    await client.ping().catch(() => undefined);
    assert.deepEqual(
      stub.requests.map(({ head }) => head.target),
      ['/a'],
    );
  });

  it('may not send more than its window', async (t) => {
    const stub = new Stub((request) => {
      request.response.pause();
    });
    const rig = await startHttp2(t, stub.serve);
    const client = new FrameClient(t, rig.port);
    const pieces = Array.from({ length: 5 }, () => data(1, Buffer.alloc(16_384)));
    client.send(headers(1, post(), 0), ...pieces);
    const verdict = await verdictOn(client);
    assert.ok(verdict === 'stream' || verdict === 'connection');
    const codes = client.frames
      .filter(({ type }) => type === 'reset' || type === 'goaway')
      .map((one) => codeOf(one));
    assert.deepEqual(codes, [errorCodes.flowControl]);
    await until(() => stub.requests[0]!.wasReset === 'cancelled');
  });

  it('counts what was wrong', async (t) => {
    const rig = await startHttp2(t, telling().serve);
    const client = new FrameClient(t, rig.port);
    client.send(headers(1, get('/', ['host', 'b.example.org'])));
    await client.ended(1);
    assert.equal(rig.counters.get('http_faults', 'HTTP_HOST_INVALID'), 1);
    assert.equal(rig.counters.get('http2_resets', 'malformed'), 1);
  });

  it('has one of its bodies reset when trailers cannot go on', async (t) => {
    const stub = telling();
    const rig = await startHttp2(t, stub.serve);
    const client = new FrameClient(t, rig.port);
    const lines = Array.from(
      { length: httpLimits.trailerCountMax + 1 },
      (_, at) => [`x-${at}`, ''] as const,
    );
    client.send(headers(1, post(), 0), data(1, 'a'), headers(1, lines));
    assert.equal(await client.ended(1), 'reset');
    assert.equal(rig.counters.get('http_faults', 'HTTP_TRAILER_INVALID'), 1);
    assert.equal(stub.requests[0]!.wasReset, 'cancelled');
  });

  it('is reset beyond what is announced', async (t) => {
    const rig = await startHttp2(t, telling().serve);
    const client = new FrameClient(t, rig.port);
    const lines = Array.from({ length: http2Limits.fieldLinesMax }, () => ['a', ''] as const);
    client.send(headers(1, get('/', ...lines)));
    assert.equal(await client.ended(1), 'reset');
    assert.equal(codeOf(await client.first('reset', 1)), errorCodes.calm);
  });

  it('is none without the preface or its SETTINGS', async (t) => {
    const rig = await startHttp2(t, telling().serve);
    for (const first of [headers(1, get()), frame('ping', 0, 0, Buffer.alloc(8))]) {
      const client = new FrameClient(t, rig.port, first);
      await client.closed();
      assert.equal(codeOf(await client.first('goaway')), protocol);
    }
    assert.equal(rig.counters.get('http_requests', 'received'), 0);
  });

  it('does not become HTTP/2 within a connection of HTTP/1.1', async (t) => {
    const stub = telling();
    const rig = await startHttp2(t, stub.serve);
    const client = new FrameClient(t, rig.port, settings());
    await client.first('settings');
    client.send(preface);
    await client.closed();
    assert.equal(stub.requests.length, 0);
  });
});
