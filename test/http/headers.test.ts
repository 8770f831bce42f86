import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  cookieValues,
  endToEndRequestHeaders,
  endToEndResponseHeaders,
  endToEndTrailers,
  type Field,
  fieldLines,
  forwardedLines,
  GatheredOutput,
  HeaderBlock,
  parseSetCookie,
  serializeRequestHead,
  serializeResponseHead,
} from '../../src/http/index.ts';

/** Lines as a parser gives them: framing may be among them. */
function received(list: readonly (readonly [string, string])[]): HeaderBlock {
  return HeaderBlock.checked(list.map(([name, value]) => `${name}: ${value}\r\n`).join(''));
}

function forwarded(
  list: readonly (readonly [string, string])[],
  hop: Parameters<typeof forwardedLines>[1],
): unknown {
  return HeaderBlock.checked(forwardedLines(received(list), hop)).list();
}

describe('headers of one hop', () => {
  it('are removed from a request, with those that Connection names and those of peers', () => {
    const kept = endToEndRequestHeaders(
      received([
        ['Host', 'a'],
        ['Connection', 'X-Hop, Host, Cookie, close'],
        ['Keep-Alive', 'timeout=5'],
        ['Proxy-Connection', 'keep-alive'],
        ['TE', 'trailers'],
        ['Transfer-Encoding', 'chunked'],
        ['Upgrade', 'websocket'],
        ['Content-Length', '3'],
        ['X-Hop', '1'],
        ['Cookie', 'a=b'],
        ['proxy-BEKEY', 'x'],
        ['Proxy-beroute', 'x'],
        ['Proxy-Authorization', 'x'],
        ['Proxy', 'http://evil'],
        ['X-Forwarded-For', '1.2.3.4'],
        ['X-FORWARDED-anything', 'x'],
        ['Forwarded', 'for=1.2.3.4'],
        ['X-Other', '1'],
        ['Expect', '100-continue'],
      ]),
      ['x-hop', 'host', 'cookie', 'close'],
    );
    assert.deepEqual(kept.list(), [
      ['Host', 'a'],
      ['Cookie', 'a=b'],
      ['X-Other', '1'],
      ['Expect', '100-continue'],
    ]);
  });

  it('of peers are removed also with underscores: CGI makes them the same name', () => {
    const headers: Field[] = [
      ['X_Forwarded-For', '6.6.6.6'],
      ['X-Forwarded_Host', 'evil'],
      ['proxy_beroute', 'p9'],
      ['my_header', '1'],
    ];
    assert.deepEqual(endToEndRequestHeaders(received(headers), []).list(), [['my_header', '1']]);
    assert.deepEqual(endToEndTrailers(headers), [['my_header', '1']]);
  });

  it('are removed from a response; a challenge of Proxy-Authenticate passes', () => {
    const kept = endToEndResponseHeaders(
      received([
        ['Connection', 'keep-alive, X-Hop'],
        ['X-Hop', '1'],
        ['Content-Length', '3'],
        ['proxy-beroute', 'x'],
        ['Proxy-Authenticate', 'Basic'],
        ['Set-Cookie', 'a=b'],
      ]),
      ['keep-alive', 'x-hop'],
    );
    assert.deepEqual(kept.list(), [
      ['Proxy-Authenticate', 'Basic'],
      ['Set-Cookie', 'a=b'],
    ]);
  });

  it('cannot come back as trailers', () => {
    const kept = endToEndTrailers([
      ['Content-Length', '3'],
      ['Host', 'b'],
      ['proxy-bekey', 'x'],
      ['X-Forwarded-For', 'x'],
      ['Set-Cookie', 'a=b'],
      ['Checksum', 'c'],
    ]);
    assert.deepEqual(kept, [['Checksum', 'c']]);
  });
});

describe('forwarding headers', () => {
  const forged = [
    ['X-Forwarded-For', '9.9.9.9'],
    ['x-forwarded-for', '8.8.8.8'],
    ['X-Forwarded-Proto', 'https'],
    ['X-Forwarded-Host', 'shop.example'],
    ['X-Forwarded-Port', '443'],
    ['Forwarded', 'for=9.9.9.9'],
  ] as const;

  it('begin at the remote when it is not trusted', () => {
    const hop = { remoteAddress: '192.0.2.1', isTls: false, host: 'a:8080', isTrusted: false };
    assert.deepEqual(forwarded(forged, hop), [
      ['X-Forwarded-For', '192.0.2.1'],
      ['X-Forwarded-Proto', 'http'],
      ['X-Forwarded-Port', '8080'],
      ['Forwarded', 'for=192.0.2.1;proto=http;host="a:8080"'],
      ['X-Forwarded-Host', 'a:8080'],
    ]);
  });

  it('continue what a trusted remote says', () => {
    const hop = { remoteAddress: '192.0.2.1', isTls: false, host: 'a', isTrusted: true };
    assert.deepEqual(forwarded(forged, hop), [
      ['X-Forwarded-For', '9.9.9.9, 8.8.8.8, 192.0.2.1'],
      ['X-Forwarded-Proto', 'https'],
      ['X-Forwarded-Port', '443'],
      ['Forwarded', 'for=9.9.9.9, for=192.0.2.1;proto=http;host="a"'],
      ['X-Forwarded-Host', 'shop.example'],
    ]);
  });

  it('write IPv6 as RFC 7239 wants it and leave out a missing host', () => {
    const hop = { remoteAddress: '2001:db8::1', isTls: true, host: '', isTrusted: true };
    assert.deepEqual(forwarded([], hop), [
      ['X-Forwarded-For', '2001:db8::1'],
      ['X-Forwarded-Proto', 'https'],
      ['X-Forwarded-Port', '443'],
      ['Forwarded', 'for="[2001:db8::1]";proto=https'],
    ]);
  });
});

describe('cookies', () => {
  const rows: readonly (readonly [line: string, values: readonly string[]])[] = [
    ['SID=1', ['1']],
    ['a=b; SID=1; c=d', ['1']],
    ['a=b;SID=1;SID=2', ['1', '2']],
    ['XSID=1; SIDX=2; a=SID=3', []],
    ['SID="quoted"', ['quoted']],
    ['SID=', ['']],
    ['SID', []],
    [';;; ;SID=a=b', ['a=b']],
    ['garbage \u00e9; SID=1', ['1']],
    ['SID =1', []],
    ['SID=1; SID=2; SID=3; SID=4; SID=5', ['1', '2', '3', '4']],
  ];
  for (const [line, values] of rows) {
    it(`${line} has ${values.length} of the name`, () => {
      assert.deepEqual(
        cookieValues(
          received([
            ['X', 'SID=9'],
            ['cookie', line],
          ]).all('cookie'),
          'SID',
          4,
        ),
        values,
      );
    });
  }

  it('that a response sets are read by name and value', () => {
    assert.deepEqual(parseSetCookie('JSESSIONID=a.b; Path=/; HttpOnly'), ['JSESSIONID', 'a.b']);
    assert.deepEqual(parseSetCookie(' a = b '), ['a', 'b']);
    assert.equal(parseSetCookie('nothing'), undefined);
    assert.equal(parseSetCookie('=x; a=b'), undefined);
  });
});

describe('writing heads', () => {
  const request = {
    method: 'GET',
    target: '/',
    headers: HeaderBlock.empty,
    framing: { kind: 'none' },
  } as const;
  const response = {
    status: 200,
    reason: 'OK',
    headers: HeaderBlock.empty,
    framing: { kind: 'none' },
  } as const;
  const bad = ['a\r\nX: b', 'a\nb', 'a\rb', 'a\u0000', 'a\u010ab', 'a\u007f'];

  it('refuses what would become another header or another message', () => {
    for (const text of bad) {
      assert.throws(() => HeaderBlock.of([['X', text]]), TypeError);
      assert.throws(() => HeaderBlock.of([[text, 'x']]), TypeError);
      assert.throws(() => serializeRequestHead({ ...request, target: `/${text}` }), TypeError);
      assert.throws(() => serializeRequestHead({ ...request, method: text }), TypeError);
      assert.throws(() => fieldLines([['X', text]]), TypeError);
      assert.throws(
        () => serializeResponseHead({ ...response, reason: text }, { kind: 'none' }, ''),
        TypeError,
      );
    }
    assert.throws(() => serializeRequestHead({ ...request, target: '/a b' }), TypeError);
    assert.throws(() => HeaderBlock.of([['a:b', 'x']]), TypeError);
    for (const framing of ['Content-Length', 'transfer-encoding']) {
      assert.throws(() => HeaderBlock.of([[framing, '1']]), TypeError);
      assert.equal(HeaderBlock.read(`${framing}: 1\r\n`), undefined);
    }
  });

  it('names TE in Connection where there is one, and not for what ends alike', () => {
    const written = (name: string): string =>
      serializeRequestHead({
        ...request,
        headers: HeaderBlock.of([
          ['Host', 'a'],
          [name, 'trailers'],
        ]),
      });
    assert.match(written('TE'), /\r\nConnection: TE\r\n/);
    assert.doesNotMatch(written('X-TE'), /Connection/);
  });

  it('makes framing from the body', () => {
    const written = (framing: Parameters<typeof serializeResponseHead>[1]): string =>
      serializeResponseHead(
        { ...response, headers: HeaderBlock.of([['A', 'b']]) },
        framing,
        'C: d\r\n',
      );
    assert.equal(written({ kind: 'none' }), 'HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n');
    assert.equal(written({ kind: 'close' }), 'HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n');
    assert.equal(
      written({ kind: 'length', bytes: 0 }),
      'HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 0\r\nC: d\r\n\r\n',
    );
    assert.equal(
      written({ kind: 'chunked' }),
      'HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\nC: d\r\n\r\n',
    );
  });
});

describe('gathered output', () => {
  it('joins what one turn writes and passes large pieces on in order', () => {
    const writes: string[] = [];
    const turns: (() => void)[] = [];
    const output = new GatheredOutput(
      (output) => writes.push(Buffer.from(output as string, 'latin1').toString('latin1')),
      (flush) => turns.push(flush),
    );
    output.text('head\u00e9');
    output.bytes(Buffer.from('body'));
    assert.deepEqual(writes, []);
    turns.shift()?.();
    assert.deepEqual(writes, ['head\u00e9body']);
    output.text('a');
    output.bytes(Buffer.alloc(20_000, 'b'));
    assert.deepEqual(writes.slice(1), ['a', 'b'.repeat(20_000)]);
    turns.shift()?.();
    assert.equal(writes.length, 3);
    assert.equal(turns.length, 0);
  });
});
