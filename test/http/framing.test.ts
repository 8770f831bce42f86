import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createResponseHeadParser, responseFraming } from '../../src/http/index.ts';

function framingOf(status: number, headers: string, method: string, version = '1.1'): string {
  const raw = `HTTP/${version} ${status} X\r\n${headers}\r\n`;
  const progress = createResponseHeadParser().feed(Buffer.from(raw), 0);
  assert.ok(progress.kind === 'head');
  const framing = responseFraming(progress.head.framingHeaders, status, method);
  if (framing.kind === 'fault') return framing.code;
  return framing.kind === 'length' ? `length ${framing.bytes}` : framing.kind;
}

describe('where a response ends', () => {
  const length = 'Content-Length: 7\r\n';
  const coding = 'Transfer-Encoding: chunked\r\n';
  const rows: readonly (readonly [string, string, string])[] = [
    ['a length counts', framingOf(200, length, 'GET'), 'length 7'],
    ['chunked counts', framingOf(200, coding, 'GET'), 'chunked'],
    ['neither: the connection ends it', framingOf(200, '', 'GET'), 'close'],
    ['HEAD has no body, whatever it announces', framingOf(200, length, 'HEAD'), 'none'],
    ['HEAD with chunked has no body', framingOf(200, coding, 'HEAD'), 'none'],
    ['304 has no body', framingOf(304, length, 'GET'), 'none'],
    ['204 has no body', framingOf(204, length, 'GET'), 'none'],
    ['100 has no body', framingOf(100, '', 'GET'), 'none'],
    ['both are refused', framingOf(200, length + coding, 'GET'), 'HTTP_LENGTH_AND_CODING'],
    [
      'both are refused for HEAD too',
      framingOf(200, length + coding, 'HEAD'),
      'HTTP_LENGTH_AND_CODING',
    ],
    ['two lengths are refused', framingOf(200, length + length, 'GET'), 'HTTP_LENGTH_INVALID'],
    [
      'another coding is refused',
      framingOf(200, 'Transfer-Encoding: gzip\r\n', 'GET'),
      'HTTP_CODING_INVALID',
    ],
    [
      'a coding in HTTP/1.0 is refused',
      framingOf(200, coding, 'GET', '1.0'),
      'HTTP_CODING_INVALID',
    ],
  ];
  for (const [why, actual, expected] of rows) {
    it(`${why}: ${expected}`, () => {
      assert.equal(actual, expected);
    });
  }
});
