import { Buffer } from 'node:buffer';
import { isIP } from 'node:net';
import { linkLimits } from '../../config/defaults.ts';
import type { SipTarget } from '../../pipeline/sip-target.ts';
import type { Assignment } from '../../sip/index.ts';
import { transports } from './frame.ts';
import type { SipFrameSink } from './frame.ts';
import type { WireReader } from './wire-reader.ts';

// Contents of frames that transactions and applications need. Each reader stops at `end` and calls the
// sink once, or leaves the fault with the reader.

const noBytes: Buffer = Buffer.alloc(0);

export function readNote(reader: WireReader, end: number, sink: SipFrameSink): void {
  let transaction = '';
  let assignment: Assignment | undefined;
  while (reader.more(end)) {
    const tag = reader.uint32(end);
    if (tag === 0x0a) transaction = readTransaction(reader, end);
    else if (tag === 0x12) assignment = readAssignment(reader, reader.block(end));
    else reader.skip(tag, end);
  }
  if (transaction === '' || assignment === undefined) reader.fail();
  else if (!reader.faulty) sink.note(transaction, assignment);
}

export function readAsk(reader: WireReader, end: number, sink: SipFrameSink): void {
  let id = 0;
  let transaction = '';
  let claim: Assignment | undefined;
  while (reader.more(end)) {
    const tag = reader.uint32(end);
    if (tag === 0x08) id = reader.varint(end);
    else if (tag === 0x12) transaction = readTransaction(reader, end);
    else if (tag === 0x1a) claim = readAssignment(reader, reader.block(end));
    else reader.skip(tag, end);
  }
  if (id === 0 || transaction === '') reader.fail();
  else if (!reader.faulty) sink.ask(id, transaction, claim);
}

export function readAnswer(reader: WireReader, end: number, sink: SipFrameSink): void {
  let id = 0;
  let assignment: Assignment | undefined;
  while (reader.more(end)) {
    const tag = reader.uint32(end);
    if (tag === 0x08) id = reader.varint(end);
    else if (tag === 0x12) assignment = readAssignment(reader, reader.block(end));
    else reader.skip(tag, end);
  }
  if (id === 0) reader.fail();
  else if (!reader.faulty) sink.answer(id, assignment);
}

export function readToApplication(reader: WireReader, end: number, sink: SipFrameSink): void {
  let message = noBytes;
  while (reader.more(end)) {
    const tag = reader.uint32(end);
    if (tag === 0x0a) message = reader.view(end);
    else reader.skip(tag, end);
  }
  if (!reader.faulty) sink.toApplication(message);
}

export function readToFlow(reader: WireReader, end: number, sink: SipFrameSink): void {
  const given = { transport: '', address: '', port: 0 };
  let message = noBytes;
  let flow = '';
  while (reader.more(end)) {
    const tag = reader.uint32(end);
    if (tag === 0x0a) message = reader.view(end);
    else if (tag === 0x12) flow = reader.shortLatin1(end, linkLimits.flowCharactersMax);
    else readTargetField(reader, tag, end, given);
  }
  const target = targetOf(given);
  if (flow === '' || target === 'bad') reader.fail();
  else if (!reader.faulty) sink.toFlow(message, flow, target);
}

interface TargetFields {
  transport: string;
  address: string;
  port: number;
}

function readTargetField(reader: WireReader, tag: number, end: number, given: TargetFields): void {
  const { transportCharactersMax, addressCharactersMax } = linkLimits;
  if (tag === 0x1a) given.transport = reader.shortLatin1(end, transportCharactersMax);
  else if (tag === 0x22) given.address = reader.shortLatin1(end, addressCharactersMax);
  else if (tag === 0x28) given.port = reader.uint32(end);
  else reader.skip(tag, end);
}

/** Whether a receiver takes this as the target of a flow: what it does not take breaks the link. */
export function isFlowTarget({ address, port }: Pick<SipTarget, 'address' | 'port'>): boolean {
  const isShort = address.length <= linkLimits.addressCharactersMax;
  return isShort && isIP(address) !== 0 && port >= 1 && port <= 65_535;
}

/** All of a target or nothing. Names were resolved where the request came from. */
function targetOf(given: TargetFields): SipTarget | 'bad' | undefined {
  const { address, port } = given;
  if (given.transport === '' && address === '' && port === 0) return undefined;
  const transport = transports.find((name) => name === given.transport);
  if (transport === undefined || !isFlowTarget(given)) return 'bad';
  return { transport, address, port, serverName: address };
}

function readTransaction(reader: WireReader, end: number): string {
  return reader.shortLatin1(end, linkLimits.transactionCharactersMax);
}

/** An assignment to no instance is a fault. */
function readAssignment(reader: WireReader, end: number): Assignment {
  let instance = '';
  let keyDigest = '';
  while (reader.more(end)) {
    const tag = reader.uint32(end);
    if (tag === 0x0a) instance = reader.shortText(end, linkLimits.nameBytesMax);
    else if (tag === 0x12) keyDigest = reader.shortLatin1(end, linkLimits.keyDigestCharactersMax);
    else reader.skip(tag, end);
  }
  if (instance === '') reader.fail();
  return { instance, keyDigest };
}
