import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createBodyReader, parseRequestHead } from '../../src/http/index.ts';

/** What a raw request must come to: framing and body, or the code of its fault. */
interface Case {
  readonly why: string;
  readonly raw: string;
  readonly verdict: string;
}

const get = (headers: string): string => `GET / HTTP/1.1\r\nHost: a\r\n${headers}\r\n`;
const post = (headers: string, body = ''): string =>
  `POST / HTTP/1.1\r\nHost: a\r\n${headers}\r\n${body}`;
const chunked = (body: string): string => post('Transfer-Encoding: chunked\r\n', body);

const cases: readonly Case[] = [
  // Content-Length
  { why: 'a plain length', raw: post('Content-Length: 3\r\n', 'abc'), verdict: 'length abc' },
  { why: 'length zero', raw: post('Content-Length: 0\r\n'), verdict: 'length ' },
  { why: 'no length, no body', raw: post(''), verdict: 'none ' },
  {
    why: 'blanks around the length',
    raw: post('Content-Length: \t3 \t\r\n', 'abc'),
    verdict: 'length abc',
  },
  {
    why: 'a name in another case',
    raw: post('cONTENT-lENGTH: 3\r\n', 'abc'),
    verdict: 'length abc',
  },
  {
    why: 'leading zeros are digits',
    raw: post('Content-Length: 003\r\n', 'abc'),
    verdict: 'length abc',
  },
  {
    why: 'two different lengths',
    raw: post('Content-Length: 3\r\nContent-Length: 4\r\n', 'abc'),
    verdict: 'HTTP_LENGTH_INVALID',
  },
  {
    why: 'two equal lengths',
    raw: post('Content-Length: 3\r\nContent-Length: 3\r\n', 'abc'),
    verdict: 'HTTP_LENGTH_INVALID',
  },
  {
    why: 'a list of equal lengths',
    raw: post('Content-Length: 3, 3\r\n', 'abc'),
    verdict: 'HTTP_LENGTH_INVALID',
  },
  {
    why: 'a plus sign',
    raw: post('Content-Length: +3\r\n', 'abc'),
    verdict: 'HTTP_LENGTH_INVALID',
  },
  {
    why: 'a minus sign',
    raw: post('Content-Length: -3\r\n', 'abc'),
    verdict: 'HTTP_LENGTH_INVALID',
  },
  {
    why: 'a hexadecimal length',
    raw: post('Content-Length: 0x3\r\n', 'abc'),
    verdict: 'HTTP_LENGTH_INVALID',
  },
  {
    why: 'a fraction',
    raw: post('Content-Length: 3.0\r\n', 'abc'),
    verdict: 'HTTP_LENGTH_INVALID',
  },
  {
    why: 'an exponent',
    raw: post('Content-Length: 3e0\r\n', 'abc'),
    verdict: 'HTTP_LENGTH_INVALID',
  },
  {
    why: 'a blank inside',
    raw: post('Content-Length: 1 3\r\n', 'abc'),
    verdict: 'HTTP_LENGTH_INVALID',
  },
  {
    why: 'an underscore',
    raw: post('Content-Length: 1_0\r\n', 'abc'),
    verdict: 'HTTP_LENGTH_INVALID',
  },
  { why: 'an empty length', raw: post('Content-Length:\r\n'), verdict: 'HTTP_LENGTH_INVALID' },
  { why: 'quotes', raw: post('Content-Length: "3"\r\n', 'abc'), verdict: 'HTTP_LENGTH_INVALID' },
  {
    why: 'beyond 2^53',
    raw: post('Content-Length: 9007199254740993\r\n'),
    verdict: 'HTTP_LENGTH_INVALID',
  },
  {
    why: 'beyond 2^64',
    raw: post('Content-Length: 18446744073709551619\r\n'),
    verdict: 'HTTP_LENGTH_INVALID',
  },
  {
    why: 'above the limit of a body',
    raw: post('Content-Length: 900719925474099\r\n'),
    verdict: 'HTTP_BODY_TOO_LARGE',
  },
  {
    why: 'digits of another script',
    raw: post('Content-Length: \u00b3\r\n', 'abc'),
    verdict: 'HTTP_LENGTH_INVALID',
  },
  // Transfer-Encoding
  { why: 'a lone chunked', raw: chunked('3\r\nabc\r\n0\r\n\r\n'), verdict: 'chunked abc' },
  {
    why: 'chunked in capitals',
    raw: post('TRANSFER-ENCODING: CHUNKED\r\n', '0\r\n\r\n'),
    verdict: 'chunked ',
  },
  {
    why: 'length and coding',
    raw: post('Content-Length: 3\r\nTransfer-Encoding: chunked\r\n', 'abc'),
    verdict: 'HTTP_LENGTH_AND_CODING',
  },
  {
    why: 'coding and length',
    raw: post('Transfer-Encoding: chunked\r\nContent-Length: 3\r\n', 'abc'),
    verdict: 'HTTP_LENGTH_AND_CODING',
  },
  {
    why: 'length and an unknown coding',
    raw: post('Transfer-Encoding: xchunked\r\nContent-Length: 3\r\n', 'abc'),
    verdict: 'HTTP_LENGTH_AND_CODING',
  },
  {
    why: 'chunked twice in a list',
    raw: post('Transfer-Encoding: chunked, chunked\r\n'),
    verdict: 'HTTP_CODING_INVALID',
  },
  {
    why: 'chunked twice in two lines',
    raw: post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'),
    verdict: 'HTTP_CODING_INVALID',
  },
  {
    why: 'chunked, then identity',
    raw: post('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n'),
    verdict: 'HTTP_CODING_INVALID',
  },
  {
    why: 'identity alone',
    raw: post('Transfer-Encoding: identity\r\n'),
    verdict: 'HTTP_CODING_INVALID',
  },
  {
    why: 'identity, then chunked',
    raw: post('Transfer-Encoding: identity, chunked\r\n'),
    verdict: 'HTTP_CODING_UNSUPPORTED',
  },
  {
    why: 'gzip, then chunked',
    raw: post('Transfer-Encoding: gzip, chunked\r\n'),
    verdict: 'HTTP_CODING_UNSUPPORTED',
  },
  {
    why: 'chunked, then gzip',
    raw: post('Transfer-Encoding: chunked, gzip\r\n'),
    verdict: 'HTTP_CODING_INVALID',
  },
  {
    why: 'an unknown coding',
    raw: post('Transfer-Encoding: xchunked\r\n'),
    verdict: 'HTTP_CODING_INVALID',
  },
  { why: 'an empty coding', raw: post('Transfer-Encoding:\r\n'), verdict: 'HTTP_CODING_INVALID' },
  {
    why: 'an empty element before chunked',
    raw: post('Transfer-Encoding: , chunked\r\n'),
    verdict: 'HTTP_CODING_INVALID',
  },
  {
    why: 'an empty element behind chunked',
    raw: post('Transfer-Encoding: chunked,\r\n'),
    verdict: 'HTTP_CODING_INVALID',
  },
  {
    why: 'a quoted coding',
    raw: post('Transfer-Encoding: "chunked"\r\n'),
    verdict: 'HTTP_CODING_INVALID',
  },
  {
    why: 'a parameter of chunked',
    raw: post('Transfer-Encoding: chunked;q=1\r\n'),
    verdict: 'HTTP_CODING_INVALID',
  },
  {
    why: 'a vertical tab before chunked',
    raw: post('Transfer-Encoding: \u000bchunked\r\n'),
    verdict: 'HTTP_HEADER_INVALID',
  },
  {
    why: 'a form feed behind the name',
    raw: post('Transfer-Encoding\u000c: chunked\r\n'),
    verdict: 'HTTP_HEADER_INVALID',
  },
  {
    why: 'a no-break space behind chunked',
    raw: post('Transfer-Encoding: chunked\u00a0\r\n'),
    verdict: 'HTTP_CODING_INVALID',
  },
  {
    why: 'coding in HTTP/1.0',
    raw: 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n',
    verdict: 'HTTP_CODING_INVALID',
  },
  // Header lines
  {
    why: 'a blank before the colon',
    raw: post('Content-Length : 3\r\n', 'abc'),
    verdict: 'HTTP_HEADER_INVALID',
  },
  {
    why: 'a tab before the colon',
    raw: post('Transfer-Encoding\t: chunked\r\n'),
    verdict: 'HTTP_HEADER_INVALID',
  },
  { why: 'a folded line', raw: post('X: a\r\n b\r\n'), verdict: 'HTTP_HEADER_INVALID' },
  {
    why: 'a folded coding',
    raw: post('Transfer-Encoding:\r\n\tchunked\r\n'),
    verdict: 'HTTP_HEADER_INVALID',
  },
  {
    why: 'a blank before the first header',
    raw: 'GET / HTTP/1.1\r\n Host: a\r\n\r\n',
    verdict: 'HTTP_HEADER_INVALID',
  },
  { why: 'a line without colon', raw: get('garbage\r\n'), verdict: 'HTTP_HEADER_INVALID' },
  { why: 'an empty name', raw: get(': a\r\n'), verdict: 'HTTP_HEADER_INVALID' },
  { why: 'a separator in the name', raw: get('X(Y): a\r\n'), verdict: 'HTTP_HEADER_INVALID' },
  { why: 'an 8-bit name', raw: get('X\u00e9: a\r\n'), verdict: 'HTTP_HEADER_INVALID' },
  { why: 'a NUL in the name', raw: get('X\u0000: a\r\n'), verdict: 'HTTP_HEADER_INVALID' },
  { why: 'a NUL in the value', raw: get('X: a\u0000b\r\n'), verdict: 'HTTP_HEADER_INVALID' },
  {
    why: 'a control character in the value',
    raw: get('X: a\u0001b\r\n'),
    verdict: 'HTTP_HEADER_INVALID',
  },
  { why: 'a DEL in the value', raw: get('X: a\u007fb\r\n'), verdict: 'HTTP_HEADER_INVALID' },
  { why: 'an 8-bit value passes', raw: get('X: caf\u00e9\r\n'), verdict: 'none ' },
  { why: 'a tab inside the value passes', raw: get('X: a\tb\r\n'), verdict: 'none ' },
  { why: 'an empty value passes', raw: get('X:\r\n'), verdict: 'none ' },
  { why: 'a bare LF ends a header', raw: get('X: a\nY: b\r\n'), verdict: 'HTTP_LINE_INVALID' },
  { why: 'a bare CR inside a value', raw: get('X: a\rY: b\r\n'), verdict: 'HTTP_LINE_INVALID' },
  { why: 'CR CR LF', raw: get('X: a\r\r\n'), verdict: 'HTTP_LINE_INVALID' },
  {
    why: 'a bare LF ends the head',
    raw: 'GET / HTTP/1.1\r\nHost: a\r\n\n',
    verdict: 'HTTP_LINE_INVALID',
  },
  {
    why: 'a bare CR ends the head',
    raw: 'GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n',
    verdict: 'HTTP_LINE_INVALID',
  },
  {
    why: 'a bare LF ends the request line',
    raw: 'GET / HTTP/1.1\nHost: a\r\n\r\n',
    verdict: 'HTTP_LINE_INVALID',
  },
  // Host
  { why: 'no Host', raw: 'GET / HTTP/1.1\r\n\r\n', verdict: 'HTTP_HOST_INVALID' },
  { why: 'two Hosts', raw: get('Host: b\r\n'), verdict: 'HTTP_HOST_INVALID' },
  { why: 'two equal Hosts', raw: get('hOST: a\r\n'), verdict: 'HTTP_HOST_INVALID' },
  {
    why: 'a list of Hosts',
    raw: 'GET / HTTP/1.1\r\nHost: a, b\r\n\r\n',
    verdict: 'HTTP_HOST_INVALID',
  },
  {
    why: 'userinfo in Host',
    raw: 'GET / HTTP/1.1\r\nHost: a@b\r\n\r\n',
    verdict: 'HTTP_HOST_INVALID',
  },
  {
    why: 'a path in Host',
    raw: 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n',
    verdict: 'HTTP_HOST_INVALID',
  },
  {
    why: 'a blank in Host',
    raw: 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n',
    verdict: 'HTTP_HOST_INVALID',
  },
  { why: 'an IPv6 Host', raw: 'GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n', verdict: 'none ' },
  { why: 'no Host in HTTP/1.0', raw: 'GET / HTTP/1.0\r\n\r\n', verdict: 'none ' },
  // Request line
  { why: 'one empty line before', raw: `\r\n${get('')}`, verdict: 'none ' },
  { why: 'two empty lines before', raw: `\r\n\r\n${get('')}`, verdict: 'HTTP_LINE_INVALID' },
  { why: 'a blank before the method', raw: ` ${get('')}`, verdict: 'HTTP_START_LINE_INVALID' },
  {
    why: 'two blanks',
    raw: 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n',
    verdict: 'HTTP_START_LINE_INVALID',
  },
  {
    why: 'a tab instead of a blank',
    raw: 'GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n',
    verdict: 'HTTP_START_LINE_INVALID',
  },
  {
    why: 'a blank in the target',
    raw: 'GET /a b HTTP/1.1\r\nHost: a\r\n\r\n',
    verdict: 'HTTP_START_LINE_INVALID',
  },
  {
    why: 'a blank behind the version',
    raw: 'GET / HTTP/1.1 \r\nHost: a\r\n\r\n',
    verdict: 'HTTP_START_LINE_INVALID',
  },
  { why: 'HTTP/0.9', raw: 'GET /\r\n\r\n', verdict: 'HTTP_START_LINE_INVALID' },
  {
    why: 'a NUL in the target',
    raw: 'GET /\u0000 HTTP/1.1\r\nHost: a\r\n\r\n',
    verdict: 'HTTP_START_LINE_INVALID',
  },
  {
    why: 'an 8-bit target',
    raw: 'GET /\u00e9 HTTP/1.1\r\nHost: a\r\n\r\n',
    verdict: 'HTTP_START_LINE_INVALID',
  },
  {
    why: 'a fragment',
    raw: 'GET /#a HTTP/1.1\r\nHost: a\r\n\r\n',
    verdict: 'HTTP_START_LINE_INVALID',
  },
  { why: 'HTTP/2.0', raw: 'PRI * HTTP/2.0\r\n\r\n', verdict: 'HTTP_VERSION_UNSUPPORTED' },
  {
    why: 'HTTP/1.2',
    raw: 'GET / HTTP/1.2\r\nHost: a\r\n\r\n',
    verdict: 'HTTP_VERSION_UNSUPPORTED',
  },
  {
    why: 'http in small letters',
    raw: 'GET / http/1.1\r\nHost: a\r\n\r\n',
    verdict: 'HTTP_START_LINE_INVALID',
  },
  {
    why: 'a longer version',
    raw: 'GET / HTTP/1.10\r\nHost: a\r\n\r\n',
    verdict: 'HTTP_START_LINE_INVALID',
  },
  {
    why: 'no slash before the target',
    raw: 'GET a HTTP/1.1\r\nHost: a\r\n\r\n',
    verdict: 'HTTP_TARGET_INVALID',
  },
  {
    why: 'an asterisk for GET',
    raw: 'GET * HTTP/1.1\r\nHost: a\r\n\r\n',
    verdict: 'HTTP_TARGET_INVALID',
  },
  {
    why: 'another scheme',
    raw: 'GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n',
    verdict: 'HTTP_TARGET_INVALID',
  },
  {
    why: 'userinfo in the target',
    raw: 'GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n',
    verdict: 'HTTP_TARGET_INVALID',
  },
  {
    why: 'CONNECT',
    raw: 'CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n',
    verdict: 'HTTP_METHOD_UNSUPPORTED',
  },
  { why: 'TRACE', raw: 'TRACE / HTTP/1.1\r\nHost: a\r\n\r\n', verdict: 'HTTP_METHOD_UNSUPPORTED' },
  {
    why: 'a method longer than any',
    raw: `${'A'.repeat(33)} / HTTP/1.1\r\nHost: a\r\n\r\n`,
    verdict: 'HTTP_METHOD_UNSUPPORTED',
  },
  // Limits
  {
    why: 'the longest target',
    raw: `GET /${'a'.repeat(8191)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    verdict: 'none ',
  },
  {
    why: 'a longer target',
    raw: `GET /${'a'.repeat(8192)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    verdict: 'HTTP_TARGET_TOO_LONG',
  },
  {
    why: 'an endless request line',
    raw: `GET /${'a'.repeat(9000)}`,
    verdict: 'HTTP_TARGET_TOO_LONG',
  },
  { why: 'as many headers as may be', raw: get('X: a\r\n'.repeat(127)), verdict: 'none ' },
  {
    why: 'one header too many',
    raw: get('X: a\r\n'.repeat(128)),
    verdict: 'HTTP_HEADERS_TOO_MANY',
  },
  {
    why: 'a head too large',
    raw: get(`X: ${'a'.repeat(65_536)}\r\n`),
    verdict: 'HTTP_HEAD_TOO_LARGE',
  },
  {
    why: 'an endless header',
    raw: `GET / HTTP/1.1\r\nX: ${'a'.repeat(65_600)}`,
    verdict: 'HTTP_HEAD_TOO_LARGE',
  },
  {
    why: 'an unknown expectation',
    raw: post('Expect: 200-ok\r\n'),
    verdict: 'HTTP_EXPECTATION_UNSUPPORTED',
  },
  // Chunks
  {
    why: 'capital digits',
    raw: chunked('A\r\n0123456789\r\n0\r\n\r\n'),
    verdict: 'chunked 0123456789',
  },
  { why: 'leading zeros', raw: chunked('003\r\nabc\r\n000\r\n\r\n'), verdict: 'chunked abc' },
  { why: 'an extension', raw: chunked('3;a=b\r\nabc\r\n0\r\n\r\n'), verdict: 'chunked abc' },
  { why: 'a trailer', raw: chunked('0\r\nX: a\r\n\r\n'), verdict: 'chunked ' },
  { why: 'no size', raw: chunked('\r\nabc\r\n0\r\n\r\n'), verdict: 'HTTP_CHUNK_INVALID' },
  {
    why: 'a hexadecimal prefix',
    raw: chunked('0x3\r\nabc\r\n0\r\n\r\n'),
    verdict: 'HTTP_CHUNK_INVALID',
  },
  { why: 'a sign', raw: chunked('+3\r\nabc\r\n0\r\n\r\n'), verdict: 'HTTP_CHUNK_INVALID' },
  { why: 'a negative size', raw: chunked('-3\r\nabc\r\n0\r\n\r\n'), verdict: 'HTTP_CHUNK_INVALID' },
  {
    why: 'a blank behind the size',
    raw: chunked('3 \r\nabc\r\n0\r\n\r\n'),
    verdict: 'HTTP_CHUNK_INVALID',
  },
  {
    why: 'a blank before the size',
    raw: chunked(' 3\r\nabc\r\n0\r\n\r\n'),
    verdict: 'HTTP_CHUNK_INVALID',
  },
  {
    why: 'a size that wraps 2^64',
    raw: chunked('10000000000000003\r\nabc\r\n0\r\n\r\n'),
    verdict: 'HTTP_CHUNK_INVALID',
  },
  { why: 'a size ended by LF', raw: chunked('3\nabc\r\n0\r\n\r\n'), verdict: 'HTTP_CHUNK_INVALID' },
  {
    why: 'an extension that hides LF',
    raw: chunked('3;a\nabc\r\n0\r\n\r\n'),
    verdict: 'HTTP_CHUNK_INVALID',
  },
  {
    why: 'an extension that hides CR',
    raw: chunked('3;a\rb\r\nabc\r\n0\r\n\r\n'),
    verdict: 'HTTP_CHUNK_INVALID',
  },
  {
    why: 'an extension too long',
    raw: chunked(`3;${'a'.repeat(256)}\r\nabc\r\n0\r\n\r\n`),
    verdict: 'HTTP_CHUNK_INVALID',
  },
  {
    why: 'data longer than its size',
    raw: chunked('3\r\nabcd\r\n0\r\n\r\n'),
    verdict: 'HTTP_CHUNK_INVALID',
  },
  { why: 'data ended by LF', raw: chunked('3\r\nabc\n0\r\n\r\n'), verdict: 'HTTP_CHUNK_INVALID' },
  {
    why: 'data ended by CR alone',
    raw: chunked('3\r\nabc\r0\r\n\r\n'),
    verdict: 'HTTP_CHUNK_INVALID',
  },
  {
    why: 'a trailer with a blank before the colon',
    raw: chunked('0\r\nX : a\r\n\r\n'),
    verdict: 'HTTP_TRAILER_INVALID',
  },
  {
    why: 'a folded trailer',
    raw: chunked('0\r\nX: a\r\n b\r\n\r\n'),
    verdict: 'HTTP_TRAILER_INVALID',
  },
  { why: 'trailers ended by LF', raw: chunked('0\r\n\n'), verdict: 'HTTP_TRAILER_INVALID' },
  {
    why: 'too many trailers',
    raw: chunked(`0\r\n${'X: a\r\n'.repeat(33)}\r\n`),
    verdict: 'HTTP_TRAILER_INVALID',
  },
  {
    why: 'trailers too large',
    raw: chunked(`0\r\nX: ${'a'.repeat(16_384)}\r\n\r\n`),
    verdict: 'HTTP_TRAILER_INVALID',
  },
  { why: 'a chunk that never ends', raw: chunked('3\r\nab'), verdict: 'chunked incomplete' },
  {
    why: 'a body cut short',
    raw: post('Content-Length: 3\r\n', 'ab'),
    verdict: 'length incomplete',
  },
];

function verdictOf(raw: string): string {
  const bytes = Buffer.from(raw, 'latin1');
  const progress = parseRequestHead(bytes);
  if (progress.kind === 'more') return 'head incomplete';
  if (progress.kind === 'fault') return progress.code;
  const { framing } = progress.head;
  const reader = createBodyReader(framing);
  if (reader === undefined) return `${framing.kind} `;
  let body = '';
  const end = reader.feed(bytes, progress.next, {
    data: (chunk) => (body += chunk.toString('latin1')),
    end: () => undefined,
  });
  if (reader.fault !== undefined) return reader.fault.code;
  if (!reader.isDone) return `${framing.kind} incomplete`;
  assert.equal(end, bytes.length, 'everything belonged to this one request');
  return `${framing.kind} ${body}`;
}

describe('one reading of a request, or none', () => {
  for (const { why, raw, verdict } of cases) {
    it(`${why}: ${verdict}`, () => {
      assert.equal(verdictOf(raw), verdict);
    });
  }
});
