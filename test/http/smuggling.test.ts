import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { httpLimits } from '../../src/config/defaults.ts';
import { bytewise, readRequests } from './smuggling/reading.ts';

/** What is too long for a file: each once within its limit and once above it. */
interface Case {
  readonly why: string;
  readonly raw: string;
  /** Requests read, or the code of the fault. */
  readonly verdict: number | string;
}

const get = (headers: string): string => `GET / HTTP/1.1\r\nHost: a\r\n${headers}\r\n`;
const chunked = (body: string): string =>
  `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
const { targetBytesMax, headBytesMax, headerCountMax, methodBytesMax } = httpLimits;
const { chunkLineBytesMax, trailerBytesMax, trailerCountMax } = httpLimits;

const cases: readonly Case[] = [
  {
    why: 'the longest method',
    raw: `${'A'.repeat(methodBytesMax)} / HTTP/1.1\r\nHost: a\r\n\r\n`,
    verdict: 1,
  },
  {
    why: 'a longer method',
    raw: `${'A'.repeat(methodBytesMax + 1)} / HTTP/1.1\r\nHost: a\r\n\r\n`,
    verdict: 'HTTP_METHOD_UNSUPPORTED',
  },
  {
    why: 'the longest target',
    raw: `GET /${'a'.repeat(targetBytesMax - 1)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    verdict: 1,
  },
  {
    why: 'a longer target',
    raw: `GET /${'a'.repeat(targetBytesMax)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    verdict: 'HTTP_TARGET_TOO_LONG',
  },
  {
    why: 'an endless request line',
    raw: `GET /${'a'.repeat(targetBytesMax + 100)}`,
    verdict: 'HTTP_TARGET_TOO_LONG',
  },
  { why: 'as many headers as may be', raw: get('X: a\r\n'.repeat(headerCountMax - 1)), verdict: 1 },
  {
    why: 'one header too many',
    raw: get('X: a\r\n'.repeat(headerCountMax)),
    verdict: 'HTTP_HEADERS_TOO_MANY',
  },
  {
    why: 'as many options as may be',
    raw: get(`Connection: ${'a,'.repeat(headerCountMax / 2 - 1)}a\r\n`.repeat(2)),
    verdict: 1,
  },
  {
    why: 'an option too many in one header',
    raw: get(`Connection: ${'a,'.repeat(headerCountMax)}a\r\n`),
    verdict: 'HTTP_HEADERS_TOO_MANY',
  },
  {
    why: 'an option too many in several headers',
    raw: get(`Connection: ${'a,'.repeat(headerCountMax / 2)}a\r\n`.repeat(2)),
    verdict: 'HTTP_HEADERS_TOO_MANY',
  },
  { why: 'the largest head', raw: get(`X: ${'a'.repeat(headBytesMax - 32)}\r\n`), verdict: 1 },
  {
    why: 'a head too large',
    raw: get(`X: ${'a'.repeat(headBytesMax - 31)}\r\n`),
    verdict: 'HTTP_HEAD_TOO_LARGE',
  },
  {
    why: 'an endless header',
    raw: `GET / HTTP/1.1\r\nX: ${'a'.repeat(headBytesMax)}`,
    verdict: 'HTTP_HEAD_TOO_LARGE',
  },
  {
    why: 'a body above the limit',
    raw: `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900719925474099\r\n\r\n`,
    verdict: 'HTTP_BODY_TOO_LARGE',
  },
  {
    why: 'the longest extension',
    raw: chunked(`3;${'a'.repeat(chunkLineBytesMax - 4)}\r\nabc\r\n0\r\n\r\n`),
    verdict: 1,
  },
  {
    why: 'an extension too long',
    raw: chunked(`3;${'a'.repeat(chunkLineBytesMax - 3)}\r\nabc\r\n0\r\n\r\n`),
    verdict: 'HTTP_CHUNK_INVALID',
  },
  {
    why: 'an extension that never ends',
    raw: chunked(`3;${'a'.repeat(chunkLineBytesMax)}`),
    verdict: 'HTTP_CHUNK_INVALID',
  },
  {
    why: 'as many trailers as may be',
    raw: chunked(`0\r\n${'X: a\r\n'.repeat(trailerCountMax)}\r\n`),
    verdict: 1,
  },
  {
    why: 'one trailer too many',
    raw: chunked(`0\r\n${'X: a\r\n'.repeat(trailerCountMax + 1)}\r\n`),
    verdict: 'HTTP_TRAILER_INVALID',
  },
  {
    why: 'the largest trailers',
    raw: chunked(`0\r\nX: ${'a'.repeat(trailerBytesMax - 7)}\r\n\r\n`),
    verdict: 1,
  },
  {
    why: 'trailers too large',
    raw: chunked(`0\r\nX: ${'a'.repeat(trailerBytesMax - 6)}\r\n\r\n`),
    verdict: 'HTTP_TRAILER_INVALID',
  },
];

describe('limits of what is read', () => {
  for (const { why, raw, verdict } of cases) {
    it(`${why}: ${verdict}`, () => {
      const bytes = Buffer.from(raw, 'latin1');
      for (const pieces of [[bytes], bytewise(bytes)]) {
        const { requests, fault } = readRequests(pieces);
        assert.equal(fault?.code ?? requests.length, verdict);
      }
    });
  }
});
