import { createHash } from 'node:crypto';
import { clusterLimits } from '../config/defaults.ts';
import { compareText, isKey, isVersion, type Stored } from './entry.ts';
import { canonicalJson, isObject, type Json } from './json.ts';

/** The only format so far; another one is refused as a whole. */
const format = 1;

/** What was read, or why it could not be. */
export type DecodedState =
  | { readonly ok: true; readonly entries: ReadonlyMap<string, Stored> }
  | { readonly ok: false; readonly fault: StateFault };

export type StateFault = 'too-large' | 'malformed' | 'other-format' | 'too-many-entries';

/**
 * `{"format":1,"entries":[[key,clock,author,value]…]}`, sorted by key; a removed entry has no value.
 * Equal entries give equal bytes, so that a digest of the bytes is one of the entries.
 */
export function encodeState(entries: ReadonlyMap<string, Stored>): Buffer {
  const parts = [...entries]
    .sort(([a], [b]) => compareText(a, b))
    .map(([key, { version, text }]) => {
      const head = JSON.stringify([key, version.clock, version.author]);
      return text === undefined ? head : `${head.slice(0, -1)},${text}]`;
    });
  return Buffer.from(`{"format":${format},"entries":[${parts.join(',')}]}`, 'utf8');
}

/** Reads what {@link encodeState} wrote, of another peer or of a file. Never throws. */
export function decodeState(bytes: Uint8Array): DecodedState {
  if (bytes.length > clusterLimits.mergedStateBytesMax) return refused('too-large');
  let content: unknown;
  try {
    content = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString());
  } catch {
    return refused('malformed');
  }
  if (!isObject(content)) return refused('malformed');
  if (content['format'] !== format) return refused('other-format');
  const rows = content['entries'];
  if (!Array.isArray(rows)) return refused('malformed');
  if (rows.length > clusterLimits.mergedEntriesMax) return refused('too-many-entries');
  return readRows(rows);
}

/** Digest of an encoded state: what peers compare, 43 characters of base64url. */
export function stateDigest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64url');
}

function readRows(rows: readonly unknown[]): DecodedState {
  const entries = new Map<string, Stored>();
  for (const row of rows) {
    const read = readRow(row);
    if (read === undefined || entries.has(read.key)) return refused('malformed');
    entries.set(read.key, read.stored);
  }
  return { ok: true, entries };
}

function readRow(row: unknown): { key: string; stored: Stored } | undefined {
  if (!Array.isArray(row) || row.length < 3 || row.length > 4) return undefined;
  const [key, clock, author, value] = row as unknown[];
  if (typeof key !== 'string' || !isKey(key) || !isVersion(clock, author)) return undefined;
  const version = { clock: clock as number, author: author as string };
  try {
    return {
      key,
      stored: { version, text: row.length === 3 ? undefined : canonicalJson(value as Json) },
    };
  } catch {
    // Nested deeper than can be written again.
    return undefined;
  }
}

function refused(fault: StateFault): DecodedState {
  return { ok: false, fault };
}
