import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { acceptLimits } from '../../../src/config/defaults.ts';
import { readProxyHeader } from '../../../src/io/accept/proxy-header.ts';

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const invite = Buffer.from('INVITE sip:a@b SIP/2.0\r\n');

function v2(command: number, family: number, block: Buffer): Buffer {
  const head = Buffer.from([command, family, block.length >> 8, block.length & 0xff]);
  return Buffer.concat([signature, head, block]);
}

const v4Block = Buffer.from('c0000201c633640113c413c5', 'hex');
const v6Block = Buffer.from(
  `20010db8${'00'.repeat(11)}0120010db8${'00'.repeat(11)}0213c413c5`,
  'hex',
);
const tlv = Buffer.from('e000026869', 'hex');

const v4 = { address: '192.0.2.1', port: 5_060 };
const v6 = { address: '2001:db8::1', port: 5_060 };

const headers: readonly [string, Buffer, { address: string; port: number } | undefined][] = [
  ['v1 TCP4', Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.1 5060 5061\r\n'), v4],
  ['v1 TCP6', Buffer.from('PROXY TCP6 2001:DB8:0:0::1 2001:db8::2 5060 5061\r\n'), v6],
  ['v1 UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n'), undefined],
  ['v1 UNKNOWN with a rest', Buffer.from('PROXY UNKNOWN ff::1 ff::2 a b c\r\n'), undefined],
  ['v1 mapped', Buffer.from('PROXY TCP6 ::ffff:192.0.2.1 ::1 5060 1\r\n'), v4],
  ['v2 TCP over IPv4', v2(0x21, 0x11, v4Block), v4],
  ['v2 UDP over IPv4', v2(0x21, 0x12, v4Block), v4],
  ['v2 TCP over IPv6', v2(0x21, 0x21, v6Block), v6],
  ['v2 with TLVs', v2(0x21, 0x21, Buffer.concat([v6Block, tlv])), v6],
  ['v2 unix', v2(0x21, 0x31, Buffer.alloc(216, 0x61)), undefined],
  ['v2 unspecified', v2(0x21, 0x00, Buffer.alloc(0)), undefined],
  ['v2 LOCAL', v2(0x20, 0x00, Buffer.alloc(0)), undefined],
  ['v2 LOCAL, whose block says nothing', v2(0x20, 0x99, v4Block), undefined],
];

describe('readProxyHeader', () => {
  it('reads every kind, and leaves what follows', () => {
    for (const [name, bytes, source] of headers) {
      const read = readProxyHeader(Buffer.concat([bytes, invite]));
      assert.deepEqual(read, { kind: 'header', length: bytes.length, source }, name);
    }
  });

  it('waits for the rest at every split', () => {
    for (const [name, bytes] of headers) {
      for (let length = 0; length < bytes.length; length++) {
        const read = readProxyHeader(bytes.subarray(0, length));
        assert.equal(read.kind, 'incomplete', `${name} after ${length} bytes`);
      }
    }
  });

  it('refuses what is no header', () => {
    const wrong = [
      invite,
      Buffer.from('proxy TCP4 192.0.2.1 198.51.100.1 5060 5061\r\n'),
      Buffer.from('PROXY TCP5 192.0.2.1 198.51.100.1 5060 5061\r\n'),
      Buffer.from('PROXY TCP4 2001:db8::1 2001:db8::2 5060 5061\r\n'),
      Buffer.from('PROXY TCP6 192.0.2.1 198.51.100.1 5060 5061\r\n'),
      Buffer.from('PROXY TCP6 fe80::1%eth0 fe80::2 5060 5061\r\n'),
      Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.1 5060\r\n'),
      Buffer.from('PROXY TCP4 192.0.2.1  198.51.100.1 5060 5061\r\n'),
      Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.1 5060 5061 \r\n'),
      Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.1 05060 5061\r\n'),
      Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.1 65536 5061\r\n'),
      Buffer.from('PROXY TCP4 192.0.2.256 198.51.100.1 5060 5061\r\n'),
      Buffer.from('PROXY \r\n'),
      v2(0x11, 0x11, v4Block),
      v2(0x22, 0x11, v4Block),
      v2(0x21, 0x10, v4Block),
      v2(0x21, 0x41, v4Block),
      v2(0x21, 0x11, v4Block.subarray(1)),
      v2(0x21, 0x21, v4Block),
    ];
    for (const bytes of wrong) {
      assert.equal(readProxyHeader(bytes).kind, 'invalid', bytes.toString('latin1'));
    }
  });

  it('takes the longest line and header, and none beyond', () => {
    const line = (length: number): Buffer =>
      Buffer.from(`${'PROXY UNKNOWN '.padEnd(length - 2, 'x')}\r\n`);
    assert.equal(readProxyHeader(line(107)).kind, 'header');
    assert.equal(readProxyHeader(line(108)).kind, 'invalid');
    assert.equal(readProxyHeader(line(108).subarray(0, 106)).kind, 'incomplete');
    const most = acceptLimits.proxyHeaderBytesMax - 16;
    assert.equal(readProxyHeader(v2(0x21, 0, Buffer.alloc(most))).kind, 'header');
    // Before the bytes come that would not fit.
    const larger = v2(0x21, 0, Buffer.alloc(most + 1)).subarray(0, 16);
    assert.equal(readProxyHeader(larger).kind, 'invalid');
  });

  it('never throws, and claims no more than it was given', () => {
    const prefix = fc.constantFrom(Buffer.alloc(0), Buffer.from('PROXY TCP4 '), signature);
    const tail = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(prefix, tail, (front, rest) => {
        const bytes = Buffer.concat([front, rest]);
        const read = readProxyHeader(bytes);
        if (read.kind === 'header') assert.ok(read.length <= bytes.length);
        if (read.kind === 'incomplete') assert.ok(bytes.length < acceptLimits.proxyHeaderBytesMax);
      }),
    );
  });
});
