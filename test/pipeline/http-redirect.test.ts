import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { httpLimits } from '../../src/config/defaults.ts';
import { HeaderBlock, parseRequestHead, type ReceivedRequest } from '../../src/http/index.ts';
import type { HttpRemote } from '../../src/pipeline/http-forward.ts';
import { hostOf, isHttps, toHttps, toOtherHost } from '../../src/pipeline/http-redirect.ts';

const client: HttpRemote = { address: '192.0.2.7', port: 4711, isTls: false, isTrusted: false };
const tls: HttpRemote = { ...client, isTls: true };
const proxy: HttpRemote = { ...client, isTrusted: true };

function request(
  target: string,
  { method = 'GET', host = 'shop.example:8080', headers = '' } = {},
): ReceivedRequest {
  const raw = `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n${headers}\r\n`;
  const progress = parseRequestHead(Buffer.from(raw, 'latin1'));
  assert.ok(progress.kind === 'head', host);
  return progress.head;
}

describe('the host of an authority', () => {
  const good = [
    ['shop.example', 'shop.example'],
    ['shop.example:8080', 'shop.example'],
    ['shop.example:', 'shop.example'],
    ['Shop_1.EXAMPLE', 'Shop_1.EXAMPLE'],
    ['192.0.2.1:80', '192.0.2.1'],
    ['[2001:db8::1]', '[2001:db8::1]'],
    ['[::ffff:192.0.2.1]:443', '[::ffff:192.0.2.1]'],
  ] as const;
  for (const [authority, host] of good) {
    it(`${authority}: ${host}`, () => {
      assert.equal(hostOf(authority), host);
    });
  }

  const bad = [
    '',
    ':80',
    'a:b',
    'a:1:2',
    'a:123456',
    'a b',
    'user@a',
    'a/b',
    'a?b',
    'a#b',
    'a\\b',
    'a%2eb',
    'a\r\nSet-Cookie: x',
    'a\r\n',
    'a\n',
    'é.example',
    '[::1',
    '[::1]x',
    '[::1%eth0]',
    '[]',
    `${'a'.repeat(httpLimits.locationHostBytesMax)}b`,
  ];
  for (const authority of bad) {
    it(`${JSON.stringify(authority.slice(0, 20))} has none`, () => {
      assert.equal(hostOf(authority), undefined);
    });
  }
});

describe('the way to https', () => {
  it('is the same URL, at the port that is configured', () => {
    const asked = request('/a//b?c=%0d&d=e');
    assert.deepEqual(toHttps(asked, client, 443), {
      kind: 'redirect',
      status: 301,
      location: 'https://shop.example/a//b?c=%0d&d=e',
    });
    const elsewhere = toHttps(asked, client, 8443);
    assert.equal(elsewhere?.location, 'https://shop.example:8443/a//b?c=%0d&d=e');
  });

  it('keeps methods that 301 might change', () => {
    const statusOf = (method: string): number | undefined =>
      toHttps(request('/', { method }), client, 443)?.status;
    assert.deepEqual(
      ['GET', 'HEAD', 'POST', 'PUT', 'OPTIONS', 'get'].map(statusOf),
      [301, 301, 308, 308, 308, 308],
    );
  });

  it('begins at the root for a request to the server as a whole', () => {
    const asked = request('*', { method: 'OPTIONS' });
    assert.equal(toHttps(asked, client, 443)?.location, 'https://shop.example/');
  });

  it('is unknown when the request names no host', () => {
    assert.equal(toHttps({ ...request('/'), host: '' }, client, 443), undefined);
    assert.equal(toHttps({ ...request('/'), host: "a'b" }, client, 443), undefined);
  });

  it('leads to the host that a trusted proxy was asked for, nobody else can name one', () => {
    const asked = request('/', { headers: 'X-Forwarded-Host: www.example\r\n' });
    assert.equal(toHttps(asked, proxy, 443)?.location, 'https://www.example/');
    assert.equal(toHttps(asked, client, 443)?.location, 'https://shop.example/');
  });

  it('is not needed where a trusted proxy has it already', () => {
    const asked = request('/', { headers: 'X-Forwarded-Proto: HTTPS\r\n' });
    assert.equal(isHttps(asked, proxy), true);
    assert.equal(isHttps(asked, client), false);
    assert.equal(isHttps(request('/'), tls), true);
    assert.equal(isHttps(request('/', { headers: 'X-Forwarded-Proto: http\r\n' }), proxy), false);
  });
});

describe('the way to another host', () => {
  const rows = [
    ['sorry.example:80', client, 'http://sorry.example/a?b'],
    ['sorry.example:80', tls, 'http://sorry.example/a?b'],
    ['sorry.example:443', client, 'https://sorry.example/a?b'],
    ['sorry.example:8080', client, 'http://sorry.example:8080/a?b'],
    ['sorry.example:8443', tls, 'https://sorry.example:8443/a?b'],
    ['[2001:db8::1]:8080', client, 'http://[2001:db8::1]:8080/a?b'],
    ['[2001:db8::1]:80', client, 'http://[2001:db8::1]/a?b'],
  ] as const;
  for (const [host, remote, location] of rows) {
    it(`${host} ${remote.isTls ? 'over TLS' : 'in clear text'}: ${location}`, () => {
      const method = 'POST';
      assert.deepEqual(toOtherHost(request('/a?b', { method }), remote, host), {
        kind: 'redirect',
        status: 307,
        location,
      });
    });
  }
});

describe('a Location', () => {
  it('stays one header of visible ASCII, whatever target and host a listener lets through', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('\r\n', '\0', ' ', '\ud800'),
    );
    fc.assert(
      fc.property(fc.array(text), fc.array(text), (targets, hosts) => {
        const hostile: ReceivedRequest = {
          ...request('/'),
          target: `/${targets.join('')}`,
          host: hosts.join(''),
        };
        const made = [
          toOtherHost(hostile, client, 'sorry.example:80'),
          toHttps(hostile, client, 443),
          toHttps({ ...hostile, host: 'shop.example' }, client, 443),
        ];
        for (const redirect of made) {
          if (redirect === undefined) continue;
          assert.match(redirect.location, /^https?:\/\/[A-Za-z0-9._~[\]:-]+\/[\x21-\x7e]*$/);
          assert.equal(HeaderBlock.of([['Location', redirect.location]]).list().length, 1);
        }
      }),
      { numRuns: 500 },
    );
  });
});
