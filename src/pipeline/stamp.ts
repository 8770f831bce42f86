import { hash } from 'node:crypto';
import { stampLimits } from '../config/defaults.ts';

/** What a session carries to come back to its instance. */
export interface Stamp {
  /** Key digest; empty where no key was needed. */
  readonly bekey: string;
  /** Name of the instance. */
  readonly beroute: string;
}

/**
 * Kinds keep a signature made for one place from being valid in another.
 * `dialog`: Record-Route and Via, scope Call-ID. `path`: Path, no scope. `bekey`, `beroute`: the cookies.
 */
export type StampKind = 'dialog' | 'path' | 'bekey' | 'beroute';

/** A named secret. The first of the configured keys signs, all verify. */
export interface StampKey {
  /** Letters and digits. */
  readonly id: string;
  /** At least 16 bytes. */
  readonly secret: Uint8Array;
}

const version = 'v1';
const macBytes = 16;
const blockBytes = 64;
/** In UTF-16 units, each at most three bytes of UTF-8. */
const longestSignedText = Math.floor(stampLimits.signedTextBytesMax / 3);

/** HMAC-SHA-256 (RFC 2104) written as two one-shot hashes, several times faster than `createHmac`. */
class MacKey {
  readonly id: string;
  readonly #inner = Buffer.alloc(blockBytes + stampLimits.signedTextBytesMax);
  readonly #outer = Buffer.alloc(blockBytes + 32);

  constructor(key: StampKey) {
    this.id = key.id;
    const secret =
      key.secret.length > blockBytes ? hash('sha256', key.secret, 'buffer') : key.secret;
    for (let at = 0; at < blockBytes; at++) {
      const byte = secret[at] ?? 0;
      this.#inner[at] = byte ^ 0x36;
      this.#outer[at] = byte ^ 0x5c;
    }
  }

  /** base64url of the first 16 bytes: 22 characters. */
  mac(text: string): string {
    const length = this.#inner.write(text, blockBytes, 'utf8');
    hash('sha256', this.#inner.subarray(0, blockBytes + length), 'buffer').copy(
      this.#outer,
      blockBytes,
    );
    return hash('sha256', this.#outer, 'buffer').toString('base64url', 0, macBytes);
  }
}

/**
 * Signs and verifies stamps. A dialog's stamp comes back with each of its messages, so both
 * directions remember the last results in bounded generations.
 */
export class Stamper {
  readonly #keys: readonly MacKey[];
  readonly #signer: MacKey;
  #recent = new Map<string, string>();
  #older = new Map<string, string>();

  /** @param keys at least one; the first one signs */
  constructor(keys: readonly StampKey[]) {
    this.#keys = keys.map((key) => new MacKey(key));
    const [signer] = this.#keys;
    if (signer === undefined) throw new Error('Stamper needs at least one key');
    this.#signer = signer;
  }

  /**
   * @param value what is signed; must not contain a line feed
   * @param scope Call-ID, or empty for what outlives a call
   * @returns `<keyId>.<mac>`
   */
  sign(kind: StampKind, value: string, scope: string): string {
    const text = signedText(kind, value, scope);
    const known = this.#remembered(text);
    if (known !== undefined) return known;
    const signature = `${this.#signer.id}.${this.#signer.mac(text)}`;
    this.#remember(text, signature);
    return signature;
  }

  /** Constant time in the signature; false for an unknown key, another kind, value or scope. */
  verify(kind: StampKind, value: string, scope: string, signature: string): boolean {
    const text = signedText(kind, value, scope);
    const known = this.#remembered(text);
    if (known !== undefined && equalInConstantTime(known, signature)) return true;
    const dot = signature.indexOf('.');
    const keyId = signature.slice(0, dot);
    const key = this.#keys.find((candidate) => candidate.id === keyId);
    if (dot < 0 || key === undefined) return false;
    const own = `${key.id}.${key.mac(text)}`;
    if (!equalInConstantTime(own, signature)) return false;
    // Our own text is kept: the one given may be a piece of a whole header and hold it in memory.
    this.#remember(text, own);
    return true;
  }

  #remembered(text: string): string | undefined {
    return this.#recent.get(text) ?? this.#older.get(text);
  }

  #remember(text: string, signature: string): void {
    if (this.#recent.size >= stampLimits.signaturesRemembered) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(text, signature);
  }
}

/** The text that a SIP stamp signs. */
export function stampValue(stamp: Stamp): string {
  return `${stamp.bekey};${stamp.beroute}`;
}

function signedText(kind: StampKind, value: string, scope: string): string {
  const text = `${version}\n${kind}\n${value}\n${scope}`;
  // A longer text would not fit the hash's buffer; its own digest stands for it.
  return text.length > longestSignedText ? hash('sha256', text, 'hex') : text;
}

function equalInConstantTime(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let at = 0; at < a.length; at++) difference |= a.charCodeAt(at) ^ b.charCodeAt(at);
  return difference === 0;
}
