import { createHash } from 'node:crypto';
import { gossipKeyBytes, gossipLimits } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import { KeptFile } from './kept-file.ts';

type LogLine = (fields: object, message: string) => void;

export interface KeyringFileOptions {
  /** Absolute path of a folder that is there, and that this process alone uses. */
  readonly folder: string;
  /** The keys of the configuration, the one that encrypts first. */
  readonly configured: readonly Uint8Array[];
  readonly counters: Counters;
  readonly log: { readonly error: LogLine };
}

/**
 * What was kept: `kept` keys were made from the configured ones and take their place; `outdated` ones
 * were made from others, and are forgotten.
 */
export type KeptKeys =
  | { readonly kind: 'none' }
  | { readonly kind: 'kept' | 'outdated'; readonly keys: readonly Uint8Array[] };

type Parsed =
  | { readonly ok: true; readonly origin: string; readonly keys: readonly Uint8Array[] }
  | { readonly ok: false; readonly fault: 'checksum' | 'format' };

const head = /^sailring-keys 1\norigin ([0-9a-f]{64})\nsha256 ([0-9a-f]{64})\n\n/;

/** More than the head and the keys take. */
const fileBytesMax = 1_024 + gossipLimits.keysMax * 64;

/**
 * The keys of gossip that operators installed while the peer ran. They hold as long as the configuration
 * has the keys that they were made from: whoever edits those means them.
 */
export class KeyringFile {
  readonly #file: KeptFile;
  readonly #origin: string;

  constructor({ folder, configured, counters, log }: KeyringFileOptions) {
    this.#origin = originOf(configured);
    this.#file = new KeptFile({
      folder,
      name: 'gossip-keys',
      bytesMax: fileBytesMax,
      counters,
      counter: 'keyring_files',
      log,
      texts: {
        setAside:
          'a file of gossip keys cannot be used and was set aside; without another one those of the configuration are used',
        unwritten: 'the gossip keys were not written; trying again',
      },
    });
  }

  /**
   * Reads the keys. A file that cannot be used is set aside, and reported; one that is outdated is removed.
   *
   * @throws Error with a remedy, when the folder cannot be used
   */
  async load(): Promise<KeptKeys> {
    const bytes = await this.#file.read();
    if (bytes === undefined) return { kind: 'none' };
    const read = parseKeyring(bytes.toString('latin1'));
    if (!read.ok) {
      await this.#file.setAside(read.fault);
      return { kind: 'none' };
    }
    const { keys, origin } = read;
    if (origin === this.#origin) return { kind: 'kept', keys };
    await this.#file.remove();
    return { kind: 'outdated', keys };
  }

  /**
   * Writes the keys, the one that encrypts first.
   *
   * @returns whether these, or later ones, are on the disk; if not, it is tried again
   */
  save(keys: readonly Uint8Array[]): Promise<boolean> {
    return this.#file.save(serializeKeyring(this.#origin, keys));
  }

  /** Ends what is being written. */
  close(): Promise<void> {
    return this.#file.close();
  }
}

/** Tells one list of configured keys from another, without saying what they are. */
function originOf(keys: readonly Uint8Array[]): string {
  const hash = createHash('sha256').update('sailring gossip.keys\n');
  for (const key of keys) hash.update(lineOf(key));
  return hash.digest('hex');
}

/**
 * A head of three lines, an empty line, the keys as base64:
 *
 *     sailring-keys 1
 *     origin <SHA-256 of the configured keys>
 *     sha256 <of origin and keys>
 */
function serializeKeyring(origin: string, keys: readonly Uint8Array[]): Uint8Array {
  const body = keys.map(lineOf).join('');
  const text = `sailring-keys 1\norigin ${origin}\nsha256 ${checksum(origin, body)}\n\n${body}`;
  return Buffer.from(text, 'latin1');
}

function parseKeyring(text: string): Parsed {
  const found = head.exec(text);
  if (found === null) return { ok: false, fault: 'format' };
  const [{ length }, origin = '', sum] = found;
  const body = text.slice(length);
  if (checksum(origin, body) !== sum) return { ok: false, fault: 'checksum' };
  const lines = body.split('\n').slice(0, -1);
  const keys = lines.map((line) => Buffer.from(line, 'base64'));
  const isUsable = keys.length > 0 && keys.length <= gossipLimits.keysMax && keys.every(isKey);
  return isUsable ? { ok: true, origin, keys } : { ok: false, fault: 'format' };
}

function isKey({ length }: Uint8Array): boolean {
  return gossipKeyBytes.includes(length);
}

function lineOf(key: Uint8Array): string {
  return `${Buffer.from(key).toString('base64')}\n`;
}

function checksum(origin: string, body: string): string {
  return createHash('sha256').update(`${origin}\n${body}`).digest('hex');
}
