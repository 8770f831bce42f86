import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseRequestHead } from '../../src/http/index.ts';

const asked = 'Connection: Upgrade\r\n';

describe('a request for another protocol', () => {
  const rows: readonly (readonly [why: string, headers: string, framing: string, line?: string])[] =
    [
      ['asks for a tunnel', `${asked}Upgrade: websocket\r\n`, 'tunnel'],
      ['with a version', `${asked}Upgrade: echo/1\r\n`, 'tunnel'],
      ['among other options', `Connection: close, upgrade\r\nUpgrade: websocket\r\n`, 'tunnel'],
      ['that Connection does not name', 'Upgrade: websocket\r\n', 'none'],
      ['that Connection does not quite name', 'Connection: upgrade\xa0\r\nUpgrade: a\r\n', 'none'],
      ['that is not named', asked, 'none'],
      ['of HTTP/1.0', `${asked}Upgrade: websocket\r\n`, 'none', 'GET / HTTP/1.0'],
      ['with a body', `${asked}Upgrade: websocket\r\nContent-Length: 1\r\n`, 'length'],
      ['with a body of nothing', `${asked}Upgrade: websocket\r\nContent-Length: 0\r\n`, 'length'],
      ['in chunks', `${asked}Upgrade: websocket\r\nTransfer-Encoding: chunked\r\n`, 'chunked'],
      ['twice', `${asked}Upgrade: websocket\r\nUpgrade: websocket\r\n`, 'none'],
      ['or another', `${asked}Upgrade: websocket, echo\r\n`, 'none'],
      ['that is no name', `${asked}Upgrade: web socket\r\n`, 'none'],
      ...['h2c', 'H2C', 'h2', 'h2c-14', 'HTTP/2.0', 'TLS/1.0', 'ssl'].map(
        (name) => ['in place of HTTP', `${asked}Upgrade: ${name}\r\n`, 'none'] as const,
      ),
    ];
  for (const [why, headers, framing, line = 'GET / HTTP/1.1'] of rows) {
    it(`${why}: ${framing} of ${JSON.stringify(headers)}`, () => {
      const progress = parseRequestHead(
        Buffer.from(`${line}\r\nHost: a\r\n${headers}\r\n`, 'latin1'),
      );
      assert.ok(progress.kind === 'head');
      assert.equal(progress.head.framing.kind, framing);
    });
  }
});
