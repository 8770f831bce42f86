import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { httpLimits } from '../../../src/config/defaults.ts';
import { isFault, type ReceivedRequest } from '../../../src/http/index.ts';
import { receivedHttp2Request, receivedHttp2Trailers } from '../../../src/io/http/http2-request.ts';
import { type FieldLines, get, post } from '../../support/http2-frames.ts';

function read(lines: FieldLines, endsHere = true): ReceivedRequest {
  const request = receivedHttp2Request(lines.flat(), endsHere);
  assert.ok(!isFault(request), JSON.stringify(request));
  return request;
}

function faultOf(lines: FieldLines, endsHere = true): string {
  const request = receivedHttp2Request(lines.flat(), endsHere);
  assert.ok(isFault(request), 'it was taken');
  return `${request.status} ${request.code}`;
}

/** The lines of a request with one changed, in its place. */
function changed(name: string, ...values: string[]): FieldLines {
  const lines = values.map((value) => [name, value] as const);
  const others = get().filter(([other]) => other !== name);
  return name.startsWith(':') ? [...lines, ...others] : [...others, ...lines];
}

describe('the head of an HTTP/2 request', () => {
  it('becomes one of any protocol', () => {
    const request = read(get('/a?b=c', ['x-one', '1'], ['te', 'trailers'], ['x-one', '2']));
    assert.equal(request.headers.text, 'Host: a.example.org\r\nx-one: 1\r\nx-one: 2\r\n');
    const { method, target, version, host, framing, acceptsTrailers } = request;
    assert.deepEqual(
      { method, target, version, host, framing, acceptsTrailers },
      {
        method: 'GET',
        target: '/a?b=c',
        version: '2',
        host: 'a.example.org',
        framing: { kind: 'none' },
        acceptsTrailers: true,
      },
    );
  });

  it('joins the crumbs of a cookie', () => {
    const { headers } = read(get('/', ['cookie', 'a=1'], ['x-a', '1'], ['cookie', 'b=2; c=3']));
    assert.deepEqual(headers.all('cookie'), ['a=1; b=2; c=3']);
  });

  it('takes Host where there is no :authority, and beside one that says the same', () => {
    const bare = get().filter(([name]) => name !== ':authority');
    assert.equal(read([...bare, ['host', 'b.example.org:81']]).host, 'b.example.org:81');
    const both = read(get('/', ['host', 'A.example.org']));
    assert.deepEqual(both.headers.all('host'), ['a.example.org']);
  });

  it('takes OPTIONS for the server as a whole', () => {
    const lines: FieldLines = [[':method', 'OPTIONS'], ...get('*').slice(1)];
    assert.equal(read(lines).target, '*');
    assert.equal(faultOf(get('*')), '400 HTTP_TARGET_INVALID');
  });

  it('knows how its body ends', () => {
    const framing = (lines: FieldLines, endsHere: boolean): string =>
      JSON.stringify(read(lines, endsHere).framing);
    const length = (bytes: string): FieldLines => post(['content-length', bytes]);
    assert.equal(framing(post(), false), '{"kind":"chunked"}');
    assert.equal(framing(length('5'), false), '{"kind":"length","bytes":5}');
    assert.equal(framing(length('0'), true), '{"kind":"length","bytes":0}');
    assert.equal(framing(post(), true), '{"kind":"length","bytes":0}');
    assert.equal(framing(get(), true), '{"kind":"none"}');
    for (const bad of ['', '+5', '5,5', '0x5', '5 ', '12345678901234567', '9999999999999999']) {
      assert.match(faultOf(length(bad), false), /^400 HTTP_(LENGTH|HEADER)_INVALID$/);
    }
    assert.equal(faultOf(length('5'), true), '400 HTTP_LENGTH_INVALID');
    const twice = post(['content-length', '5'], ['content-length', '5']);
    assert.equal(faultOf(twice, false), '400 HTTP_LENGTH_INVALID');
    assert.equal(
      faultOf(length(String(httpLimits.requestBodyBytesMax + 1)), false),
      '413 HTTP_BODY_TOO_LARGE',
    );
  });

  it('knows who waits for 100', () => {
    const expecting = post(['expect', '100-Continue']);
    assert.equal(read(expecting, false).expectsContinue, true);
    assert.equal(read(expecting, true).expectsContinue, false);
    assert.equal(read(post(), false).expectsContinue, false);
    assert.equal(faultOf(post(['expect', 'more'])), '417 HTTP_EXPECTATION_UNSUPPORTED');
  });

  for (const [section, what, lines, fault] of [
    ['8.2', 'an upper-case name', get('/', ['X-a', '1']), 'HTTP_HEADER_INVALID'],
    ['8.2.1', 'a blank in a name', get('/', ['x a', '1']), 'HTTP_HEADER_INVALID'],
    ['8.2.1', 'a colon in a name', get('/', ['x:a', '1']), 'HTTP_HEADER_INVALID'],
    ['8.2.1', 'no name', get('/', ['', '1']), 'HTTP_HEADER_INVALID'],
    ['8.2.1', 'CRLF in a value', get('/', ['a', 'b\r\nc: d']), 'HTTP_HEADER_INVALID'],
    ['8.2.1', 'a bare LF in a value', get('/', ['a', 'b\nc']), 'HTTP_HEADER_INVALID'],
    ['8.2.1', 'NUL in a value', get('/', ['a', 'b\0']), 'HTTP_HEADER_INVALID'],
    ['8.2.1', 'a blank before a value', get('/', ['a', ' b']), 'HTTP_HEADER_INVALID'],
    ['8.2.1', 'a tab behind a value', get('/', ['a', 'b\t']), 'HTTP_HEADER_INVALID'],
    ['8.2.1', 'CRLF in a cookie', get('/', ['cookie', 'a\r\nb: c']), 'HTTP_HEADER_INVALID'],
    ['8.2.2', 'Connection', get('/', ['connection', 'x']), 'HTTP_HEADER_INVALID'],
    ['8.2.2', 'Keep-Alive', get('/', ['keep-alive', '1']), 'HTTP_HEADER_INVALID'],
    ['8.2.2', 'Proxy-Connection', get('/', ['proxy-connection', 'x']), 'HTTP_HEADER_INVALID'],
    ['8.2.2', 'Transfer-Encoding', get('/', ['transfer-encoding', 'x']), 'HTTP_HEADER_INVALID'],
    ['8.2.2', 'Upgrade', get('/', ['upgrade', 'websocket']), 'HTTP_HEADER_INVALID'],
    ['8.2.2', 'TE but trailers', get('/', ['te', 'trailers, gzip']), 'HTTP_HEADER_INVALID'],
    ['8.3', 'an unknown pseudo-header', changed(':a', 'b'), 'HTTP_START_LINE_INVALID'],
    ['8.3', 'one of a response', changed(':status', '200'), 'HTTP_START_LINE_INVALID'],
    ['8.3', 'one behind a header', [['a', 'b'], ...get()], 'HTTP_START_LINE_INVALID'],
    ['8.3', 'two paths', changed(':path', '/a', '/b'), 'HTTP_START_LINE_INVALID'],
    ['8.3.1', 'no method', changed(':method'), 'HTTP_START_LINE_INVALID'],
    ['8.3.1', 'an empty method', changed(':method', ''), 'HTTP_START_LINE_INVALID'],
    ['8.3.1', 'a method with CRLF', changed(':method', 'A\r\nB'), 'HTTP_START_LINE_INVALID'],
    ['8.3.1', 'a method with a blank', changed(':method', 'GET /'), 'HTTP_START_LINE_INVALID'],
    ['8.3.1', 'no path', changed(':path'), 'HTTP_TARGET_INVALID'],
    ['8.3.1', 'an empty path', changed(':path', ''), 'HTTP_TARGET_INVALID'],
    ['8.3.1', 'a path without slash', changed(':path', 'a'), 'HTTP_TARGET_INVALID'],
    ['8.3.1', 'a URL as path', changed(':path', 'http://a/b'), 'HTTP_TARGET_INVALID'],
    ['8.3.1', 'a fragment', changed(':path', '/a#b'), 'HTTP_TARGET_INVALID'],
    ['8.3.1', 'a blank in the path', changed(':path', '/a HTTP/1.1'), 'HTTP_TARGET_INVALID'],
    ['8.3.1', 'CRLF in the path', changed(':path', '/a\r\nb: c'), 'HTTP_TARGET_INVALID'],
    ['8.3.1', 'a path beyond ASCII', changed(':path', '/\xe9'), 'HTTP_TARGET_INVALID'],
    ['8.3.1', 'no scheme', changed(':scheme'), 'HTTP_TARGET_INVALID'],
    ['8.3.1', 'another scheme', changed(':scheme', 'ftp'), 'HTTP_TARGET_INVALID'],
    ['8.3.1', 'no authority', changed(':authority'), 'HTTP_HOST_INVALID'],
    ['8.3.1', 'an empty authority', changed(':authority', ''), 'HTTP_HOST_INVALID'],
    ['8.3.1', 'userinfo', changed(':authority', 'a@b'), 'HTTP_HOST_INVALID'],
    ['8.3.1', 'CRLF in the authority', changed(':authority', 'a\r\nb: c'), 'HTTP_HOST_INVALID'],
    ['8.3.1', 'another Host', get('/', ['host', 'b.example.org']), 'HTTP_HOST_INVALID'],
    ['8.3.1', 'two Hosts', changed('host', 'a', 'a'), 'HTTP_HOST_INVALID'],
  ] as const satisfies readonly (readonly [string, string, FieldLines, string])[]) {
    it(`is malformed with ${what} (RFC 9113 section ${section})`, () => {
      assert.equal(faultOf(lines), `400 ${fault}`);
    });
  }

  it('is refused beyond the limits', () => {
    const long = get(`/${'a'.repeat(httpLimits.targetBytesMax)}`);
    assert.equal(faultOf(long), '414 HTTP_TARGET_TOO_LONG');
    const many = Array.from({ length: httpLimits.headerCountMax + 1 }, () => ['a', 'b'] as const);
    assert.equal(faultOf(get('/', ...many)), '431 HTTP_HEADERS_TOO_MANY');
    assert.equal(
      faultOf(get('/', ['a', 'b'.repeat(httpLimits.headBytesMax)])),
      '431 HTTP_HEAD_TOO_LARGE',
    );
    const crumbs = many.map(([, value], at) => ['cookie', `${value}=${at}`] as const);
    assert.equal(read(get('/', ...crumbs)).headers.list().length, 2);
  });

  it('is refused for what is not served', () => {
    assert.equal(
      faultOf([
        [':method', 'CONNECT'],
        [':authority', 'a:1'],
      ]),
      '501 HTTP_METHOD_UNSUPPORTED',
    );
    assert.equal(faultOf(changed(':method', 'TRACE')), '501 HTTP_METHOD_UNSUPPORTED');
  });
});

describe('the trailers of an HTTP/2 request', () => {
  const taken = (lines: FieldLines): unknown => receivedHttp2Trailers(lines.flat());

  it('are taken as they come', () => {
    const lines: FieldLines = [
      ['grpc-status', '0'],
      ['x-a', ''],
    ];
    assert.deepEqual(taken(lines), lines);
  });

  it('are refused when they are none, or too much', () => {
    assert.equal(taken([[':path', '/']]), undefined);
    assert.equal(taken([['X-A', '1']]), undefined);
    assert.equal(taken([['x-a', '1\r\nb: c']]), undefined);
    assert.equal(taken([['x-a', 'b'.repeat(httpLimits.trailerBytesMax)]]), undefined);
    const many = Array.from({ length: httpLimits.trailerCountMax + 1 }, () => ['a', 'b'] as const);
    assert.equal(taken(many), undefined);
  });
});
