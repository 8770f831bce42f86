import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  formatHostPort,
  isHost,
  isLoopback,
  isNetwork,
  isWildcard,
  overlaps,
  parseHostPort,
} from '../../src/config/address.ts';

describe('host:port', () => {
  for (const [text, host, port] of [
    ['127.0.0.1:5060', '127.0.0.1', 5060],
    ['[::1]:0', '::1', 0],
    ['sip.example.com:65535', 'sip.example.com', 65535],
    ['localhost:1', 'localhost', 1],
  ] as const)
    it(`${text} is read and written back`, () => {
      const parsed = parseHostPort(text);
      assert.deepEqual(parsed, { host, port });
      assert.equal(formatHostPort(host, port), text);
    });

  for (const text of [
    '',
    'a',
    ':1',
    'a:',
    'a:65536',
    '::1:5060',
    '[a]:1',
    '[::1]',
    'a b:1',
    '1.2.3:1',
  ])
    it(`"${text}" is refused`, () => {
      assert.equal(parseHostPort(text), undefined);
    });
});

describe('what an address is', () => {
  it('loopback', () => {
    for (const yes of [
      '127.0.0.1',
      '127.9.9.9',
      '::1',
      '0:0:0:0:0:0:0:1',
      '::ffff:127.0.0.1',
      'LocalHost',
    ])
      assert.ok(isLoopback(yes), yes);
    for (const no of ['128.0.0.1', '::2', '0.0.0.0', 'localhost.example.com', '127.example.com'])
      assert.ok(!isLoopback(no), no);
  });

  it('every address', () => {
    for (const yes of ['0.0.0.0', '::', '0:0::0']) assert.ok(isWildcard(yes), yes);
    for (const no of ['127.0.0.1', '::1', 'fe80::1%eth0']) assert.ok(!isWildcard(no), no);
  });

  it('a host', () => {
    for (const yes of ['a', 'a-b.example', '10.0.0.1', 'fd00::1', 'peer_1'])
      assert.ok(isHost(yes), yes);
    for (const no of ['', '-a', 'a..b', '300.1.1.1', 'a b', 'a/b']) assert.ok(!isHost(no), no);
  });

  it('a network', () => {
    for (const yes of ['10.0.0.0/8', '10.1.1.1', 'fd00::/8', '::1/128'])
      assert.ok(isNetwork(yes), yes);
    for (const no of ['10.0.0.0/33', 'fd00::/129', '10.0.0.0/', 'a/8', '1.1.1.1/8/8'])
      assert.ok(!isNetwork(no), no);
  });

  it('one that takes the port of another', () => {
    const at = (address: string, port: number) => ({ address, port });
    assert.ok(overlaps(at('127.0.0.1', 1), at('0.0.0.0', 1)));
    assert.ok(overlaps(at('::', 1), at('127.0.0.1', 1)));
    assert.ok(!overlaps(at('127.0.0.1', 1), at('127.0.0.2', 1)));
    assert.ok(!overlaps(at('127.0.0.1', 0), at('127.0.0.1', 0)));
  });
});
