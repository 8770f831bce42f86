import {
  type BodyReader,
  createBodyReader,
  createRequestHeadParser,
} from '../../../src/http/index.ts';

/** What our reader makes of a connection's bytes. */
export interface Reading {
  /** Complete requests as `METHOD target body`. */
  readonly requests: string[];
  readonly hosts: string[];
  fault: { readonly code: string; readonly status: number } | undefined;
  /** The last request asked for the end: what follows is not read. */
  isClosed: boolean;
  /** Something has begun and is not complete. */
  isInside: boolean;
  /** The last request asks for an upgrade: what follows is not read as HTTP before it is answered. */
  isUpgrade: boolean;
}

function mayGoOn({ fault, isClosed, isUpgrade }: Reading): boolean {
  return fault === undefined && !isClosed && !isUpgrade;
}

/** Reads the pieces as one connection, as a listener does. */
export function readRequests(pieces: readonly Buffer[]): Reading {
  const reading: Reading = {
    requests: [],
    hosts: [],
    fault: undefined,
    isClosed: false,
    isInside: false,
    isUpgrade: false,
  };
  const parser = createRequestHeadParser();
  let body: BodyReader | undefined;
  let start = '';
  let text = '';
  let isPersistent = true;
  const complete = (): void => {
    reading.requests.push(text === '' ? start : `${start} ${text}`);
    reading.isClosed = !isPersistent;
    body = undefined;
  };
  const sink = {
    data: (chunk: Buffer): void => {
      text += chunk.toString('latin1');
    },
    end: complete,
  };
  const takeHead = (bytes: Buffer, at: number): number => {
    const progress = parser.feed(bytes, at);
    if (progress.kind === 'more') return bytes.length;
    if (progress.kind === 'fault') {
      reading.fault = progress;
      return bytes.length;
    }
    const { head } = progress;
    start = `${head.method} ${head.target}`;
    text = '';
    isPersistent = head.isPersistent;
    reading.hosts.push(head.host);
    reading.isUpgrade = head.framing.kind === 'tunnel';
    if (reading.isUpgrade) return bytes.length;
    body = createBodyReader(head.framing);
    if (body === undefined) complete();
    return progress.next;
  };
  for (const bytes of pieces) {
    let at = 0;
    while (at < bytes.length && mayGoOn(reading)) {
      const reader: BodyReader | undefined = body;
      at = reader === undefined ? takeHead(bytes, at) : reader.feed(bytes, at, sink);
      reading.fault ??= reader?.fault;
    }
  }
  reading.isInside = reading.fault === undefined && (body !== undefined || parser.isInside);
  return reading;
}

/** Cuts bytes into pieces; `random` gives numbers from 0 to 1. */
export function split(bytes: Buffer, random: () => number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + 1 + Math.floor(random() * 24));
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces;
}

/** The bytes one by one. */
export function bytewise(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
