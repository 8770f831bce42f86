import { Buffer } from 'node:buffer';
import { encodeName, readName } from './dns-name.ts';
import type { NaptrRecord } from './naptr.ts';
import type { SrvRecord } from './srv.ts';

/** What a record of each type holds. */
export interface DnsRecords {
  /** An IPv4 address. */
  readonly A: string;
  /** An IPv6 address. */
  readonly AAAA: string;
  readonly NAPTR: NaptrRecord;
  readonly SRV: SrvRecord;
}

export type DnsType = keyof DnsRecords;

/** Records of a name, none when it has none, and how long they may be kept. */
export interface DnsAnswer<Type extends DnsType> {
  readonly records: readonly DnsRecords[Type][];
  /** Least TTL of the records, or of the denial (RFC 2308); undefined when nobody told. */
  readonly ttlSeconds: number | undefined;
  /** The name that the one asked for is an alias of, when the reply left its records out. */
  readonly alias: string | undefined;
}

/** What a server said to a query. */
export type DnsReply<Type extends DnsType> =
  | { readonly kind: 'answer'; readonly answer: DnsAnswer<Type> }
  /** The answer did not fit; ask again over TCP. */
  | { readonly kind: 'truncated' }
  /** Not a reply to this query, or malformed: wait for another. */
  | { readonly kind: 'foreign' }
  /** The server cannot tell. */
  | { readonly kind: 'refused' };

const headerBytes = 12;
const typeNumbers: Readonly<Record<DnsType, number>> = { A: 1, AAAA: 28, SRV: 33, NAPTR: 35 };
const typeCname = 5;
const typeSoa = 6;
const classInternet = 1;
const maskOfCode = 0x000f;
const flagTruncated = 0x0200;
const flagResponse = 0x8000;
const flagRecursionDesired = 0x0100;
const codeNoError = 0;
const codeNameError = 3;
/** Aliases within one reply. */
const aliasesMax = 8;

/** A query (RFC 1035 section 4.1). `name` holds labels of 1 to 63 ASCII characters. */
export function encodeDnsQuery(id: number, name: string, type: DnsType): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(flagRecursionDesired, 2);
  header.writeUInt16BE(1, 4);
  return Buffer.concat([header, encodeQuestion(name, type)]);
}

function encodeQuestion(name: string, type: DnsType): Buffer {
  return Buffer.concat([encodeName(name), Buffer.from([0, typeNumbers[type], 0, classInternet])]);
}

/** Reads a reply to the query with this id, name and type; total over any bytes. */
export function decodeDnsReply<Type extends DnsType>(
  bytes: Buffer,
  id: number,
  name: string,
  type: Type,
): DnsReply<Type> {
  const question = encodeQuestion(name, type);
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
    const sections = readSections(bytes, end, type);
    return { kind: 'answer', answer: answerOf(sections, name.toLowerCase().replace(/\.$/, '')) };
  } catch (error) {
    // Lengths in the message lead beyond its end: a fault of the sender.
    if (error instanceof RangeError) return { kind: 'foreign' };
    throw error;
  }
}

interface Sections<Type extends DnsType> {
  readonly records: { owner: string; ttl: number; record: DnsRecords[Type] }[];
  readonly aliases: Map<string, { target: string; ttl: number }>;
  denialTtl: number | undefined;
}

function readSections<Type extends DnsType>(
  bytes: Buffer,
  start: number,
  type: Type,
): Sections<Type> {
  const answers = bytes.readUInt16BE(6);
  const count = answers + bytes.readUInt16BE(8);
  const read: (bytes: Buffer, start: number, end: number) => DnsRecords[Type] = readers[type];
  const sections: Sections<Type> = { records: [], aliases: new Map(), denialTtl: undefined };
  let at = start;
  for (let index = 0; index < count; index += 1) {
    const { text: owner, next } = readName(bytes, at);
    const found = bytes.readUInt16BE(next);
    const isInternet = bytes.readUInt16BE(next + 2) === classInternet;
    const ttl = readTtl(bytes, next + 4);
    const data = next + 10;
    at = data + bytes.readUInt16BE(next + 8);
    if (at > bytes.length) throw new RangeError('record beyond the end');
    if (!isInternet) continue;
    if (found === typeNumbers[type] && index < answers) {
      sections.records.push({ owner, ttl, record: read(bytes, data, at) });
    } else if (found === typeCname && index < answers) {
      sections.aliases.set(owner, { target: readName(bytes, data).text, ttl });
    } else if (found === typeSoa && index >= answers) {
      // RFC 2308 section 5: the denial lives for the lesser of the SOA's TTL and its minimum.
      sections.denialTtl = Math.min(ttl, bytes.readUInt32BE(at - 4));
    }
  }
  return sections;
}

/** RFC 2181 section 8: one with the highest bit set counts as none. */
function readTtl(bytes: Buffer, at: number): number {
  const ttl = bytes.readUInt32BE(at);
  return ttl > 0x7fff_ffff ? 0 : ttl;
}

/** Follows aliases to the records that belong to the name (RFC 1034 section 4.3.2). */
function answerOf<Type extends DnsType>(
  { records, aliases, denialTtl }: Sections<Type>,
  name: string,
): DnsAnswer<Type> {
  let owner = name;
  let ttlSeconds = Number.POSITIVE_INFINITY;
  for (let step = 0; step < aliasesMax; step += 1) {
    const alias = aliases.get(owner);
    if (alias === undefined) break;
    owner = alias.target;
    ttlSeconds = Math.min(ttlSeconds, alias.ttl);
  }
  const own = records.filter((record) => record.owner === owner);
  for (const { ttl } of own) ttlSeconds = Math.min(ttlSeconds, ttl);
  if (own.length === 0) ttlSeconds = Math.min(ttlSeconds, denialTtl ?? ttlSeconds);
  const isOpen = own.length === 0 && owner !== name && denialTtl === undefined;
  return {
    records: own.map(({ record }) => record),
    ttlSeconds: Number.isFinite(ttlSeconds) ? ttlSeconds : undefined,
    alias: isOpen ? owner : undefined,
  };
}

const readers: {
  readonly [Type in DnsType]: (bytes: Buffer, start: number, end: number) => DnsRecords[Type];
} = {
  A: (bytes, start, end) => {
    if (end - start !== 4) throw new RangeError('no IPv4 address');
    return bytes.subarray(start, end).join('.');
  },
  AAAA: (bytes, start, end) => {
    if (end - start !== 16) throw new RangeError('no IPv6 address');
    const words = Array.from({ length: 8 }, (_, index) =>
      bytes.readUInt16BE(start + 2 * index).toString(16),
    );
    // The URL standard's parser writes the shortest form.
    return new URL(`http://[${words.join(':')}]`).hostname.slice(1, -1);
  },
  SRV: (bytes, start) => ({
    priority: bytes.readUInt16BE(start),
    weight: bytes.readUInt16BE(start + 2),
    port: bytes.readUInt16BE(start + 4),
    target: readName(bytes, start + 6).text,
  }),
  NAPTR: readNaptr,
};

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
    replacement: readName(bytes, at).text,
  };
}
