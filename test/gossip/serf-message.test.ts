import { encode } from '@msgpack/msgpack';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { gossipLimits } from '../../src/config/defaults.ts';
import {
  decodeKeyAnswer,
  decodeKeyRequest,
  decodeNameFilter,
  decodeSerfMessage,
  encodeIntent,
  encodeKeyAnswer,
  encodeKeyRequest,
  encodeQuery,
  encodeResponse,
  type Query,
} from '../../src/gossip/serf-message.ts';

function typed(type: number, fields: unknown): Uint8Array {
  return Buffer.concat([Uint8Array.of(type), encode(fields)]);
}

const query: Query = {
  kind: 'query',
  time: 7,
  id: 0x7fff_ffff,
  source: { address: '10.0.0.1', port: 7946 },
  sourceNode: 'p1',
  filters: [Uint8Array.of(0, 0x90)],
  isAckWanted: true,
  isForUsAlone: true,
  timeoutMs: 3_200,
  name: '_serf_list-keys',
  payload: Uint8Array.of(1, 2, 3),
};

describe('messages of serf', () => {
  it('come back as they were written', () => {
    const response = {
      kind: 'queryResponse',
      time: 1,
      id: 2,
      from: 'p1',
      isAck: false,
      payload: Uint8Array.of(9),
    } as const;
    const rows = [
      [
        encodeIntent({ kind: 'leave', time: 3, node: 'p1' }),
        { kind: 'leave', time: 3, node: 'p1' },
      ],
      [encodeIntent({ kind: 'join', time: 4, node: 'p2' }), { kind: 'join', time: 4, node: 'p2' }],
      [encodeQuery(query), query],
      [encodeResponse(response), response],
    ] as const;
    for (const [bytes, value] of rows) {
      assert.deepEqual(decodeSerfMessage(bytes), { ok: true, value });
    }
  });

  it('are read as agents write them, byte fields as strings and fields of later versions included', () => {
    const written = typed(4, {
      LTime: 7,
      ID: 5,
      Addr: '\x0a\x00\x00\x01',
      Port: 7946,
      Filters: null,
      Flags: 1,
      RelayFactor: 3,
      Timeout: 3_200_000_000,
      Name: 'deploy',
      Payload: '',
      SomethingNew: [1, { a: 2 }],
    });
    const decoded = decodeSerfMessage(written);
    assert.deepEqual(decoded.ok && decoded.value, {
      ...query,
      id: 5,
      sourceNode: '',
      filters: [],
      isForUsAlone: false,
      name: 'deploy',
      payload: new Uint8Array(0),
    });
    const event = decodeSerfMessage(typed(3, { LTime: 2, Name: 'x', Payload: 'y', CC: true }));
    assert.deepEqual(event.ok && event.value, { kind: 'userEvent', time: 2 });
  });

  it('to be relayed keep their bytes', () => {
    const header = {
      DestAddr: { IP: Uint8Array.of(10, 0, 0, 2), Port: 9, Zone: '' },
      DestName: '',
    };
    const decoded = decodeSerfMessage(Buffer.concat([typed(9, header), Uint8Array.of(5, 0x80)]));
    assert.deepEqual(decoded.ok && decoded.value, {
      kind: 'relay',
      to: { address: '10.0.0.2', port: 9 },
      body: Uint8Array.of(5, 0x80),
    });
  });

  it('that are none are a fault', () => {
    const rows: readonly (readonly [string, Uint8Array])[] = [
      ['empty', new Uint8Array(0)],
      ['too-large', new Uint8Array(gossipLimits.userMessageBytesMax + 1)],
      ['unsupported', typed(6, {})],
      ['malformed', Uint8Array.of(1, 0xc1)],
      ['malformed', typed(1, { LTime: 1, Node: '' })],
      ['malformed', typed(1, { LTime: gossipLimits.lamportTimeMax + 1, Node: 'p1' })],
      ['malformed', typed(4, { Filters: [1] })],
      ['malformed', typed(4, { Filters: 'x' })],
      ['malformed', typed(9, { DestAddr: null })],
      ['malformed', Uint8Array.of(9)],
    ];
    for (const [fault, bytes] of rows) {
      assert.deepEqual(decodeSerfMessage(bytes), { ok: false, fault });
    }
  });

  it('never make the decoder throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(9), (body, type) => {
        const decoded = decodeSerfMessage(Uint8Array.of(type, ...body));
        assert.equal(typeof decoded.ok, 'boolean');
        decodeNameFilter(body);
        decodeKeyAnswer(Uint8Array.of(8, ...body));
        decodeKeyRequest(Uint8Array.of(7, ...body));
      }),
    );
  });
});

describe('what messages of serf carry', () => {
  it('are keys and answers about them', () => {
    const key = new Uint8Array(32).fill(3);
    assert.deepEqual(decodeKeyRequest(encodeKeyRequest(key)), key);
    const answer = { isDone: true, message: 'fine', keys: ['AAAA', 'BBBB'] };
    assert.deepEqual(decodeKeyAnswer(encodeKeyAnswer(answer)), answer);
    const none = { isDone: false, message: '', keys: [] };
    assert.deepEqual(decodeKeyAnswer(encodeKeyAnswer(none)), none);
  });

  it('is nothing when it is broken or of another type', () => {
    assert.equal(
      decodeKeyRequest(encodeKeyAnswer({ isDone: true, message: '', keys: [] })),
      undefined,
    );
    assert.equal(decodeKeyRequest(Uint8Array.of(7, 0xc1)), undefined);
    assert.equal(decodeKeyAnswer(typed(8, { Message: 'a\u001b[2J' })), undefined);
    assert.equal(decodeKeyAnswer(typed(8, { Keys: ['\u0007'] })), undefined);
  });

  it('is a filter by names', () => {
    assert.deepEqual(decodeNameFilter(typed(0, ['p1', 'p2'])), ['p1', 'p2']);
    assert.equal(decodeNameFilter(typed(1, { Tag: 'a', Expr: '.*' })), undefined);
    assert.equal(decodeNameFilter(typed(0, { a: 1 })), undefined);
    assert.equal(decodeNameFilter(new Uint8Array(0)), undefined);
  });
});
