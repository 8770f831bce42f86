import { Buffer } from 'node:buffer';
import { linkLimits } from '../../config/defaults.ts';
import {
  type BodyFraming,
  chunkedBody,
  HeaderBlock,
  type HeaderList,
  tunnelBody,
} from '../../http/index.ts';
import type { Envelope } from '../../pipeline/envelope.ts';
import { laneKinds, reasons, resetCodes } from './frame.ts';
import type { BodyPart, FrameSink } from './frame.ts';
import { readAnswer, readAsk, readNote, readToApplication, readToFlow } from './sip-frames.ts';
import { WireReader } from './wire-reader.ts';

/** Why a batch was not understood. Frames before the fault have been delivered. */
export type BatchFault = 'malformed' | 'too-many-frames';

const noBytes: Buffer = Buffer.alloc(0);
const noFields: HeaderList = [];
const noFraming: BodyFraming = { kind: 'none' };

interface Placement {
  readonly instance: string;
  readonly ringVersion: string;
  readonly ingressPeer: string;
}

const noPlacement: Placement = { instance: '', ringVersion: '', ingressPeer: '' };

/**
 * Reads batches of one lane and calls the sink frame by frame. Any bytes may come: what is not a
 * batch gives a fault, never an exception. Fields and frames of a later version are passed over.
 */
export class BatchDecoder {
  readonly #sink: FrameSink;
  readonly #framesMax: number;
  #placement: Placement = noPlacement;
  #placementBytes: Buffer = noBytes;

  constructor(sink: FrameSink, framesMax: number) {
    this.#sink = sink;
    this.#framesMax = framesMax;
  }

  /** Gives the number of frames, or the fault that ended the reading. */
  decode(batch: Buffer): number | BatchFault {
    const reader = new WireReader(batch);
    const end = batch.length;
    let frames = 0;
    while (reader.more(end)) {
      const tag = reader.uint32(end);
      if (tag !== 0x0a) {
        reader.skip(tag, end);
        continue;
      }
      frames += 1;
      if (frames > this.#framesMax) return 'too-many-frames';
      this.#frame(reader, reader.block(end));
    }
    return reader.faulty ? 'malformed' : frames;
  }

  #frame(reader: WireReader, end: number): void {
    let contents = 0;
    while (reader.more(end)) {
      const tag = reader.uint32(end);
      if (tag > 0x72 || (tag & 7) !== 2) {
        reader.skip(tag, end);
        continue;
      }
      // A frame is one of its contents; our encoder never writes two.
      contents += 1;
      if (contents > 1) reader.fail();
      this.#content(tag, reader, reader.block(end));
    }
  }

  #content(tag: number, reader: WireReader, end: number): void {
    if (reader.faulty) return;
    if (tag >= 0x52) {
      this.#later(tag, reader, end);
      return;
    }
    switch (tag) {
      case 0x0a:
        this.#sipRequest(reader, end);
        break;
      case 0x12:
        this.#sipResponse(reader, end);
        break;
      case 0x1a:
        this.#open(reader, end);
        break;
      case 0x22:
        this.#head(reader, end);
        break;
      case 0x2a:
        this.#data(reader, end);
        break;
      case 0x32:
        this.#reset(reader, end);
        break;
      case 0x3a:
        this.#credit(reader, end);
        break;
      case 0x42:
        this.#hello(reader, end);
        break;
      case 0x4a:
        reader.position = end;
        this.#sink.goodbye();
        break;
      default:
        reader.fail();
    }
  }

  #later(tag: number, reader: WireReader, end: number): void {
    switch (tag) {
      case 0x52:
        readNote(reader, end, this.#sink);
        break;
      case 0x5a:
        readAsk(reader, end, this.#sink);
        break;
      case 0x62:
        readAnswer(reader, end, this.#sink);
        break;
      case 0x6a:
        readToApplication(reader, end, this.#sink);
        break;
      case 0x72:
        readToFlow(reader, end, this.#sink);
        break;
      default:
        reader.fail();
    }
  }

  #sipRequest(reader: WireReader, end: number): void {
    let message = noBytes;
    let envelope: Envelope | undefined;
    while (reader.more(end)) {
      const tag = reader.uint32(end);
      if (tag === 0x0a) message = reader.view(end);
      else if (tag === 0x12) envelope = this.#envelope(reader, reader.block(end));
      else reader.skip(tag, end);
    }
    if (envelope === undefined) reader.fail();
    else if (!reader.faulty) this.#sink.sipRequest(message, envelope);
  }

  #sipResponse(reader: WireReader, end: number): void {
    let message = noBytes;
    while (reader.more(end)) {
      const tag = reader.uint32(end);
      if (tag === 0x0a) message = reader.view(end);
      else reader.skip(tag, end);
    }
    if (!reader.faulty) this.#sink.sipResponse(message);
  }

  #open(reader: WireReader, end: number): void {
    const part: BodyPart = { ...emptyPart };
    let exchange = 0;
    let method = '';
    let target = '';
    let headers = HeaderBlock.empty;
    let framing = noFraming;
    let envelope: Envelope | undefined;
    while (reader.more(end)) {
      const tag = reader.uint32(end);
      if (tag === 0x08) exchange = reader.varint(end);
      else if (tag === 0x12) method = reader.latin1(end);
      else if (tag === 0x1a) target = reader.latin1(end);
      else if (tag === 0x22) headers = readBlock(reader, end);
      else if (tag === 0x2a) framing = readFraming(reader, reader.block(end));
      else if (tag === 0x32) envelope = this.#envelope(reader, reader.block(end));
      else readPart(reader, tag, 0x3a, part, end);
    }
    if (envelope === undefined || exchange === 0) reader.fail();
    else if (!reader.faulty) {
      const request = { method, target, headers, framing };
      this.#sink.http({ kind: 'open', request, envelope, ...part, exchange });
    }
  }

  #head(reader: WireReader, end: number): void {
    const part: BodyPart = { ...emptyPart };
    let exchange = 0;
    let status = 0;
    let reason = '';
    let headers = HeaderBlock.empty;
    let framing = noFraming;
    while (reader.more(end)) {
      const tag = reader.uint32(end);
      if (tag === 0x08) exchange = reader.varint(end);
      else if (tag === 0x10) status = reader.uint32(end);
      else if (tag === 0x1a) reason = reader.latin1(end);
      else if (tag === 0x22) headers = readBlock(reader, end);
      else if (tag === 0x2a) framing = readFraming(reader, reader.block(end));
      else readPart(reader, tag, 0x32, part, end);
    }
    if (exchange === 0 || status < 100 || status > 999) reader.fail();
    else if (!reader.faulty) {
      const response = { status, reason, headers, framing };
      this.#sink.http({ kind: 'head', response, ...part, exchange });
    }
  }

  #data(reader: WireReader, end: number): void {
    const part: BodyPart = { ...emptyPart };
    let exchange = 0;
    while (reader.more(end)) {
      const tag = reader.uint32(end);
      if (tag === 0x08) exchange = reader.varint(end);
      else readPart(reader, tag, 0x12, part, end);
    }
    if (exchange === 0) reader.fail();
    else if (!reader.faulty) this.#sink.http({ kind: 'data', ...part, exchange });
  }

  #reset(reader: WireReader, end: number): void {
    const [exchange, number] = readPair(reader, end);
    const code = resetCodes[number - 1];
    if (code === undefined || exchange === 0) reader.fail();
    else if (!reader.faulty) this.#sink.http({ kind: 'reset', exchange, code });
  }

  #credit(reader: WireReader, end: number): void {
    const [exchange, bytes] = readPair(reader, end);
    if (exchange === 0 || bytes === 0) reader.fail();
    else if (!reader.faulty) this.#sink.http({ kind: 'credit', exchange, bytes });
  }

  #hello(reader: WireReader, end: number): void {
    const hello = { cluster: '', peer: '', epoch: 0, protocol: 0, lane: 0, windowBytes: 0 };
    while (reader.more(end)) {
      const tag = reader.uint32(end);
      if (tag === 0x0a) hello.cluster = reader.text(end);
      else if (tag === 0x12) hello.peer = reader.text(end);
      else if (tag === 0x18) hello.epoch = reader.varint(end);
      else if (tag === 0x20) hello.protocol = reader.uint32(end);
      else if (tag === 0x28) hello.lane = reader.uint32(end);
      else if (tag === 0x30) hello.windowBytes = reader.uint32(end);
      else reader.skip(tag, end);
    }
    const lane = laneKinds[hello.lane - 1];
    if (lane === undefined) reader.fail();
    else if (!reader.faulty) this.#sink.hello({ kind: 'hello', ...hello, lane });
  }

  #envelope(reader: WireReader, end: number): Envelope | undefined {
    let keyDigest = '';
    let reason = 0;
    let hop = 0;
    let placement = noPlacement;
    let transaction = '';
    let isLastOffer = false;
    while (reader.more(end)) {
      const tag = reader.uint32(end);
      if (tag === 0x0a) keyDigest = reader.shortLatin1(end, linkLimits.keyDigestCharactersMax);
      else if (tag === 0x10) reason = reader.uint32(end);
      else if (tag === 0x18) hop = reader.uint32(end);
      else if (tag === 0x22) placement = this.#placementOf(reader, reader.block(end));
      else if (tag === 0x2a)
        transaction = reader.shortLatin1(end, linkLimits.transactionCharactersMax);
      else if (tag === 0x30) isLastOffer = reader.uint32(end) !== 0;
      else reader.skip(tag, end);
    }
    const why = reasons[reason - 1];
    if (why === undefined || (hop !== 0 && hop !== 1 && hop !== 2)) return undefined;
    const { instance, ringVersion, ingressPeer } = placement;
    const envelope: Envelope = {
      keyDigest,
      instance,
      reason: why,
      ringVersion,
      ingressPeer,
      hop,
      transaction,
    };
    return marked(envelope, isLastOffer);
  }

  /** The placement repeats on a link, so its bytes are compared before they are read. */
  #placementOf(reader: WireReader, end: number): Placement {
    const known = this.#placementBytes;
    if (sameBytes(reader.bytes, reader.position, end, known)) {
      reader.position = end;
      return this.#placement;
    }
    const bytes = Buffer.from(reader.bytes.subarray(reader.position, end));
    const placement = { instance: '', ringVersion: '', ingressPeer: '' };
    const { nameBytesMax, ringVersionBytesMax } = linkLimits;
    while (reader.more(end)) {
      const tag = reader.uint32(end);
      if (tag === 0x0a) placement.instance = reader.shortText(end, nameBytesMax);
      else if (tag === 0x12) placement.ringVersion = reader.shortText(end, ringVersionBytesMax);
      else if (tag === 0x1a) placement.ingressPeer = reader.shortText(end, nameBytesMax);
      else reader.skip(tag, end);
    }
    if (!reader.faulty) {
      this.#placement = placement;
      this.#placementBytes = bytes;
    }
    return placement;
  }
}

const emptyPart: BodyPart = { exchange: 0, data: noBytes, end: false, trailers: noFields };

function sameBytes(bytes: Buffer, start: number, end: number, known: Buffer): boolean {
  if (end - start !== known.length) return false;
  for (let index = 0; index < known.length; index++) {
    if (bytes[start + index] !== known[index]) return false;
  }
  return true;
}

/** Data, end and trailers have neighbouring numbers in the three frames that carry a body. */
function readPart(
  reader: WireReader,
  tag: number,
  dataTag: number,
  part: BodyPart,
  end: number,
): void {
  if (tag === dataTag) part.data = reader.view(end);
  else if (tag === dataTag + 6) part.end = reader.uint32(end) !== 0;
  else if (tag === dataTag + 16) part.trailers = readBlock(reader, end).list();
  else reader.skip(tag, end);
}

function readPair(reader: WireReader, end: number): [first: number, second: number] {
  let first = 0;
  let second = 0;
  while (reader.more(end)) {
    const tag = reader.uint32(end);
    if (tag === 0x08) first = reader.varint(end);
    else if (tag === 0x10) second = reader.uint32(end);
    else reader.skip(tag, end);
  }
  return [first, second];
}

function readFraming(reader: WireReader, end: number): BodyFraming {
  let kind = 0;
  let bytes = 0;
  while (reader.more(end)) {
    const tag = reader.uint32(end);
    if (tag === 0x08) kind = reader.uint32(end);
    else if (tag === 0x10) bytes = reader.varint(end);
    else reader.skip(tag, end);
  }
  if (kind === 1) return { kind: 'length', bytes };
  if (kind === 2) return chunkedBody;
  if (kind === 3) return tunnelBody;
  if (kind !== 0) reader.fail();
  return noFraming;
}

/** Lines as {@link HeaderBlock} wants them; anything else is a fault. */
function readBlock(reader: WireReader, end: number): HeaderBlock {
  const block = HeaderBlock.read(reader.latin1(end));
  if (block === undefined) reader.fail();
  return block ?? HeaderBlock.empty;
}

/** Most envelopes carry no mark: they keep one shape. */
function marked(envelope: Envelope, isLastOffer: boolean): Envelope {
  return isLastOffer ? { ...envelope, isLastOffer } : envelope;
}
