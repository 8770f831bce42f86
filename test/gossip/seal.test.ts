import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { gossipLimits } from '../../src/config/defaults.ts';
import { encodeMessage } from '../../src/gossip/codec.ts';
import { Keyring, sealBytes } from '../../src/gossip/keyring.ts';
import type { PushPull, StreamMessage } from '../../src/gossip/message.ts';
import { decodePacket, encodePacket, labelHeader } from '../../src/gossip/packet.ts';
import { Seal } from '../../src/gossip/seal.ts';
import { encodeStreamMessage } from '../../src/gossip/stream-codec.ts';
import { compressLzw } from '../support/lzw.ts';

const key = new Uint8Array(32).fill(7);
const otherKey = new Uint8Array(16).fill(8);
const nack = encodeMessage({ kind: 'nack', seqNo: 5 });
const ping: StreamMessage = {
  kind: 'ping',
  seqNo: 1,
  node: 'b',
  sourceAddress: '127.0.0.1',
  sourcePort: 7946,
  sourceNode: 'a',
};

let nonces = 0;
function nonce(): Uint8Array {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32BE(++nonces);
  return bytes;
}

function sealOf(label: string, ...keys: readonly Uint8Array[]): Seal {
  return new Seal(label, keys.length === 0 ? undefined : new Keyring(keys), nonce);
}

function compressed(text: Uint8Array, algorithm = 0): Uint8Array {
  return Uint8Array.of(9, ...encode({ Algo: algorithm, Buf: compressLzw(text) }));
}

function packetOf(label: string, body: Uint8Array): Uint8Array {
  return Uint8Array.of(...labelHeader(label), ...body);
}

/** Ends of the stream as memberlist 0.2.2 wrote them to a peer that it joined. */
const fromSerf = {
  key: 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=',
  plain:
    '0982a4416c676f00a3427566da00cf000d0c22a5e44d1a37c34a397943a6cc9c00acaacc2923670a9d3074ca3029' +
    'e3a69980248748052143460ea93f0000045895c4cd983072dc604cf3c64d00524dca5c5cf52f1029396fd8941975' +
    'a78c18524ec2b429136a0e29286fe4d06936c742298b18cb001865658e1b53010a08105040ac215545ec70a4c384' +
    '4a9aa5014ca55d3b879b0000c0f2eaddcbb7afdfbf80030b1e4cb8b0e1c388132b5eccb8b1e3c790234b9e4cb9b2' +
    'e5c3a5dabe2db372a3193a39db88a1380792aa287528e6d10c9715563a75e6b07618a8298080',
  encrypted:
    '0a000000fb0117fafc03f9fd66f9b750c56d5488f0c285b856cb87639c35397a4fcd5c36e2b465a2cff72ddeb164' +
    '40a2ab32dbe351451bb1beefd70ec919773ac7975b55363d5f44583048f832efd4a8a7baa8b74e27d1855209f2de' +
    '46ba65e89131807ffe061cbdee6f9d8a905adba8fec205a77f52acf45183a596413a678d4ae9e990efe41d3c82e3' +
    '66559fa1fd0a96114e15b1e496cadc168fa018494f2b811cfe90ecb22494a6f866abc79e64eab5d4ccab01bf8e53' +
    '525d8dfe7f93f60035254f2c533c7cbb89a14fb11aed339303154f5740b310eafd142f6ed25eb8dd4a9452f4cc0f' +
    '3ab33b7dfc39309c6210971f47220989c5ed67271254bd3bc2fd',
} as const;

describe('packets over the border', () => {
  it('pass as they are where there is no key', () => {
    const seal = sealOf('blue');
    const packet = packetOf('blue', nack);
    assert.equal(seal.packetOverheadBytes, 0);
    assert.equal(seal.sealPacket(packet), packet);
    assert.deepEqual(seal.openPacket(packet), { ok: true, value: packet });
  });

  it('come back as they were from any peer with the key, behind the label in clear', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 1_300 }),
        fc.constantFrom('', 'blue'),
        (body, label) => {
          const packet = packetOf(label, body);
          const sealed = sealOf(label, key).sealPacket(packet);
          assert.equal(sealed.length, packet.length + sealBytes);
          const start = labelHeader(label).length;
          assert.deepEqual([...sealed.subarray(0, start)], [...packet.subarray(0, start)]);
          const opened = sealOf(label, otherKey, key).openPacket(sealed);
          assert.ok(opened.ok && Buffer.from(packet).equals(opened.value));
        },
      ),
    );
  });

  const refused: readonly [string, Seal, Uint8Array, string][] = [
    [
      'a plain packet where there are keys',
      sealOf('blue', key),
      packetOf('blue', nack),
      'not-encrypted',
    ],
    [
      'a packet of another key',
      sealOf('blue', key),
      sealOf('blue', otherKey).sealPacket(packetOf('blue', nack)),
      'wrong-key',
    ],
    [
      'a packet of another cluster with the same key',
      sealOf('blue', key),
      sealOf('green', key).sealPacket(packetOf('green', nack)),
      'label-wrong',
    ],
    [
      'a packet of another cluster whose label was changed',
      sealOf('blue', key),
      packetOf('blue', sealOf('', key).sealPacket(nack)),
      'wrong-key',
    ],
    ['nothing', sealOf('blue', key), new Uint8Array(0), 'empty'],
    [
      'a packet that is too large, before anything is decrypted',
      sealOf('', key),
      new Uint8Array(gossipLimits.receivedPacketBytesMax + 1).fill(1),
      'too-large',
    ],
  ];
  for (const [title, seal, packet, fault] of refused) {
    it(`refuse ${title}`, () => {
      assert.deepEqual(seal.openPacket(packet), { ok: false, fault });
    });
  }

  it('of a peer with keys mean nothing to one without', () => {
    const sealed = sealOf('blue', key).sealPacket(packetOf('blue', nack));
    const opened = sealOf('blue').openPacket(sealed);
    assert.ok(opened.ok);
    const decoded = decodePacket(opened.value, labelHeader('blue'));
    assert.ok(!decoded.ok || decoded.value.messages.length === 0);
  });
});

/** What is compressed, with a third field: a list in a list in a list… */
const deep: Uint8Array = Uint8Array.of(
  ...encode({ Algo: 0, Buf: compressLzw(nack) }).with(0, 0x83),
  ...[0xa1, 0x5a],
  ...Array.from({ length: 32 }, () => 0x91),
  0xc0,
);

describe('compressed packets', () => {
  it('are read with all they hold', () => {
    const header = labelHeader('blue');
    const messages = Array.from({ length: 40 }, (_, at) => ({ kind: 'nack', seqNo: at }) as const);
    const compound = encodePacket(new Uint8Array(0), messages.map(encodeMessage), false);
    const packet = packetOf('blue', compressed(compound));
    assert.ok(packet.length < compound.length);
    const value = { messages, faults: [] };
    assert.deepEqual(decodePacket(packet, header), { ok: true, value });
  });

  const refused: readonly [string, Uint8Array, string][] = [
    ['a bomb', compressed(new Uint8Array(gossipLimits.expandedPacketBytesMax + 1)), 'too-large'],
    ['another algorithm', compressed(nack, 1), 'unsupported'],
    ['more than its two fields', Uint8Array.of(9, ...deep), 'malformed'],
    [
      'a nest of lists',
      Uint8Array.of(9, ...Array.from({ length: 99 }, () => 0x91), 0xc0),
      'malformed',
    ],
    ['no map', Uint8Array.of(9, 1), 'malformed'],
    ['bytes that are no text', Uint8Array.of(9, ...encode({ Algo: 0, Buf: 5 })), 'malformed'],
    ['an end too early', Uint8Array.of(9, ...encode({ Algo: 0, Buf: null })), 'truncated'],
  ];
  for (const [title, packet, fault] of refused) {
    it(`refuse ${title}`, () => {
      assert.deepEqual(decodePacket(packet, new Uint8Array(0)), { ok: false, fault });
    });
  }

  it('are not opened twice, nor inside a compound', () => {
    const twice = decodePacket(compressed(compressed(nack)), new Uint8Array(0));
    assert.deepEqual(twice, { ok: true, value: { messages: [], faults: ['unsupported'] } });
  });

  it('give content or a fault for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(), fc.nat(255), (bytes, at, byte) => {
        const packet = compressed(bytes);
        packet[1 + (at % (packet.length - 1))] = byte;
        const decoded = decodePacket(packet, new Uint8Array(0));
        assert.ok(decoded.ok ? decoded.value.messages.length <= 255 : decoded.fault);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('streams over the border', () => {
  const states: PushPull = {
    kind: 'pushPull',
    join: true,
    states: [],
    userState: new Uint8Array(5_000).fill(3),
  };

  for (const [keys, title] of [
    [[], 'plain'],
    [[key], 'encrypted'],
  ] as const) {
    it(`come back as they were, ${title}, either way and however they are cut`, () => {
      fc.assert(
        fc.property(
          fc.constantFrom<StreamMessage>(ping, states),
          fc.constantFrom('opened' as const, 'accepted' as const),
          fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 5 }),
          fc.boolean(),
          (message, side, sizes, isCompressed) => {
            const header = side === 'opened' ? labelHeader('blue') : new Uint8Array(0);
            const plain = encodeStreamMessage(header, message);
            const bytes = sealOf('blue', ...keys).sealStream(
              isCompressed
                ? Uint8Array.of(...header, ...compressed(plain.subarray(header.length)))
                : plain,
              side,
            );
            const reader = sealOf('blue', ...keys).streamDecoder(
              side === 'opened' ? 'accepted' : 'opened',
            );
            let at = 0;
            for (let i = 0; at < bytes.length; i++) {
              const piece = bytes.subarray(at, at + sizes[i % sizes.length]!);
              at += piece.length;
              const value = at < bytes.length ? undefined : message;
              assert.deepEqual(reader.push(piece), { ok: true, value });
            }
            assert.deepEqual(reader.push(Uint8Array.of(1)), { ok: true, value: message });
          },
        ),
        { numRuns: 40 },
      );
    });
  }

  it('are read as serf writes them, compressed and encrypted', () => {
    const fromHex = (hex: string): Uint8Array => Buffer.from(hex, 'hex');
    const serfKey = Buffer.from(fromSerf.key, 'base64');
    for (const [seal, hex] of [
      [sealOf(''), fromSerf.plain],
      [sealOf('', otherKey, serfKey), fromSerf.encrypted],
    ] as const) {
      const decoded = seal.streamDecoder('accepted').push(fromHex(hex));
      assert.ok(decoded.ok && decoded.value?.kind === 'pushPull');
      assert.equal(decoded.value.join, true);
      assert.deepEqual(
        decoded.value.states.map(({ name, address, port }) => [name, address, port]),
        [['s', '127.0.0.1', 29_462]],
      );
      assert.match(Buffer.from(decoded.value.userState).toString('latin1'), /StatusLTimes/u);
    }
  });

  const sealedPing = sealOf('', key).sealStream(
    encodeStreamMessage(new Uint8Array(0), ping),
    'opened',
  );
  const announced = (bytes: number): Uint8Array => {
    const head = Buffer.from([10, 0, 0, 0, 0]);
    head.writeUInt32BE(bytes, 1);
    return head;
  };
  const refused: readonly [string, Seal, Uint8Array, string][] = [
    ['a plain one where there are keys', sealOf('', key), encodeMessage(ping), 'not-encrypted'],
    [
      'a plain compressed one where there are keys',
      sealOf('', key),
      Uint8Array.of(9),
      'not-encrypted',
    ],
    ['an encrypted one where there are none', sealOf(''), sealedPing, 'encrypted'],
    ['one of another key', sealOf('', otherKey), sealedPing, 'wrong-key'],
    [
      'one bound to another label',
      sealOf('blue', key),
      Uint8Array.of(...labelHeader('blue'), ...sealedPing),
      'wrong-key',
    ],
    [
      'one that announces more than the limit, by its first bytes',
      sealOf('', key),
      announced(gossipLimits.streamBytesMax + 1),
      'too-large',
    ],
    ['one that announces nothing', sealOf('', key), announced(sealBytes), 'truncated'],
    [
      'one whose text ends too early',
      sealOf('', key),
      sealOf('', key).sealStream(encodeMessage(ping).subarray(0, -1), 'opened'),
      'truncated',
    ],
    [
      'an encrypted one inside',
      sealOf('', key),
      sealOf('', key).sealStream(sealedPing, 'opened'),
      'unsupported',
    ],
    [
      'a bomb',
      sealOf(''),
      compressed(new Uint8Array(gossipLimits.expandedStreamBytesMax + 1)),
      'too-large',
    ],
    [
      'lists in lists, by the first of them',
      sealOf(''),
      Uint8Array.of(9, ...Array.from({ length: 32 }, () => 0x91)),
      'malformed',
    ],
    [
      'lists in lists, encrypted',
      sealOf('', key),
      sealOf('', key).sealStream(Uint8Array.of(9, ...deep), 'opened'),
      'malformed',
    ],
    [
      'a compressed one inside',
      sealOf(''),
      compressed(compressed(encodeMessage(ping))),
      'unsupported',
    ],
    ['compressed bytes that are no msgpack', sealOf(''), Uint8Array.of(9, 0xc1), 'malformed'],
    ['compressed text that ends too early', sealOf(''), compressed(Uint8Array.of(0)), 'truncated'],
  ];
  for (const [title, seal, bytes, fault] of refused) {
    it(`refuse ${title}`, () => {
      assert.deepEqual(seal.streamDecoder('accepted').push(bytes), { ok: false, fault });
    });
  }

  it('refuse compressed bytes beyond the limit, though their end has not come', () => {
    const decoder = sealOf('').streamDecoder('accepted');
    const head = [9, 0x82, 0xa4, ...Buffer.from('Algo'), 0, 0xa3, ...Buffer.from('Buf'), 0xc6];
    const first = decoder.push(Uint8Array.of(...head, 0x7f, 0xff, 0xff, 0xff));
    assert.deepEqual(first, { ok: true, value: undefined });
    const piece = new Uint8Array(4_194_304);
    let result = decoder.push(piece);
    for (let sent = 1; result.ok && sent < 6; sent++) result = decoder.push(piece);
    assert.deepEqual(result, { ok: false, fault: 'too-large' });
  });

  it('give a message, a fault or wait for more on any bytes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(9, 10),
        fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 5 }),
        (type, pieces) => {
          const decoder = (type === 10 ? sealOf('', key) : sealOf('')).streamDecoder('accepted');
          let result = decoder.push(Uint8Array.of(type));
          for (const piece of pieces) if (result.ok) result = decoder.push(piece);
          assert.ok(result.ok ? result.value === undefined : result.fault);
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
