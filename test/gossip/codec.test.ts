import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { gossipLimits } from '../../src/config/defaults.ts';
import {
  addressBytes,
  addressText,
  canonicalAddress,
  parseSeed,
} from '../../src/gossip/address.ts';
import { decodeMessage, encodeMessage, ourVersions, wireType } from '../../src/gossip/codec.ts';
import { crc32 } from '../../src/gossip/crc32.ts';
import type { Message, RemoteState, StreamMessage } from '../../src/gossip/message.ts';
import { measureValue } from '../../src/gossip/msgpack.ts';
import { decodePacket, encodePacket, labelHeader } from '../../src/gossip/packet.ts';
import { encodeStreamMessage } from '../../src/gossip/stream-codec.ts';
import { StreamDecoder } from '../../src/gossip/stream-decoder.ts';
import { decodeTags, encodeTags } from '../../src/gossip/tags.ts';

const header = labelHeader('test');
const noHeader = new Uint8Array(0);

function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true });
}

const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const port = fc.integer({ min: 0, max: 0xffff });
const name = fc
  .string({ unit: 'grapheme', maxLength: 24 })
  .filter((text) => Buffer.byteLength(text) <= 128 && !/\p{Cc}/u.test(text));
const ip = fc.oneof(fc.ipV4(), fc.ipV6()).map((text) => canonicalAddress(text)!);
const address = fc.oneof(fc.constant(''), ip);
const meta = fc.uint8Array({ maxLength: 512 });
const versions = fc.uint8Array({ maxLength: 6 });
const source = { sourceAddress: address, sourcePort: port, sourceNode: name };
const ping = record({
  kind: fc.constant('ping' as const),
  seqNo: uint32,
  node: name,
  ...source,
});
const ack = record({
  kind: fc.constant('ack' as const),
  seqNo: uint32,
  payload: fc.uint8Array({ maxLength: 600 }),
});
const streamError = record({ kind: fc.constant('error' as const), error: name });
const message: fc.Arbitrary<Message> = fc.oneof(
  ping,
  ack,
  streamError,
  record({
    kind: fc.constant('indirectPing' as const),
    seqNo: uint32,
    node: name,
    ...source,
    address,
    port,
    nack: fc.boolean(),
  }),
  record({ kind: fc.constant('nack' as const), seqNo: uint32 }),
  record({
    kind: fc.constantFrom('suspect' as const, 'dead' as const),
    incarnation: uint32,
    node: name,
    from: name,
  }),
  record({
    kind: fc.constant('alive' as const),
    incarnation: uint32,
    node: name,
    address,
    port,
    meta,
    versions,
  }),
  record({ kind: fc.constant('user' as const), payload: fc.uint8Array({ maxLength: 600 }) }),
);
const remoteState: fc.Arbitrary<RemoteState> = record({
  name,
  address,
  port,
  meta,
  incarnation: uint32,
  state: fc.constantFrom('alive', 'suspect', 'dead', 'left'),
  versions,
});
const streamMessage: fc.Arbitrary<StreamMessage> = fc.oneof(
  ping,
  ack,
  streamError,
  record({
    kind: fc.constant('pushPull' as const),
    join: fc.boolean(),
    states: fc.array(remoteState, { maxLength: 12 }),
    userState: fc.uint8Array({ maxLength: 600 }),
  }),
);

function text(value: string): number[] {
  return [0xa0 | value.length, ...Buffer.from(value)];
}

describe('messages on the wire', () => {
  const cases: readonly { name: string; message: Message; bytes: readonly number[] }[] = [
    {
      name: 'a ping leaves out an empty source',
      message: {
        kind: 'ping',
        seqNo: 7,
        node: 'b',
        sourceAddress: '',
        sourcePort: 0,
        sourceNode: '',
      },
      bytes: [0, 0x82, ...text('Node'), ...text('b'), ...text('SeqNo'), 7],
    },
    {
      name: 'an indirect ping names its target by bytes',
      message: {
        kind: 'indirectPing',
        seqNo: 300,
        node: 'b',
        address: '127.0.0.1',
        port: 7946,
        nack: true,
        sourceAddress: '',
        sourcePort: 0,
        sourceNode: 'a',
      },
      bytes: [
        ...[1, 0x86, ...text('Nack'), 0xc3, ...text('Node'), ...text('b')],
        ...[...text('Port'), 0xcd, 0x1f, 0x0a, ...text('SeqNo'), 0xcd, 0x01, 0x2c],
        ...[...text('SourceNode'), ...text('a'), ...text('Target'), 0xc4, 4, 127, 0, 0, 1],
      ],
    },
    {
      name: 'an ack without payload has nil',
      message: { kind: 'ack', seqNo: 1, payload: new Uint8Array(0) },
      bytes: [2, 0x82, ...text('Payload'), 0xc0, ...text('SeqNo'), 1],
    },
    {
      name: 'a suspicion names the accuser',
      message: { kind: 'suspect', incarnation: 5, node: 'b', from: 'a' },
      bytes: [
        ...[3, 0x83, ...text('From'), ...text('a'), ...text('Incarnation'), 5],
        ...[...text('Node'), ...text('b')],
      ],
    },
    {
      name: 'an alive tells all of a member',
      message: {
        kind: 'alive',
        incarnation: 65_536,
        node: 'b',
        address: '::1',
        port: 1,
        meta: Uint8Array.of(255, 0x80),
        versions: ourVersions,
      },
      bytes: [
        ...[4, 0x86, ...text('Addr'), 0xc4, 16, ...Array.from({ length: 15 }, () => 0), 1],
        ...[...text('Incarnation'), 0xce, 0, 1, 0, 0, ...text('Meta'), 0xc4, 2, 255, 0x80],
        ...[...text('Node'), ...text('b'), ...text('Port'), 1],
        ...[...text('Vsn'), 0xc4, 6, 1, 5, 2, 2, 5, 4],
      ],
    },
    {
      name: 'a death is a suspicion with another type',
      message: { kind: 'dead', incarnation: 0, node: 'b', from: 'b' },
      bytes: [
        ...[5, 0x83, ...text('From'), ...text('b'), ...text('Incarnation'), 0],
        ...[...text('Node'), ...text('b')],
      ],
    },
    {
      name: 'a nack has only its number',
      message: { kind: 'nack', seqNo: 2 },
      bytes: [11, 0x81, ...text('SeqNo'), 2],
    },
    {
      name: 'user data follows its type without a map',
      message: { kind: 'user', payload: Uint8Array.of(1, 2) },
      bytes: [8, 1, 2],
    },
    {
      name: 'an error carries its text',
      message: { kind: 'error', error: 'no' },
      bytes: [13, 0x81, ...text('Error'), ...text('no')],
    },
  ];
  for (const { name: title, message: value, bytes } of cases) {
    it(title, () => {
      assert.deepEqual([...encodeMessage(value)], bytes);
      assert.deepEqual(decodeMessage(Uint8Array.from(bytes)), { ok: true, value });
    });
  }

  it('reads byte fields that an old sender wrote as raw strings', () => {
    const raw = (bytes: readonly number[]): number[] => [0xa0 | bytes.length, ...bytes];
    const bytes = Uint8Array.from([
      ...[4, 0x85, ...text('Addr'), ...raw([192, 168, 255, 200]), ...text('Incarnation'), 1],
      ...[...text('Meta'), ...raw([255, 0x81, 0xa1, 0x61, 0xa1, 0x62]), ...text('Node')],
      ...[...text('b'), ...text('Vsn'), ...raw([1, 5, 2, 2, 5, 4])],
    ]);
    const decoded = decodeMessage(bytes);
    assert.ok(decoded.ok && decoded.value.kind === 'alive');
    assert.equal(decoded.value.address, '192.168.255.200');
    assert.deepEqual(decodeTags(decoded.value.meta), { a: 'b' });
    assert.deepEqual(decoded.value.versions, ourVersions);
  });

  it('reads an IPv4 address in 16 bytes as IPv4', () => {
    assert.equal(
      addressText(Uint8Array.from([...new Array<number>(10).fill(0), 255, 255, 1, 2, 3, 4])),
      '1.2.3.4',
    );
  });

  const refused: readonly [string, Uint8Array, string][] = [
    ['nothing', noHeader, 'empty'],
    ['an unknown type', Uint8Array.of(77, 0x80), 'unsupported'],
    ['compressed data', Uint8Array.of(9, 0x80), 'unsupported'],
    ['no map', Uint8Array.of(2, 0x01), 'malformed'],
    ['a map that ends too early', Uint8Array.of(2, 0x82, 0xa5), 'malformed'],
    ['bytes after the map', Uint8Array.of(11, 0x81, ...text('SeqNo'), 2, 0), 'malformed'],
    ['a number below zero', Uint8Array.of(11, 0x81, ...text('SeqNo'), 0xff), 'malformed'],
    ['a number above 32 bits', typed(11, { SeqNo: 2 ** 32 }), 'malformed'],
    ['a name with a line break', typed(3, { Node: 'a\nb', From: 'c' }), 'malformed'],
    ['a name above 128 bytes', typed(3, { Node: 'n'.repeat(129), From: 'c' }), 'malformed'],
    ['a name that is no UTF-8', typed(3, { Node: Uint8Array.of(0xc3) }), 'malformed'],
    ['metadata above 512 bytes', typed(4, { Meta: new Uint8Array(513) }), 'malformed'],
    ['an address of 5 bytes', typed(4, { Addr: new Uint8Array(5) }), 'malformed'],
    ['a port above 16 bits', typed(4, { Port: 65_536 }), 'malformed'],
    ['__proto__ as a field', typed(4, { ['__proto__']: 1 }), 'malformed'],
    ['an array announced too long', Uint8Array.of(2, 0xdd, 0xff, 0xff, 0xff, 0xff), 'malformed'],
    ['a body above the limit', new Uint8Array(gossipLimits.elementBytesMax + 1), 'too-large'],
  ];
  for (const [title, bytes, fault] of refused) {
    it(`refuses ${title}`, () => {
      assert.deepEqual(decodeMessage(bytes), { ok: false, fault });
    });
  }

  it('come back as they were', () => {
    fc.assert(
      fc.property(message, (value) => {
        assert.deepEqual(decodeMessage(encodeMessage(value)), { ok: true, value });
      }),
    );
  });

  it('give a message or a fault for any bytes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.values(wireType)),
        fc.uint8Array({ maxLength: 200 }),
        (type, rest) => {
          const decoded = decodeMessage(Uint8Array.from([type, ...rest]));
          assert.ok(decoded.ok ? 'kind' in decoded.value : decoded.fault.length > 0);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('give a message or a fault when a byte is changed', () => {
    fc.assert(
      fc.property(message, fc.nat(), fc.nat(255), (value, at, byte) => {
        const bytes = Uint8Array.from(encodeMessage(value));
        bytes[at % bytes.length] = byte;
        const decoded = decodeMessage(bytes);
        assert.ok(decoded.ok ? 'kind' in decoded.value : decoded.fault.length > 0);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('packets', () => {
  it('start with the label, then the checksum, then a compound', () => {
    const one = encodeMessage({ kind: 'nack', seqNo: 1 });
    const two = encodeMessage({ kind: 'nack', seqNo: 2 });
    const compound = [7, 2, 0, one.length, 0, two.length, ...one, ...two];
    const sum = Buffer.alloc(4);
    sum.writeUInt32BE(crc32(Uint8Array.from(compound)));
    assert.deepEqual(
      [...encodePacket(header, [one, two], true)],
      [244, 4, ...Buffer.from('test'), 12, ...sum, ...compound],
    );
    assert.deepEqual([...encodePacket(noHeader, [one], false)], [...one]);
  });

  it('sum as IEEE CRC-32 does', () => {
    assert.equal(crc32(Buffer.from('123456789')), 0xcbf4_3926);
  });

  it('come back as they were, in any number and with any framing', () => {
    fc.assert(
      fc.property(
        fc.array(message, { minLength: 1, maxLength: 10 }),
        fc.boolean(),
        fc.constantFrom('', 'red', 'x'.repeat(255)),
        (messages, checksum, label) => {
          const start = labelHeader(label);
          const packet = encodePacket(start, messages.map(encodeMessage), checksum);
          assert.deepEqual(decodePacket(packet, start), {
            ok: true,
            value: { messages, faults: [] },
          });
        },
      ),
    );
  });

  const nack = encodeMessage({ kind: 'nack', seqNo: 1 });
  const packets: readonly [string, readonly number[], Uint8Array, string][] = [
    ['an empty packet', [], header, 'empty'],
    ['no label where one is wanted', [...nack], header, 'label-missing'],
    ['another label', [244, 4, ...Buffer.from('tesT'), ...nack], header, 'label-wrong'],
    ['a longer label', [244, 5, ...Buffer.from('test!'), ...nack], header, 'label-wrong'],
    ['a label cut off', [244, 4, 0x74], header, 'label-wrong'],
    ['a label where none is wanted', [244, 1, 0x74, ...nack], noHeader, 'label-unexpected'],
    ['a wrong checksum', [12, 0, 0, 0, 0, ...nack], noHeader, 'checksum'],
    ['a checksum of nothing', [12, 0, 0, 0, 0], noHeader, 'truncated'],
    ['a compound without count', [7], noHeader, 'truncated'],
    ['a compound without its lengths', [7, 2, 0], noHeader, 'truncated'],
    ['a compound without its bodies', [7, 1, 0, 9, 1], noHeader, 'truncated'],
    ['a compound with bytes after it', [7, 1, 0, 1, 1, 1], noHeader, 'malformed'],
  ];
  for (const [title, bytes, start, fault] of packets) {
    it(`refuse ${title}`, () => {
      assert.deepEqual(decodePacket(Uint8Array.from(bytes), start), { ok: false, fault });
    });
  }

  it('keep their good messages when others are bad, and open no compound inside', () => {
    const inner = [7, 1, 0, nack.length, ...nack];
    const bytes = [7, 3, 0, nack.length, 0, inner.length, 0, 1, ...nack, ...inner, 99];
    assert.deepEqual(decodePacket(Uint8Array.from(bytes), noHeader), {
      ok: true,
      value: { messages: [{ kind: 'nack', seqNo: 1 }], faults: ['unsupported', 'unsupported'] },
    });
  });

  it('give content or a fault for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, isLabelled) => {
        const packet = isLabelled ? Uint8Array.from([...header, ...bytes]) : bytes;
        const decoded = decodePacket(packet, isLabelled ? header : noHeader);
        assert.ok(decoded.ok ? decoded.value.messages.length <= 255 : decoded.fault.length > 0);
      }),
      { numRuns: 1_000 },
    );
  });

  it('refuse a label above 255 bytes', () => {
    assert.throws(() => labelHeader('x'.repeat(256)), /label is longer than 255 bytes/);
  });
});

describe('streams', () => {
  it('come back as they were, however they are cut', () => {
    fc.assert(
      fc.property(
        streamMessage,
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 5 }),
        fc.constantFrom('accepted' as const, 'opened' as const),
        (value, sizes, side) => {
          const bytes = encodeStreamMessage(side === 'accepted' ? header : noHeader, value);
          const decoder = new StreamDecoder(header, side);
          let at = 0;
          for (let i = 0; at < bytes.length; i++) {
            const piece = bytes.subarray(at, at + sizes[i % sizes.length]!);
            at += piece.length;
            const result = decoder.push(piece);
            assert.deepEqual(result, { ok: true, value: at < bytes.length ? undefined : value });
          }
        },
      ),
    );
  });

  it('keep user state, and skip what follows the message', () => {
    const head = encode({ Join: true, Nodes: 0, UserStateLen: 5 }, { sortKeys: true });
    const decoder = new StreamDecoder(noHeader, 'opened');
    const userState = Uint8Array.of(1, 2, 3, 4, 5);
    const wanted = { kind: 'pushPull', join: true, states: [], userState };
    const first = decoder.push(Uint8Array.from([6, ...head, 1, 2, 3]));
    assert.deepEqual(first, { ok: true, value: undefined });
    assert.deepEqual(decoder.push(Uint8Array.from([4, 5, 9, 9])), { ok: true, value: wanted });
    assert.deepEqual(decoder.push(Uint8Array.of(9)), { ok: true, value: wanted });
  });

  it('carry user state up to its limit', () => {
    const { userStateBytesMax } = gossipLimits;
    const full = (size: number): StreamMessage => ({
      kind: 'pushPull',
      join: false,
      states: [],
      userState: new Uint8Array(size).fill(7),
    });
    const bytes = encodeStreamMessage(noHeader, full(userStateBytesMax));
    const decoder = new StreamDecoder(noHeader, 'opened');
    let result = decoder.push(bytes.subarray(0, 10));
    for (let at = 10; at < bytes.length; at += 65_536) {
      result = decoder.push(bytes.subarray(at, at + 65_536));
    }
    assert.deepEqual(result, { ok: true, value: full(userStateBytesMax) });
    assert.throws(() => encodeStreamMessage(noHeader, full(userStateBytesMax + 1)), RangeError);
    const head = encode({ Nodes: 0, UserStateLen: userStateBytesMax + 1 });
    const tooLarge = new StreamDecoder(noHeader, 'opened').push(Uint8Array.from([6, ...head]));
    assert.deepEqual(tooLarge, { ok: false, fault: 'too-large' });
  });

  const state = (fields: Record<string, unknown>): number[] => [
    ...[6, ...encode({ Nodes: 1, UserStateLen: 0, Join: false }), ...encode(fields)],
  ];
  const refused: readonly [string, readonly number[], Uint8Array, string][] = [
    ['no label', [0, 0x80], header, 'label-missing'],
    ['another label', [244, 4, 0x74, 0x65, 0x73, 0x54], header, 'label-wrong'],
    ['a label where none is wanted', [244, 1, 0x74], noHeader, 'label-unexpected'],
    ['gossip', [...encodeMessage({ kind: 'nack', seqNo: 1 })], noHeader, 'unsupported'],
    ['no msgpack', [6, 0xc1], noHeader, 'malformed'],
    ['more states than members may be', [6, ...encode({ Nodes: 4_097 })], noHeader, 'too-large'],
    ['endless user state', [6, ...encode({ UserStateLen: 2 ** 31 })], noHeader, 'too-large'],
    ['a state that is no map', [6, ...encode({ Nodes: 1 }), 5], noHeader, 'malformed'],
    ['an unknown state', state({ Name: 'a', State: 4 }), noHeader, 'malformed'],
    [
      'an element above the limit',
      [6, 0x81, 0xc6, 0, 1, 0, 0, ...new Array<number>(9_000).fill(0)],
      noHeader,
      'too-large',
    ],
  ];
  for (const [title, bytes, start, fault] of refused) {
    it(`refuse ${title}`, () => {
      const decoder = new StreamDecoder(start, 'accepted');
      assert.deepEqual(decoder.push(Uint8Array.from(bytes)), { ok: false, fault });
    });
  }

  it('give a message, a fault or wait for more on any bytes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(0, 2, 6, 13),
        fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 5 }),
        (type, pieces) => {
          const decoder = new StreamDecoder(noHeader, 'accepted');
          let result = decoder.push(Uint8Array.of(type));
          for (const piece of pieces) if (result.ok) result = decoder.push(piece);
          assert.ok(result.ok || result.fault.length > 0);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('know the length of every msgpack value before it is decoded', () => {
    const leaf = fc.oneof(
      fc.integer(),
      fc.double(),
      fc.boolean(),
      fc.constant(null),
      fc.string({ maxLength: 70_000 }),
      fc.uint8Array({ maxLength: 300 }),
    );
    const value = fc.oneof(
      leaf,
      fc.array(leaf, { maxLength: 40 }),
      fc.dictionary(fc.string(), leaf),
    );
    fc.assert(
      fc.property(value, (it) => {
        const bytes = encode(it);
        assert.equal(measureValue(Uint8Array.from([...bytes, 1, 2]), 0), bytes.length);
        assert.equal(measureValue(bytes.subarray(0, -1), 0), 'incomplete');
      }),
    );
  });
});

describe('tags', () => {
  it('come back as they were', () => {
    const tags = fc.dictionary(
      fc.string({ maxLength: 10 }).filter((key) => key !== '__proto__'),
      fc.string({ maxLength: 20 }),
      { maxKeys: 10, noNullPrototype: true },
    );
    fc.assert(
      fc.property(tags, (value) => {
        assert.deepEqual(decodeTags(encodeTags(value)), value);
      }),
    );
  });

  it('are none in metadata of another kind', () => {
    for (const bytes of [[], [1, 2], [255], [255, 0xc1], [255, 0x91, 0xa1, 0x61]]) {
      assert.deepEqual(decodeTags(Uint8Array.from(bytes)), {});
    }
    assert.deepEqual(decodeTags(Uint8Array.from([255, ...encode({ a: 1, b: 'x' })])), { b: 'x' });
  });

  it('above 512 bytes are refused', () => {
    assert.equal(encodeTags({ a: 'x'.repeat(505) }).length, 512);
    assert.throws(() => encodeTags({ a: 'x'.repeat(506) }), RangeError);
  });
});

describe('addresses', () => {
  const cases: readonly [string, string | undefined][] = [
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['::ffff:10.1.2.3', '10.1.2.3'],
    ['fe80::1%eth0', 'fe80::1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['1.2.3', undefined],
    ['1.2.3.256', undefined],
    ['01.2.3.4', undefined],
    ['1::2::3', undefined],
    ['1:2:3:4:5:6:7', undefined],
    ['1:2:3:4:5:6:7::8', undefined],
    ['12345::', undefined],
    ['localhost', undefined],
  ];
  for (const [given, wanted] of cases) {
    it(`${given} is ${wanted ?? 'none'}`, () => {
      assert.equal(canonicalAddress(given), wanted);
    });
  }

  it('come back as they were from bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const again = addressBytes(addressText(bytes)!)!;
        assert.deepEqual([...again], [...bytes].slice(again.length === 4 ? 12 : 0));
      }),
    );
  });

  it('of seeds have a port, and brackets around IPv6', () => {
    assert.deepEqual(parseSeed('peer-1.example:7946'), { host: 'peer-1.example', port: 7946 });
    assert.deepEqual(parseSeed('[0::1]:1'), { host: '::1', port: 1 });
    for (const text of ['', 'host', 'host:', 'host:0', 'host:65536', '::1:7946', '[host]:1']) {
      assert.equal(parseSeed(text), undefined, text);
    }
  });
});

function typed(type: number, fields: Record<string, unknown>): Uint8Array {
  // A plain object cannot hold __proto__ as a field of its own; Object.entries of one made so can.
  return Uint8Array.from([type, ...encode(Object.assign(Object.create(null), fields))]);
}
