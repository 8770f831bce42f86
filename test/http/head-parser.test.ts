import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  HeaderBlock,
  type BodyReader,
  createBodyReader,
  createRequestHeadParser,
  createResponseHeadParser,
  parseRequestHead,
  type ReceivedRequest,
  serializeRequestHead,
} from '../../src/http/index.ts';
import { startLineBytesMax } from '../../src/http/start-line.ts';

/** Everything that a stream of requests says, as one list. */
function eventsOf(pieces: readonly Buffer[]): string[] {
  const events: string[] = [];
  const parser = createRequestHeadParser();
  let body: BodyReader | undefined;
  let data = '';
  const sink = {
    data: (chunk: Buffer) => (data += chunk.toString('latin1')),
    end: (trailers: unknown) => {
      events.push(`body ${data} ${JSON.stringify(trailers)}`);
      data = '';
    },
  };
  for (const piece of pieces) {
    let at = 0;
    while (at < piece.length) {
      if (body !== undefined) {
        at = body.feed(piece, at, sink);
        if (body.fault !== undefined) return [...events, `data ${data}`, body.fault.code];
        if (body.isDone) body = undefined;
        continue;
      }
      const progress = parser.feed(piece, at);
      if (progress.kind === 'more') break;
      if (progress.kind === 'fault') return [...events, progress.code];
      at = progress.next;
      events.push(JSON.stringify(progress.head));
      body = createBodyReader(progress.head.framing);
    }
  }
  return [...events, `data ${data}`, parser.isInside ? 'inside' : 'between'];
}

function splitAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const sorted = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...sorted].map((from, index) => bytes.subarray(from, sorted[index] ?? bytes.length));
}

function head(raw: string): ReceivedRequest {
  const progress = parseRequestHead(Buffer.from(raw, 'latin1'));
  assert.ok(progress.kind === 'head', JSON.stringify(progress));
  return progress.head;
}

const stream = [
  'GET /a?b=c HTTP/1.1\r\nHost: a:80\r\nCookie: x=1\r\n\r\n',
  '\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello',
  'PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n',
  '3;x=y\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nT: u\r\n\r\n',
  'GET http://other:81/d HTTP/1.1\r\nHost: a\r\n\r\n',
].join('');
const broken = [
  `${stream}GET / HTTP/1.1\r\nHost : a\r\n\r\n`,
  `${stream}GET /${'x'.repeat(8_200)} HTTP/1.1\r\n\r\n`,
  `${stream}POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n`,
  `${stream}GET / HTTP/1.1\r\nHost: a\r\nX: y\nZ: w\r\n\r\n`,
  `${stream}GET / HTTP/1.1\r\nX: ${'y'.repeat(66_000)}`,
  // Two faults each: the one that shows first counts.
  `${stream}GET /${'x'.repeat(9_000)} HTTP/1.1\r\nX: y\nZ: w\r\n\r\n`,
  `${stream}GET /${'x'.repeat(9_000)}`.concat('\ry'.repeat(9_000)),
  `${stream}GET / HTTP/1.1\r\nX: ${'y'.repeat(66_000)}\n`,
  // The body's last byte is no part of the next head.
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n',
];
const longestReason = 'x'.repeat(startLineBytesMax - 'HTTP/1.1 200 \r\n'.length);
const responses = [
  `HTTP/1.1 200 ${longestReason}\r\nX: y\r\n\r\n`,
  `HTTP/1.1 200 ${longestReason}x\r\nX: y\r\n\r\n`,
  `HTTP/1.1 200 ${longestReason}x\r\nX: y\n\r\n`,
  `HTTP/1.1 200 ${longestReason}\n\r\n`,
  `HTTP/1.1 200 ${longestReason}\r\r\n\r\n`,
  'HTTP/1.1 200 OK\r\n\r\n\r\nHTTP/1.1 200 OK\r\n\r\n',
];

describe('reading requests from a stream', () => {
  it('gives the same events for every split of good and broken streams', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(stream, ...broken),
        fc.array(fc.nat({ max: 80_000 }), { maxLength: 12 }),
        (raw, cuts) => {
          const bytes = Buffer.from(raw, 'latin1');
          assert.deepEqual(eventsOf(splitAt(bytes, cuts)), eventsOf([bytes]));
        },
      ),
      { seed: 7, numRuns: 200 },
    );
  });

  it('gives the same events byte by byte', () => {
    const bytes = Buffer.from(stream, 'latin1');
    const single = [...bytes].map((byte) => Buffer.from([byte]));
    assert.deepEqual(eventsOf(single), eventsOf([bytes]));
    assert.equal(eventsOf([bytes]).filter((event) => event.startsWith('{')).length, 4);
  });

  it('gives the same response, or the same fault, for every split', () => {
    const read = (pieces: readonly Buffer[]): string => {
      const parser = createResponseHeadParser();
      let found = '';
      for (const piece of pieces) {
        for (let at = 0; at < piece.length;) {
          const progress = parser.feed(piece, at);
          if (progress.kind === 'fault') return `${found} ${progress.code}`;
          if (progress.kind === 'head') found += ` ${progress.head.status}`;
          at = progress.kind === 'head' ? progress.next : piece.length;
        }
      }
      return found;
    };
    const whole = responses.map((raw) => read([Buffer.from(raw)]));
    assert.deepEqual(whole, [
      ' 200',
      ' HTTP_TARGET_TOO_LONG',
      ' HTTP_TARGET_TOO_LONG',
      ' HTTP_LINE_INVALID',
      ' HTTP_LINE_INVALID',
      ' 200 HTTP_LINE_INVALID',
    ]);
    for (const [at, raw] of responses.entries()) {
      assert.equal(read([...Buffer.from(raw)].map((byte) => Buffer.from([byte]))), whole[at]);
    }
    fc.assert(
      fc.property(
        fc.constantFrom(...responses.keys()),
        fc.array(fc.nat({ max: 10_000 }), { maxLength: 6 }),
        (at, cuts) => {
          assert.equal(read(splitAt(Buffer.from(responses[at]!), cuts)), whole[at]);
        },
      ),
      { seed: 11, numRuns: 300 },
    );
  });

  it('never throws on random bytes, alone or behind a good head', () => {
    const prefixes = ['', 'GET / HTTP/1.1\r\n', stream.slice(0, 180), stream.slice(0, 200)];
    fc.assert(
      fc.property(
        fc.constantFrom(...prefixes),
        fc.uint8Array({ maxLength: 300 }),
        (prefix, random) => {
          const events = eventsOf([Buffer.from(prefix, 'latin1'), Buffer.from(random)]);
          assert.ok(events.length > 0);
        },
      ),
      { seed: 8, numRuns: 500 },
    );
  });

  it('reads again what was written', () => {
    const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}$/);
    const value = fc.stringMatching(/^([!-~\xa1-\xff]([\t -~\xa1-\xff]{0,20}[!-~\xa1-\xff])?)?$/);
    const header = fc.tuple(
      token.map((name) => `X-${name}`),
      value,
    );
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Z]{3,10}$/).map((method) => `M${method}`),
        fc.stringMatching(/^\/[!"$-~]{0,40}$/),
        fc.array(header, { maxLength: 10 }),
        fc.option(fc.nat(), { nil: undefined }),
        (method, target, headers, bytes) => {
          const framing =
            bytes === undefined ? { kind: 'none' as const } : { kind: 'length' as const, bytes };
          const list = [['Host', 'a'] as const, ...headers];
          const read = head(
            serializeRequestHead({ method, target, headers: HeaderBlock.of(list), framing }),
          );
          const length = bytes === undefined ? [] : [['Content-Length', String(bytes)]];
          assert.equal(read.method, method);
          assert.equal(read.target, target);
          assert.deepEqual(read.headers.list(), [...list, ...length]);
          assert.deepEqual(read.framing, framing);
        },
      ),
      { seed: 9, numRuns: 300 },
    );
  });
});

describe('a request head', () => {
  it('takes Host and target from an absolute-form target', () => {
    const read = head('GET HTTP://b.example:81/x?y HTTP/1.1\r\nA: 1\r\nHost: a\r\nB: 2\r\n\r\n');
    assert.equal(read.target, '/x?y');
    assert.equal(read.host, 'b.example:81');
    assert.deepEqual(read.headers.list(), [
      ['Host', 'b.example:81'],
      ['A', '1'],
      ['B', '2'],
    ]);
    assert.equal(head('GET http://b?x HTTP/1.1\r\nHost: a\r\n\r\n').target, '/?x');
    assert.equal(head('GET http://b HTTP/1.1\r\nHost: a\r\n\r\n').target, '/');
    assert.equal(head('OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n').target, '*');
    assert.equal(head('OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n').target, '*');
  });

  it('gives HTTP/1.0 without Host an empty one', () => {
    assert.deepEqual(head('GET / HTTP/1.0\r\n\r\n').headers.list(), [['Host', '']]);
  });

  it('tells whether the connection may be kept', () => {
    const kept = (version: string, connection: string): boolean =>
      head(`GET / HTTP/${version}\r\nHost: a\r\nConnection: ${connection}\r\n\r\n`).isPersistent;
    assert.equal(kept('1.1', 'x'), true);
    assert.equal(kept('1.1', 'x, Close'), false);
    assert.equal(kept('1.0', 'x'), false);
    assert.equal(kept('1.0', 'Keep-Alive'), true);
    assert.equal(kept('1.0', 'keep-alive, close'), false);
  });

  it('tells whether the client waits for 100', () => {
    const expect = (version: string, more: string): boolean =>
      head(`POST / HTTP/${version}\r\nHost: a\r\nExpect: 100-Continue\r\n${more}\r\n`)
        .expectsContinue;
    assert.equal(expect('1.1', 'Content-Length: 1\r\n'), true);
    assert.equal(expect('1.1', ''), false);
    assert.equal(expect('1.0', 'Content-Length: 1\r\n'), false);
  });
});

describe('a response head', () => {
  const verdicts: readonly (readonly [raw: string, verdict: string])[] = [
    ['HTTP/1.1 200 OK\r\n\r\n', '200 OK true'],
    ['HTTP/1.1 200 \r\n\r\n', '200  true'],
    ['HTTP/1.1 200\r\n\r\n', '200  true'],
    ['HTTP/1.0 200 OK\r\n\r\n', '200 OK false'],
    ['HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n', '200 OK true'],
    ['HTTP/1.1 404 Not  Found\r\nConnection: close\r\n\r\n', '404 Not  Found false'],
    ['HTTP/1.1 20 OK\r\n\r\n', 'HTTP_START_LINE_INVALID'],
    ['HTTP/1.1 2000 OK\r\n\r\n', 'HTTP_START_LINE_INVALID'],
    ['HTTP/1.1 099 OK\r\n\r\n', 'HTTP_START_LINE_INVALID'],
    ['HTTP/1.1  200 OK\r\n\r\n', 'HTTP_START_LINE_INVALID'],
    ['HTTP/2.0 200 OK\r\n\r\n', 'HTTP_VERSION_UNSUPPORTED'],
    ['ICY 200 OK\r\n\r\n', 'HTTP_START_LINE_INVALID'],
    ['HTTP/1.1 200 O\u0000K\r\n\r\n', 'HTTP_START_LINE_INVALID'],
    ['\r\nHTTP/1.1 200 OK\r\n\r\n', 'HTTP_LINE_INVALID'],
    ['HTTP/1.1 200 OK\nX: a\r\n\r\n', 'HTTP_LINE_INVALID'],
    ['HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n', 'HTTP_HEADER_INVALID'],
  ];
  for (const [raw, verdict] of verdicts) {
    it(`${JSON.stringify(raw)} is ${verdict}`, () => {
      const progress = createResponseHeadParser().feed(Buffer.from(raw, 'latin1'), 0);
      assert.equal(
        progress.kind === 'head'
          ? `${progress.head.status} ${progress.head.reason} ${progress.head.isPersistent}`
          : progress.kind === 'fault'
            ? progress.code
            : progress.kind,
        verdict,
      );
    });
  }
});
