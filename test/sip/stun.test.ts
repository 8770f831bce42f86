import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { answerStun } from '../../src/sip/stun.ts';

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
}

const transaction = 'b7e7a701 bc34d686 fa87dfae';

/** RFC 5769 section 2.1: as an ICE agent sends it, with PRIORITY, which is not of RFC 8489. */
const sampleRequest = hex(`
  00010058 2112a442 ${transaction}
  80220010 5354554e 20746573 7420636c 69656e74
  00240004 6e0001ff
  80290008 932ff9b1 51263b36
  00060009 6576746a 3a683676 59202020
  00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2
  80280004 e57a3bcf`);

/** A Binding request of the transaction of RFC 5769. */
function binding(attributes = ''): Buffer {
  const body = hex(attributes);
  const head = hex(`0001 ${body.length.toString(16).padStart(4, '0')} 2112a442 ${transaction}`);
  return Buffer.concat([head, body]);
}

/** With a FINGERPRINT whose CRC comes from elsewhere. */
function fingerprinted(attributes = ''): Buffer {
  const bare = binding(`${attributes} 80280004 00000000`);
  bare.writeUInt32BE((crc32(bare.subarray(0, -8)) ^ 0x5354554e) >>> 0, bare.length - 4);
  return bare;
}

function attributesOf(message: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  assert.equal(message.readUInt16BE(2), message.length - 20);
  for (let at = 20; at < message.length;) {
    const length = message.readUInt16BE(at + 2);
    found.set(message.readUInt16BE(at), message.subarray(at + 4, at + 4 + length));
    at += 4 + Math.ceil(length / 4) * 4;
  }
  return found;
}

describe('answerStun', () => {
  it('writes the mapped addresses of the samples of RFC 5769', () => {
    assert.deepEqual(
      answerStun(binding(), '192.0.2.1', 32_853),
      hex(`0101000c 2112a442 ${transaction} 00200008 0001a147 e112a643`),
    );
    assert.deepEqual(
      answerStun(binding(), '2001:db8:1234:5678:11:2233:4455:6677', 32_853),
      hex(`01010018 2112a442 ${transaction}
        00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9`),
    );
  });

  it('refuses the sample request for its PRIORITY, and checks its fingerprint', () => {
    const answer = answerStun(sampleRequest, '192.0.2.1', 32_853);
    assert.ok(answer);
    assert.equal(answer.readUInt16BE(0), 0x0111);
    const attributes = attributesOf(answer);
    assert.deepEqual(attributes.get(0x0009), hex('00000414'));
    assert.deepEqual(attributes.get(0x000a), hex('0024'));
    const crc = (crc32(answer.subarray(0, -8)) ^ 0x5354554e) >>> 0;
    assert.equal(attributes.get(0x8028)?.readUInt32BE(), crc);
    for (let at = 0; at < sampleRequest.length; at++) {
      // The type of the fingerprint: with another type there is none to check.
      if (at === 100 || at === 101) continue;
      const forged = Buffer.from(sampleRequest);
      forged[at]! ^= 0x01;
      assert.equal(answerStun(forged, '192.0.2.1', 32_853), undefined, `byte ${at}`);
    }
  });

  it('passes over what may be passed over, and what follows the integrity', () => {
    const integrity = '00080014 0000000000000000000000000000000000000000';
    for (const known of ['80220001 61000000', '00060002 61620000', `${integrity} 00240000`]) {
      assert.equal(answerStun(binding(known), '192.0.2.1', 1)?.readUInt16BE(0), 0x0101);
    }
    assert.equal(answerStun(binding('00240000 00240000'), '::1', 1)?.readUInt16BE(0), 0x0111);
  });

  it('adds a fingerprint where the request has one', () => {
    const answer = answerStun(fingerprinted(), '192.0.2.1', 32_853);
    assert.ok(answer);
    const crc = (crc32(answer.subarray(0, -8)) ^ 0x5354554e) >>> 0;
    assert.equal(attributesOf(answer).get(0x8028)?.readUInt32BE(), crc);
  });

  it('reads every way to write an address', () => {
    const bytes = (address: string): string | undefined => {
      const mapped = answerStun(binding(), address, 0);
      if (mapped === undefined) return undefined;
      const value = attributesOf(mapped).get(0x0020)!.subarray(4);
      return Buffer.from(value.map((byte, at) => byte ^ mapped[4 + at]!)).toString('hex');
    };
    const zeros = '00'.repeat(14);
    assert.equal(bytes('::'), `${zeros}0000`);
    assert.equal(bytes('::1'), `${zeros}0001`);
    assert.equal(bytes('1::'), `0001${zeros}`);
    assert.equal(bytes('fe80::1%eth0'), `fe80${'00'.repeat(12)}0001`);
    assert.equal(bytes('64:ff9b::192.0.2.1'), `0064ff9b${'00'.repeat(8)}c0000201`);
    for (const wrong of [
      '',
      'h',
      '1.2.3',
      '1.2.3.256',
      '::1::',
      '1:2:3',
      '1:2:3:4:5:6:7:8::',
      ':x:',
    ]) {
      assert.equal(bytes(wrong), undefined, wrong);
    }
  });

  it('leaves alone what is no Binding request', () => {
    const request = binding();
    const changed = (at: number, value: number): Buffer => {
      const copy = Buffer.from(request);
      copy[at] = value;
      return copy;
    };
    const others = [
      Buffer.from('\r\n\r\n'),
      Buffer.from('OPTIONS sip:a@b SIP/2.0\r\n\r\n'),
      request.subarray(0, 16),
      changed(0, 0x80),
      changed(1, 0x11),
      changed(1, 0x03),
      changed(3, 4),
      changed(4, 0),
      Buffer.concat([request, Buffer.alloc(4)]),
      binding('80220005 61000000'),
      Buffer.concat([fingerprinted().subarray(0, 28), Buffer.alloc(4)]),
      fingerprinted('80280004 00000000'),
    ];
    for (const other of others) {
      assert.equal(answerStun(other, '192.0.2.1', 1), undefined, other.toString('hex'));
    }
  });

  it('answers with a bounded size and never throws', () => {
    const attribute = fc
      .tuple(fc.integer({ min: 0, max: 0xffff }), fc.uint8Array({ maxLength: 12 }))
      .map(([type, value]) => {
        const bytes = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
        bytes.writeUInt16BE(type, 0);
        bytes.writeUInt16BE(value.length, 2);
        bytes.set(value, 4);
        return bytes;
      });
    const requests = fc.array(attribute).map((all) => binding(Buffer.concat(all).toString('hex')));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
          requests,
        ),
        fc.oneof(fc.ipV4(), fc.ipV6(), fc.string()),
        (datagram, address) => {
          const answer = answerStun(datagram, address, 5_060);
          if (answer === undefined) return;
          const isError = answer.readUInt16BE(0) === 0x0111;
          const bytesMax = isError ? 1.5 * datagram.length : datagram.length + 24;
          assert.ok(answer.length <= bytesMax, `${datagram.length} became ${answer.length}`);
          assert.deepEqual(answer.subarray(4, 20), datagram.subarray(4, 20));
        },
      ),
    );
  });
});
