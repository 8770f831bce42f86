import assert from 'node:assert/strict';
import { BlockList, isIPv4 } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { networkKey, NetworkSet, parseAddress } from '../../src/pipeline/network.ts';

const v4 = fc.ipV4();
const v6 = fc.ipV6();

describe('an address as groups', () => {
  for (const [text, groups] of [
    ['192.0.2.1', [0xc000, 0x0201]],
    ['::', [0, 0, 0, 0, 0, 0, 0, 0]],
    ['::1', [0, 0, 0, 0, 0, 0, 0, 1]],
    ['2001:DB8::8:9', [0x2001, 0xdb8, 0, 0, 0, 0, 8, 9]],
    ['1:2:3:4:5:6:7:8', [1, 2, 3, 4, 5, 6, 7, 8]],
    ['fe80::1%eth0', [0xfe80, 0, 0, 0, 0, 0, 0, 1]],
    ['64:ff9b::192.0.2.1', [0x64, 0xff9b, 0, 0, 0, 0, 0xc000, 0x0201]],
    ['::ffff:192.0.2.1', [0xc000, 0x0201]],
  ] as const)
    it(`of ${text}`, () => {
      assert.deepEqual(parseAddress(text), groups);
    });

  for (const text of [
    '',
    'a',
    '1.2.3',
    '1.2.3.256',
    '1:2:3',
    ':::',
    '1::2::3',
    '12345::',
    '1.2.3.4::',
    '1:2:3:4:5:6:7:8::',
  ])
    it(`is none for "${text}"`, () => {
      assert.equal(parseAddress(text), undefined);
    });
});

describe('networks', () => {
  it('hold the addresses that Node says they hold', () => {
    // Of one family at a time: Node finds IPv4 addresses in ::/0 too, as mapped ones.
    const sets = fc.oneof(
      fc.tuple(fc.array(fc.tuple(v4, fc.integer({ min: 0, max: 32 })), { maxLength: 8 }), v4),
      fc.tuple(fc.array(fc.tuple(v6, fc.integer({ min: 0, max: 128 })), { maxLength: 8 }), v6),
    );
    fc.assert(
      fc.property(sets, ([networks, address]) => {
        const addresses = [address, ...networks.map(([base]) => base)];
        const own = new NetworkSet(networks.map(([base, bits]) => `${base}/${bits}`));
        const theirs = new BlockList();
        for (const [base, bits] of networks) theirs.addSubnet(base, bits, kindOf(base));
        for (const one of addresses) {
          const groups = parseAddress(one);
          assert.ok(groups !== undefined, one);
          assert.equal(own.has(groups), theirs.check(one, kindOf(one)), one);
        }
      }),
      { seed: 7, numRuns: 500 },
    );
  });

  it('written without a prefix are one address', () => {
    const set = new NetworkSet(['10.0.0.1', 'fd00::1']);
    assert.ok(set.has(parseAddress('10.0.0.1')!));
    assert.ok(set.has(parseAddress('fd00:0::1')!));
    assert.ok(!set.has(parseAddress('10.0.0.2')!));
    assert.ok(!set.has(parseAddress('fd00::2')!));
  });

  it('of IPv4 mapped into IPv6 are those of IPv4', () => {
    assert.ok(new NetworkSet(['::ffff:10.0.0.0/104']).has(parseAddress('10.1.2.3')!));
    assert.ok(!new NetworkSet(['::ffff:10.0.0.0/104']).has(parseAddress('11.1.2.3')!));
    assert.ok(new NetworkSet(['::ffff:10.0.0.0/64']).has(parseAddress('::1')!));
  });

  it('that are none throw, because the configuration was checked', () => {
    for (const text of ['a', '10.0.0.0/33', '10.0.0.0/x', '::/129'])
      assert.throws(() => new NetworkSet([text]), TypeError, text);
  });

  it('of different families never have one key', () => {
    assert.notEqual(networkKey([1, 2], 32), networkKey([1, 2, 0, 0, 0, 0, 0, 0], 32));
  });
});

function kindOf(address: string): 'ipv4' | 'ipv6' {
  return isIPv4(address) ? 'ipv4' : 'ipv6';
}
