import { Buffer } from 'node:buffer';
import { type BodyFraming, fieldLines } from '../../http/index.ts';
import type { Envelope } from '../../pipeline/envelope.ts';
import type { SipTarget } from '../../pipeline/sip-target.ts';
import type { Assignment } from '../../sip/index.ts';
import { framingKinds, laneKinds, numberOf, reasons, resetCodes } from './frame.ts';
import type { GoodbyeFrame, HelloFrame, HttpFrame, HttpHeadFrame, HttpOpenFrame } from './frame.ts';
import { WireWriter, bytesSize, uintSize, varintSize } from './wire-writer.ts';

export interface BatchLimits {
  /** A batch leaves when it holds that many frames … */
  readonly framesPerBatch: number;
  /** … or that many bytes. */
  readonly batchBytes: number;
}

const noBytes = new Uint8Array(0);

// Field numbers of link.proto as tag bytes: number << 3 | wire type (0 varint, 2 bytes).
const tag = {
  frame: 0x0a,
  sipRequest: 0x0a,
  sipResponse: 0x12,
  open: 0x1a,
  head: 0x22,
  data: 0x2a,
  reset: 0x32,
  credit: 0x3a,
  hello: 0x42,
  goodbye: 0x4a,
  note: 0x52,
  ask: 0x5a,
  answer: 0x62,
  toApplication: 0x6a,
  toFlow: 0x72,
} as const;

/**
 * Writes frames as bytes of `sailring.v1.Batch`, each byte of a message copied once, and hands a
 * batch to `emit` when it is full or when told. Written by hand because a general encoder costs five
 * times as much per SIP message; link.proto is the truth and the tests compare.
 *
 * An emitted batch is never written to again.
 */
export class BatchEncoder {
  readonly #limits: BatchLimits;
  readonly #emit: (batch: Buffer, frames: number) => void;
  readonly #out: WireWriter;
  #frames = 0;
  #placementBytes: Uint8Array = noBytes;
  #instance = '';
  #ringVersion = '';
  #ingressPeer = '';

  constructor(limits: BatchLimits, emit: (batch: Buffer, frames: number) => void) {
    this.#limits = limits;
    this.#emit = emit;
    this.#out = new WireWriter(limits.batchBytes * 4);
  }

  /** Frames and bytes that wait for `flush`. */
  get pendingBytes(): number {
    return this.#out.pendingBytes;
  }

  /** Emits what is pending, if anything. */
  flush(): void {
    if (this.#frames === 0) return;
    const frames = this.#frames;
    this.#frames = 0;
    this.#emit(this.#out.take(), frames);
  }

  sipRequest(message: Uint8Array, envelope: Envelope): void {
    const envelopeSize = this.#envelopeSize(envelope);
    const body = bytesSize(message.length) + 1 + varintSize(envelopeSize) + envelopeSize;
    this.#begin(tag.sipRequest, body);
    this.#out.bytes(0x0a, message);
    this.#envelope(0x12, envelope, envelopeSize);
    this.#end();
  }

  sipResponse(message: Uint8Array): void {
    this.#begin(tag.sipResponse, bytesSize(message.length));
    this.#out.bytes(0x0a, message);
    this.#end();
  }

  toApplication(message: Uint8Array): void {
    this.#begin(tag.toApplication, bytesSize(message.length));
    this.#out.bytes(0x0a, message);
    this.#end();
  }

  toFlow(message: Uint8Array, flow: string, target: SipTarget | undefined): void {
    const { transport = '', address = '', port = 0 } = target ?? {};
    this.#begin(
      tag.toFlow,
      bytesSize(message.length) +
        bytesSize(flow.length) +
        bytesSize(transport.length) +
        bytesSize(address.length) +
        uintSize(port),
    );
    this.#out.bytes(0x0a, message);
    this.#out.ascii(0x12, flow);
    this.#out.ascii(0x1a, transport);
    this.#out.ascii(0x22, address);
    this.#out.uint(0x28, port);
    this.#end();
  }

  note(transaction: string, assignment: Assignment): void {
    const size = assignmentSize(assignment);
    this.#begin(tag.note, bytesSize(transaction.length) + nestedSize(size));
    this.#out.ascii(0x0a, transaction);
    this.#assignment(0x12, assignment, size);
    this.#end();
  }

  ask(id: number, transaction: string, claim: Assignment | undefined): void {
    const size = assignmentSize(claim);
    this.#begin(tag.ask, uintSize(id) + bytesSize(transaction.length) + nestedSize(size));
    this.#out.uint(0x08, id);
    this.#out.ascii(0x12, transaction);
    this.#assignment(0x1a, claim, size);
    this.#end();
  }

  answer(id: number, assignment: Assignment | undefined): void {
    const size = assignmentSize(assignment);
    this.#begin(tag.answer, uintSize(id) + nestedSize(size));
    this.#out.uint(0x08, id);
    this.#assignment(0x12, assignment, size);
    this.#end();
  }

  frame(frame: HttpFrame | HelloFrame | GoodbyeFrame): void {
    switch (frame.kind) {
      case 'open':
        this.#open(frame);
        break;
      case 'head':
        this.#head(frame);
        break;
      case 'data': {
        const trailers = fieldLines(frame.trailers);
        this.#begin(
          tag.data,
          uintSize(frame.exchange) + partSize(frame.data, frame.end) + bytesSize(trailers.length),
        );
        this.#out.uint(0x08, frame.exchange);
        this.#out.bytes(0x12, frame.data);
        this.#out.uint(0x18, frame.end ? 1 : 0);
        this.#out.latin1(0x22, trailers);
        break;
      }
      case 'reset': {
        const code = numberOf(resetCodes, frame.code);
        this.#begin(tag.reset, uintSize(frame.exchange) + uintSize(code));
        this.#out.uint(0x08, frame.exchange);
        this.#out.uint(0x10, code);
        break;
      }
      case 'credit':
        this.#begin(tag.credit, uintSize(frame.exchange) + uintSize(frame.bytes));
        this.#out.uint(0x08, frame.exchange);
        this.#out.uint(0x10, frame.bytes);
        break;
      case 'hello':
        this.#hello(frame);
        break;
      case 'goodbye':
        this.#begin(tag.goodbye, 0);
        break;
    }
    this.#end();
  }

  #open(frame: HttpOpenFrame): void {
    const { request, envelope } = frame;
    const headers = request.headers.text;
    const trailers = fieldLines(frame.trailers);
    const framing = framingSize(request.framing);
    const envelopeSize = this.#envelopeSize(envelope);
    const out = this.#out;
    this.#begin(
      tag.open,
      uintSize(frame.exchange) +
        bytesSize(request.method.length) +
        bytesSize(request.target.length) +
        bytesSize(headers.length) +
        nestedSize(framing) +
        nestedSize(envelopeSize) +
        partSize(frame.data, frame.end) +
        bytesSize(trailers.length),
    );
    out.uint(0x08, frame.exchange);
    out.latin1(0x12, request.method);
    out.latin1(0x1a, request.target);
    out.latin1(0x22, headers);
    this.#framing(0x2a, request.framing, framing);
    if (envelopeSize > 0) this.#envelope(0x32, envelope, envelopeSize);
    out.bytes(0x3a, frame.data);
    out.uint(0x40, frame.end ? 1 : 0);
    out.latin1(0x4a, trailers);
  }

  #head(frame: HttpHeadFrame): void {
    const { response } = frame;
    const headers = response.headers.text;
    const trailers = fieldLines(frame.trailers);
    const framing = framingSize(response.framing);
    const out = this.#out;
    this.#begin(
      tag.head,
      uintSize(frame.exchange) +
        uintSize(response.status) +
        bytesSize(response.reason.length) +
        bytesSize(headers.length) +
        nestedSize(framing) +
        partSize(frame.data, frame.end) +
        bytesSize(trailers.length),
    );
    out.uint(0x08, frame.exchange);
    out.uint(0x10, response.status);
    out.latin1(0x1a, response.reason);
    out.latin1(0x22, headers);
    this.#framing(0x2a, response.framing, framing);
    out.bytes(0x32, frame.data);
    out.uint(0x38, frame.end ? 1 : 0);
    out.latin1(0x42, trailers);
  }

  #hello(frame: HelloFrame): void {
    const cluster = Buffer.from(frame.cluster);
    const peer = Buffer.from(frame.peer);
    const lane = numberOf(laneKinds, frame.lane);
    this.#begin(
      tag.hello,
      bytesSize(cluster.length) +
        bytesSize(peer.length) +
        uintSize(frame.epoch) +
        uintSize(frame.protocol) +
        uintSize(lane) +
        uintSize(frame.windowBytes),
    );
    this.#out.bytes(0x0a, cluster);
    this.#out.bytes(0x12, peer);
    this.#out.uint(0x18, frame.epoch);
    this.#out.uint(0x20, frame.protocol);
    this.#out.uint(0x28, lane);
    this.#out.uint(0x30, frame.windowBytes);
  }

  /** Opens a frame whose content is `bodySize` bytes under `contentTag`; room is made first. */
  #begin(contentTag: number, bodySize: number): void {
    const frameSize = 1 + varintSize(bodySize) + bodySize;
    const total = 1 + varintSize(frameSize) + frameSize;
    if (!this.#out.fits(total)) {
      this.flush();
      this.#out.makeRoom(total);
    }
    this.#out.length(tag.frame, frameSize);
    this.#out.length(contentTag, bodySize);
  }

  #end(): void {
    this.#frames += 1;
    const { framesPerBatch, batchBytes } = this.#limits;
    if (this.#frames >= framesPerBatch || this.#out.pendingBytes >= batchBytes) this.flush();
  }

  #envelopeSize(envelope: Envelope): number {
    this.#rememberPlacement(envelope);
    return (
      bytesSize(envelope.keyDigest.length) +
      uintSize(numberOf(reasons, envelope.reason)) +
      uintSize(envelope.hop) +
      nestedSize(this.#placementBytes.length) +
      bytesSize(envelope.transaction.length) +
      uintSize(envelope.isLastOffer === true ? 1 : 0)
    );
  }

  #envelope(fieldTag: number, envelope: Envelope, size: number): void {
    this.#out.length(fieldTag, size);
    this.#out.ascii(0x0a, envelope.keyDigest);
    this.#out.uint(0x10, numberOf(reasons, envelope.reason));
    this.#out.uint(0x18, envelope.hop);
    this.#out.bytes(0x22, this.#placementBytes);
    this.#out.ascii(0x2a, envelope.transaction);
    this.#out.uint(0x30, envelope.isLastOffer === true ? 1 : 0);
  }

  #assignment(fieldTag: number, assignment: Assignment | undefined, size: number): void {
    if (assignment === undefined) return;
    this.#out.length(fieldTag, size);
    this.#out.utf8(0x0a, assignment.instance, Buffer.byteLength(assignment.instance));
    this.#out.ascii(0x12, assignment.keyDigest);
  }

  /** Instance, ring version and ingress peer seldom change on a link: their bytes are kept. */
  #rememberPlacement(envelope: Envelope): void {
    if (
      envelope.instance === this.#instance &&
      envelope.ringVersion === this.#ringVersion &&
      envelope.ingressPeer === this.#ingressPeer
    ) {
      return;
    }
    this.#instance = envelope.instance;
    this.#ringVersion = envelope.ringVersion;
    this.#ingressPeer = envelope.ingressPeer;
    const parts = [envelope.instance, envelope.ringVersion, envelope.ingressPeer].map((text) =>
      Buffer.from(text),
    );
    const size = parts.reduce((sum, part) => sum + bytesSize(part.length), 0);
    const writer = new WireWriter(size);
    parts.forEach((part, index) => {
      writer.bytes(0x0a + index * 8, part);
    });
    this.#placementBytes = writer.take();
  }

  #framing(fieldTag: number, framing: BodyFraming, size: number): void {
    if (size === 0) return;
    this.#out.length(fieldTag, size);
    this.#out.uint(0x08, numberOf(framingKinds, framing.kind));
    if (framing.kind === 'length') this.#out.uint(0x10, framing.bytes);
  }
}

/** Size of a nested message under a one-byte tag; an empty one is left out. */
function nestedSize(size: number): number {
  return bytesSize(size);
}

function assignmentSize(assignment: Assignment | undefined): number {
  if (assignment === undefined) return 0;
  return bytesSize(Buffer.byteLength(assignment.instance)) + bytesSize(assignment.keyDigest.length);
}

function partSize(data: Uint8Array, end: boolean): number {
  return bytesSize(data.length) + (end ? 2 : 0);
}

function framingSize(framing: BodyFraming): number {
  switch (framing.kind) {
    case 'none':
      return 0;
    case 'length':
      return 2 + uintSize(framing.bytes);
    case 'chunked':
    case 'tunnel':
      return 2;
  }
}
