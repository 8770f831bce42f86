import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { loadSync } from '@grpc/proto-loader';
import protobuf from 'protobufjs';
import {
  fieldLines,
  HeaderBlock,
  type HeaderList,
  type RequestHead,
  type ResponseHead,
} from '../../../src/http/index.ts';
import type { Envelope } from '../../../src/pipeline/envelope.ts';
import type { SipTarget } from '../../../src/pipeline/sip-target.ts';
import type { Assignment } from '../../../src/sip/index.ts';
import { BatchDecoder } from '../../../src/io/link/batch-decoder.ts';
import { BatchEncoder } from '../../../src/io/link/batch-encoder.ts';
import { relayMethod } from '../../../src/io/link/service.ts';
import {
  laneKinds,
  numberOf,
  reasons,
  resetCodes,
  transports,
} from '../../../src/io/link/frame.ts';
import type { FrameSink, GoodbyeFrame, HelloFrame, HttpFrame } from '../../../src/io/link/frame.ts';

type SmallFrame =
  | { kind: 'to-application'; message: Buffer }
  | { kind: 'to-flow'; message: Buffer; flow: string; target: SipTarget | undefined }
  | { kind: 'note'; transaction: string; assignment: Assignment }
  | { kind: 'ask'; id: number; transaction: string; claim: Assignment | undefined }
  | { kind: 'answer'; id: number; assignment: Assignment | undefined };

type AnyFrame =
  | { kind: 'sip-request'; message: Buffer; envelope: Envelope }
  | { kind: 'sip-response'; message: Buffer }
  | SmallFrame
  | HttpFrame
  | HelloFrame
  | GoodbyeFrame;

const protoFile = fileURLToPath(new URL('../../../proto/sailring/v1/link.proto', import.meta.url));
const root = protobuf.loadSync(protoFile);
const Batch = root.lookupType('sailring.v1.Batch');

const latin1 = (maxLength: number): fc.Arbitrary<string> =>
  fc.uint8Array({ maxLength }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength, size: 'medium' }).map((value) => Buffer.from(value));
const uint32 = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 0xffff_ffff }));
const exchange = fc.oneof(
  fc.integer({ min: 1, max: 300 }),
  fc.maxSafeNat().map((n) => (n + 1 > Number.MAX_SAFE_INTEGER ? n : n + 1)),
);
const uint53 = fc.oneof(fc.nat(300), fc.maxSafeNat());
const fields: fc.Arbitrary<HeaderList> = fc.array(
  fc.tuple(
    fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,13}$/),
    fc.stringMatching(/^([!-~\x80-\xff]([\t -~\x80-\xff]{0,190}[!-~\x80-\xff])?)?$/),
  ),
  { maxLength: 6 },
);
const headers = fields.map((list) => HeaderBlock.of(list));
const framing = fc.oneof(
  fc.constant({ kind: 'none' as const }),
  fc.constant({ kind: 'chunked' as const }),
  fc.constant({ kind: 'tunnel' as const }),
  fc.record({ kind: fc.constant('length' as const), bytes: uint53 }),
);
const name = fc
  .string({ unit: 'grapheme', minLength: 1 })
  .filter((text) => Buffer.byteLength(text) <= 64);
const keyDigest = fc.oneof(fc.constant(''), fc.stringMatching(/^[\w-]{22}$/));
const transaction = fc.stringMatching(/^[in][0-9a-z]{8,31}$/);
const envelope: fc.Arbitrary<Envelope> = fc
  .record({
    keyDigest,
    instance: fc.oneof(fc.constant('peer-1'), name),
    reason: fc.constantFrom(...reasons),
    ringVersion: fc.oneof(fc.constant('a1b2'), name),
    ingressPeer: fc.oneof(fc.constant('peer-2'), name),
    hop: fc.constantFrom(0 as const, 1 as const, 2 as const),
    transaction: fc.oneof(fc.constant(''), transaction),
    isLastOffer: fc.boolean(),
  })
  .map(({ isLastOffer, ...given }) => (isLastOffer ? { ...given, isLastOffer } : given));
const assignment: fc.Arbitrary<Assignment> = fc.record({ instance: name, keyDigest });
const maybe = fc.option(assignment, { nil: undefined });
const target: fc.Arbitrary<SipTarget> = fc
  .record({
    transport: fc.constantFrom(...transports),
    address: fc.oneof(fc.ipV4(), fc.ipV6()),
    port: fc.integer({ min: 1, max: 65_535 }),
  })
  .map((given) => ({ ...given, serverName: given.address }));
const request: fc.Arbitrary<RequestHead> = fc.record({
  method: latin1(10),
  target: latin1(300),
  headers,
  framing,
});
const response: fc.Arbitrary<ResponseHead> = fc.record({
  status: fc.integer({ min: 100, max: 999 }),
  reason: latin1(20),
  headers,
  framing,
});
const part = { exchange, data: bytes(400), end: fc.boolean(), trailers: fields };
const frame: fc.Arbitrary<AnyFrame> = fc.oneof(
  fc.record({
    kind: fc.constant('sip-request' as const),
    message: fc.tuple(fc.nat(70_000), fc.nat(255)).map(([size, fill]) => Buffer.alloc(size, fill)),
    envelope,
  }),
  fc.record({ kind: fc.constant('sip-request' as const), message: bytes(600), envelope }),
  fc.record({ kind: fc.constant('sip-response' as const), message: bytes(600) }),
  fc.record({ kind: fc.constant('to-application' as const), message: bytes(600) }),
  fc.record({
    kind: fc.constant('to-flow' as const),
    message: bytes(600),
    flow: fc.stringMatching(/^[utswx]\d{1,3}(-\d{1,16})?$/),
    target: fc.option(target, { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('note' as const), transaction, assignment }),
  fc.record({ kind: fc.constant('ask' as const), id: exchange, transaction, claim: maybe }),
  fc.record({ kind: fc.constant('answer' as const), id: exchange, assignment: maybe }),
  fc.record({ kind: fc.constant('open' as const), request, envelope, ...part }),
  fc.record({ kind: fc.constant('head' as const), response, ...part }),
  fc.record({ kind: fc.constant('data' as const), ...part }),
  fc.record({
    kind: fc.constant('reset' as const),
    exchange,
    code: fc.constantFrom(...resetCodes),
  }),
  fc.record({ kind: fc.constant('credit' as const), exchange, bytes: uint32 }),
  fc.record({
    kind: fc.constant('hello' as const),
    cluster: fc.string({ unit: 'grapheme' }),
    peer: fc.string({ unit: 'grapheme' }),
    epoch: uint53,
    protocol: uint32,
    lane: fc.constantFrom(...laneKinds),
    windowBytes: uint32,
  }),
  fc.constant({ kind: 'goodbye' as const }),
);
const frames = fc.array(frame, { minLength: 1, maxLength: 80, size: 'medium' });

/** Encodes with ours; gives the batches that left. */
function encode(all: readonly AnyFrame[], batchBytes = 65_536): Buffer[] {
  const batches: Buffer[] = [];
  const encoder = new BatchEncoder({ framesPerBatch: 64, batchBytes }, (batch) => {
    batches.push(batch);
  });
  for (const item of all) {
    write(encoder, item);
  }
  encoder.flush();
  return batches;
}

function write(encoder: BatchEncoder, item: AnyFrame): void {
  switch (item.kind) {
    case 'sip-request':
      encoder.sipRequest(item.message, item.envelope);
      break;
    case 'sip-response':
      encoder.sipResponse(item.message);
      break;
    case 'to-application':
      encoder.toApplication(item.message);
      break;
    case 'to-flow':
      encoder.toFlow(item.message, item.flow, item.target);
      break;
    case 'note':
      encoder.note(item.transaction, item.assignment);
      break;
    case 'ask':
      encoder.ask(item.id, item.transaction, item.claim);
      break;
    case 'answer':
      encoder.answer(item.id, item.assignment);
      break;
    default:
      encoder.frame(item);
  }
}

class Collector implements FrameSink {
  readonly frames: AnyFrame[] = [];
  sipRequest(message: Buffer, given: Envelope): void {
    this.frames.push({ kind: 'sip-request', message, envelope: given });
  }
  sipResponse(message: Buffer): void {
    this.frames.push({ kind: 'sip-response', message });
  }
  toApplication(message: Buffer): void {
    this.frames.push({ kind: 'to-application', message });
  }
  toFlow(message: Buffer, flow: string, given: SipTarget | undefined): void {
    this.frames.push({ kind: 'to-flow', message, flow, target: given });
  }
  note(given: string, where: Assignment): void {
    this.frames.push({ kind: 'note', transaction: given, assignment: where });
  }
  ask(id: number, given: string, claim: Assignment | undefined): void {
    this.frames.push({ kind: 'ask', id, transaction: given, claim });
  }
  answer(id: number, where: Assignment | undefined): void {
    this.frames.push({ kind: 'answer', id, assignment: where });
  }
  http(item: HttpFrame): void {
    this.frames.push(item);
  }
  hello(item: HelloFrame): void {
    this.frames.push(item);
  }
  goodbye(): void {
    this.frames.push({ kind: 'goodbye' });
  }
}

// The reference's objects: field names as in link.proto, converted to camel case.
type Message = Record<string, unknown>;

function envelopeMessage(given: Envelope): Message {
  const { keyDigest, instance, reason, ringVersion, ingressPeer, hop, transaction } = given;
  return {
    keyDigest,
    transaction,
    reason: numberOf(reasons, reason),
    hop,
    placement: { instance, ringVersion, ingressPeer },
    lastOffer: given.isLastOffer === true,
  };
}

function framingMessage(given: RequestHead['framing']): Message {
  if (given.kind === 'length') return { kind: 1, bytes: given.bytes };
  return { kind: ['none', 'length', 'chunked', 'tunnel'].indexOf(given.kind), bytes: 0 };
}

function partMessage(item: {
  exchange: number;
  data: Uint8Array;
  end: boolean;
  trailers: HeaderList;
}): Message {
  const { exchange, data, end } = item;
  return {
    exchange,
    data: Buffer.from(data),
    end,
    trailers: latin1Bytes(fieldLines(item.trailers)),
  };
}

const latin1Bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

function toMessage(item: AnyFrame): Message {
  switch (item.kind) {
    case 'sip-request':
      return { sipRequest: { message: item.message, envelope: envelopeMessage(item.envelope) } };
    case 'sip-response':
      return { sipResponse: { message: item.message } };
    case 'to-application':
      return { toApplication: { message: item.message } };
    case 'to-flow': {
      const { transport = '', address = '', port = 0 } = item.target ?? {};
      return { toFlow: { message: item.message, flow: item.flow, transport, address, port } };
    }
    case 'note':
      return { note: { transaction: item.transaction, assignment: item.assignment } };
    case 'ask':
      return { ask: { id: item.id, transaction: item.transaction, claim: item.claim } };
    case 'answer':
      return { answer: { id: item.id, assignment: item.assignment } };
    case 'open': {
      const { method, target, headers } = item.request;
      return {
        httpOpen: {
          ...partMessage(item),
          method: latin1Bytes(method),
          target: latin1Bytes(target),
          headers: latin1Bytes(headers.text),
          framing: framingMessage(item.request.framing),
          envelope: envelopeMessage(item.envelope),
        },
      };
    }
    case 'head': {
      const { status, reason, headers } = item.response;
      return {
        httpHead: {
          ...partMessage(item),
          status,
          reason: latin1Bytes(reason),
          headers: latin1Bytes(headers.text),
          framing: framingMessage(item.response.framing),
        },
      };
    }
    case 'data':
      return { httpData: partMessage(item) };
    case 'reset':
      return { httpReset: { exchange: item.exchange, code: numberOf(resetCodes, item.code) } };
    case 'credit':
      return { httpCredit: { exchange: item.exchange, bytes: item.bytes } };
    case 'hello': {
      const { cluster, peer, epoch, protocol, windowBytes } = item;
      const lane = numberOf(laneKinds, item.lane);
      return { hello: { cluster, peer, epoch, protocol, lane, windowBytes } };
    }
    case 'goodbye':
      return { goodbye: {} };
  }
}

/** Absent nested messages and defaults mean the same; compare with every default written out. */
function complete(message: Message): unknown {
  const withNested = Batch.toObject(Batch.fromObject({ frames: [message] }), {
    longs: Number,
    defaults: true,
    arrays: true,
    bytes: Buffer,
  });
  return fill((withNested as { frames: Message[] }).frames[0]!);
}

function fill(item: Message): Message {
  for (const content of Object.values(item)) {
    if (typeof content !== 'object' || content === null) continue;
    const record = content as Message;
    if (record['framing'] === null) record['framing'] = { kind: 0, bytes: 0 };
    const inner = record['envelope'] as Message | undefined;
    if (inner?.['placement'] === null) {
      inner['placement'] = { instance: '', ringVersion: '', ingressPeer: '' };
    }
  }
  return item;
}

/** Views into a batch and buffers of their own compare alike. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('the codec of a link', () => {
  it('writes what the reference reads as link.proto says', () => {
    fc.assert(
      fc.property(frames, (all) => {
        const read = encode(all).flatMap((batch) => {
          const message = Batch.toObject(Batch.decode(batch), {
            longs: Number,
            defaults: true,
            arrays: true,
            bytes: Buffer,
          }) as { frames: Message[] };
          return message.frames.map(fill);
        });
        assert.deepEqual(plain(read), plain(all.map((item) => complete(toMessage(item)))));
      }),
      { numRuns: 50 },
    );
  });

  it('reads what the reference writes', () => {
    fc.assert(
      fc.property(frames, (all) => {
        const batch = Buffer.from(
          Batch.encode(Batch.fromObject({ frames: all.map(toMessage) })).finish(),
        );
        const sink = new Collector();
        assert.equal(new BatchDecoder(sink, 80).decode(batch), all.length);
        assert.deepEqual(plain(sink.frames), plain(all));
      }),
      { numRuns: 50 },
    );
  });

  it('reads its own batches in order, wherever they were cut', () => {
    fc.assert(
      fc.property(frames, fc.constantFrom(1, 100, 5_000, 65_536), (all, batchBytes) => {
        const sink = new Collector();
        const decoder = new BatchDecoder(sink, 64);
        for (const batch of encode(all, batchBytes)) assert.ok(Number(decoder.decode(batch)) > 0);
        assert.deepEqual(plain(sink.frames), plain(all));
      }),
      { numRuns: 50 },
    );
  });

  it('gives a number or a fault for any bytes and never throws', () => {
    const random = fc.oneof(
      bytes(300),
      // Valid batches with a few bytes changed reach deeper than noise.
      fc
        .tuple(
          fc.array(frame, { maxLength: 4 }),
          fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
        )
        .map(([all, changes]) => {
          const batch = Buffer.concat(encode(all.filter((item) => item.kind !== 'sip-request')));
          for (const [place, value] of changes) {
            if (batch.length > 0) batch[place % batch.length] = value;
          }
          return batch;
        }),
    );
    fc.assert(
      fc.property(random, (batch) => {
        const outcome = new BatchDecoder(new Collector(), 64).decode(batch);
        assert.ok(typeof outcome === 'number' || outcome === 'malformed');
      }),
      { numRuns: 3_000 },
    );
  });

  it('names the service and the kinds of its streams as link.proto does', () => {
    const service = loadSync(protoFile)['sailring.v1.Link'] as Record<
      string,
      { path: string; requestStream: boolean; responseStream: boolean }
    >;
    const { path, requestStream, responseStream } = service['Relay']!;
    assert.deepEqual(
      { path, requestStream, responseStream },
      {
        path: relayMethod.path,
        requestStream: relayMethod.requestStream,
        responseStream: relayMethod.responseStream,
      },
    );
  });

  it('passes over fields and frames of a later version', () => {
    const frameOfLater = Buffer.from([0x0a, 0x04, 0x7a, 0x02, 0x08, 0x01]);
    const fieldOfLater = Buffer.from([0x98, 0x06, 0x05]);
    const known = encode([{ kind: 'reset', exchange: 7, code: 'timeout' }])[0]!;
    const sink = new Collector();
    const outcome = new BatchDecoder(sink, 64).decode(
      Buffer.concat([frameOfLater, fieldOfLater, known]),
    );
    assert.equal(outcome, 2);
    assert.deepEqual(sink.frames, [{ kind: 'reset', exchange: 7, code: 'timeout' }]);
  });

  it('refuses more frames than agreed', () => {
    const all = Array.from({ length: 5 }, () => ({ kind: 'goodbye' as const }));
    const batch = encode(all)[0]!;
    assert.equal(new BatchDecoder(new Collector(), 4).decode(batch), 'too-many-frames');
    assert.equal(new BatchDecoder(new Collector(), 5).decode(batch), 5);
  });

  const malformed: [string, number[]][] = [
    ['a hop above two', [0x0a, 0x08, 0x0a, 0x06, 0x12, 0x04, 0x10, 0x01, 0x18, 0x03]],
    ['an unknown reason', [0x0a, 0x06, 0x0a, 0x04, 0x12, 0x02, 0x10, 0x63]],
    ['a request without envelope', [0x0a, 0x05, 0x0a, 0x03, 0x0a, 0x01, 0x41]],
    ['a length beyond the batch', [0x0a, 0x05, 0x12, 0x03]],
    ['a varint that never ends', [0x0a, 0x0b, ...Array<number>(11).fill(0xff)]],
    ['two contents in one frame', [0x0a, 0x04, 0x4a, 0x00, 0x4a, 0x00]],
    ['a credit of nothing', [0x0a, 0x04, 0x3a, 0x02, 0x08, 0x01]],
    ['a field of number 0', [0x0a, 0x05, 0x12, 0x03, 0x02, 0x01, 0x41]],
    ['a note without assignment', [0x0a, 0x05, 0x52, 0x03, 0x0a, 0x01, 0x69]],
    ['an answer to nothing', [0x0a, 0x02, 0x62, 0x00]],
    ['a question without transaction', [0x0a, 0x04, 0x5a, 0x02, 0x08, 0x01]],
    ['a request for no flow', [0x0a, 0x05, 0x72, 0x03, 0x0a, 0x01, 0x41]],
  ];
  for (const [name, batch] of malformed) {
    it(`refuses ${name}`, () => {
      assert.equal(new BatchDecoder(new Collector(), 64).decode(Buffer.from(batch)), 'malformed');
    });
  }

  const long = (length: number): string => 'x'.repeat(length);
  const known: Assignment = { instance: 'b', keyDigest: '' };
  const within: Envelope = {
    keyDigest: '',
    instance: 'b',
    reason: 'rule',
    ringVersion: 'f00d',
    ingressPeer: 'a',
    hop: 1,
    transaction: '',
  };
  const message = Buffer.from('x');
  const numeric: SipTarget = { transport: 'UDP', address: '::1', port: 5_060, serverName: '::1' };
  const requestWith = (changed: Partial<Envelope>): AnyFrame => ({
    kind: 'sip-request',
    message,
    envelope: { ...within, ...changed },
  });
  const flowTo = (flow: string, changed: Partial<SipTarget>): AnyFrame => ({
    kind: 'to-flow',
    message,
    flow,
    target: { ...numeric, ...changed },
  });
  const bounded: [string, AnyFrame, AnyFrame][] = [
    [
      'the name of a transaction',
      { kind: 'ask', id: 1, transaction: long(32), claim: undefined },
      { kind: 'ask', id: 1, transaction: long(33), claim: undefined },
    ],
    [
      'the transaction of a note',
      { kind: 'note', transaction: long(32), assignment: known },
      { kind: 'note', transaction: long(33), assignment: known },
    ],
    [
      'the transaction of a request',
      requestWith({ transaction: long(32) }),
      requestWith({ transaction: long(33) }),
    ],
    [
      'the digest of a request',
      requestWith({ keyDigest: long(32) }),
      requestWith({ keyDigest: long(33) }),
    ],
    [
      'the instance of a request',
      requestWith({ instance: long(64) }),
      requestWith({ instance: long(65) }),
    ],
    [
      'the ingress peer',
      requestWith({ ingressPeer: long(64) }),
      requestWith({ ingressPeer: long(65) }),
    ],
    [
      'the ring version',
      requestWith({ ringVersion: long(64) }),
      requestWith({ ringVersion: long(65) }),
    ],
    [
      'the instance of an answer',
      { kind: 'answer', id: 1, assignment: { ...known, instance: long(64) } },
      { kind: 'answer', id: 1, assignment: { ...known, instance: long(65) } },
    ],
    [
      'the digest of a claim',
      { kind: 'ask', id: 1, transaction: 'i', claim: { ...known, keyDigest: long(32) } },
      { kind: 'ask', id: 1, transaction: 'i', claim: { ...known, keyDigest: long(33) } },
    ],
    ['a flow', flowTo(long(64), {}), flowTo(long(65), {})],
    ['an address', flowTo('u0', {}), flowTo('u0', { address: 'host.example' })],
    ['a port', flowTo('u0', { port: 65_535 }), flowTo('u0', { port: 65_536 })],
    ['a transport', flowTo('u0', {}), flowTo('u0', { transport: 'SCTP' as 'UDP' })],
  ];
  for (const [what, good, bad] of bounded) {
    it(`bounds ${what}`, () => {
      const sink = new Collector();
      assert.equal(new BatchDecoder(sink, 64).decode(encode([good])[0]!), 1);
      assert.equal(sink.frames.length, 1);
      assert.equal(new BatchDecoder(sink, 64).decode(encode([bad])[0]!), 'malformed');
      assert.equal(sink.frames.length, 1);
    });
  }
});
