import type { NaptrAnswer } from './enum.ts';
import type { NaptrRecord } from './naptr.ts';

const headerBytes = 12;
const typeNaptr = 35;
const typeSoa = 6;
const classInternet = 1;
const maskOfCode = 0x000f;
const flagTruncated = 0x0200;
const flagResponse = 0x8000;
const flagRecursionDesired = 0x0100;
const codeNoError = 0;
const codeNameError = 3;

/** What a server said to a query. */
export type DnsReply =
  | { readonly kind: 'answer'; readonly answer: NaptrAnswer }
  /** The answer did not fit; ask again over TCP. */
  | { readonly kind: 'truncated' }
  /** Not a reply to this query, or malformed: wait for another. */
  | { readonly kind: 'foreign' }
  /** The server cannot tell. */
  | { readonly kind: 'refused' };

/** A query for NAPTR records (RFC 1035 section 4.1). `name` holds labels of 1 to 63 ASCII characters. */
export function encodeNaptrQuery(id: number, name: string): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(flagRecursionDesired, 2);
  header.writeUInt16BE(1, 4);
  return Buffer.concat([header, encodeQuestion(name)]);
}

function encodeQuestion(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '');
  const parts = labels.map((label) => Buffer.from([label.length, ...Buffer.from(label, 'latin1')]));
  return Buffer.concat([...parts, Buffer.from([0, 0, typeNaptr, 0, classInternet])]);
}

/** Reads a reply to the query with this id and name; total over any bytes. */
export function decodeNaptrReply(bytes: Buffer, id: number, name: string): DnsReply {
  const question = encodeQuestion(name);
  const end = headerBytes + question.length;
  if (bytes.length < end || bytes.readUInt16BE(0) !== id || bytes.readUInt16BE(4) !== 1) {
    return { kind: 'foreign' };
  }
  const asked = bytes.toString('latin1', headerBytes, end).toLowerCase();
  const flags = bytes.readUInt16BE(2);
  if (asked !== question.toString('latin1').toLowerCase() || (flags & flagResponse) === 0) {
    return { kind: 'foreign' };
  }
  if ((flags & flagTruncated) !== 0) return { kind: 'truncated' };
  const code = flags & maskOfCode;
  if (code !== codeNoError && code !== codeNameError) return { kind: 'refused' };
  try {
    return { kind: 'answer', answer: readSections(bytes, end) };
  } catch (error) {
    // Lengths in the message lead beyond its end: a fault of the sender.
    if (error instanceof RangeError) return { kind: 'foreign' };
    throw error;
  }
}

function readSections(bytes: Buffer, start: number): NaptrAnswer {
  const count = bytes.readUInt16BE(6) + bytes.readUInt16BE(8);
  const records: NaptrRecord[] = [];
  let recordTtl = Number.POSITIVE_INFINITY;
  let denialTtl = Number.POSITIVE_INFINITY;
  let at = start;
  for (let index = 0; index < count; index += 1) {
    at = endOfName(bytes, at);
    const type = bytes.readUInt16BE(at);
    const ttl = bytes.readUInt32BE(at + 4);
    const data = at + 10;
    at = data + bytes.readUInt16BE(at + 8);
    if (at > bytes.length) throw new RangeError('record beyond the end');
    if (type === typeNaptr) {
      records.push(readNaptr(bytes, data));
      recordTtl = Math.min(recordTtl, ttl);
    } else if (type === typeSoa) {
      // RFC 2308 section 5: the denial lives for the lesser of the SOA's TTL and its minimum.
      denialTtl = Math.min(ttl, bytes.readUInt32BE(at - 4));
    }
  }
  const ttlSeconds = records.length > 0 ? recordTtl : denialTtl;
  return { records, ttlSeconds: Number.isFinite(ttlSeconds) ? ttlSeconds : undefined };
}

function readNaptr(bytes: Buffer, start: number): NaptrRecord {
  const texts: string[] = [];
  let at = start + 4;
  for (let index = 0; index < 3; index += 1) {
    const end = at + 1 + bytes.readUInt8(at);
    if (end > bytes.length) throw new RangeError('text beyond the end');
    texts.push(bytes.toString('utf8', at + 1, end));
    at = end;
  }
  const [flags = '', service = '', regexp = ''] = texts;
  return {
    order: bytes.readUInt16BE(start),
    preference: bytes.readUInt16BE(start + 2),
    flags,
    service,
    regexp,
  };
}

/** A name ends in an empty label or in a pointer (RFC 1035 section 4.1.4), which needs no following. */
function endOfName(bytes: Buffer, start: number): number {
  let at = start;
  for (;;) {
    const length = bytes.readUInt8(at);
    if (length >= 0xc0) return at + 2;
    if (length === 0) return at + 1;
    at += 1 + length;
  }
}
