import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  type CipherGCM,
  type DecipherGCM,
  type KeyObject,
} from 'node:crypto';
import { gossipKeyBytes, gossipLimits } from '../config/defaults.ts';
import type { Decoded } from './message.ts';

/** A key as an operator sees it; nothing of its content can be told from it. */
export interface KeyDescription {
  /** First 8 hexadecimal digits of the key's SHA-256. */
  readonly id: string;
  readonly bits: 128 | 192 | 256;
  /** The one that encrypts. */
  readonly isPrimary: boolean;
}

/**
 * What became of a change. Only `done` changed anything; `unchanged` means that it was so before, the
 * others why it cannot be.
 */
export type KeyOutcome = 'done' | 'unchanged' | 'bad-size' | 'full' | 'unknown' | 'primary';

/** 1: AES-GCM without padding, the one in use since protocol version 2. */
const version = 1;
const nonceBytes = 12;
const tagBytes = 16;

/** What sealing adds to a text. */
export const sealBytes: number = 1 + nonceBytes + tagBytes;

const algorithms: ReadonlyMap<number, 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm'> = new Map([
  [16, 'aes-128-gcm'],
  [24, 'aes-192-gcm'],
  [32, 'aes-256-gcm'],
] as const);

interface Key {
  readonly id: string;
  readonly secret: KeyObject;
}

/**
 * The keys of a cluster's gossip: the first one, the primary, encrypts; each of them decrypts. So a
 * cluster changes its key without a gap: install the new one everywhere, use it everywhere, remove the
 * old one.
 */
export class Keyring {
  #keys: readonly Key[];

  /** The first key is the primary. Throws when there is none, or one is of another size. */
  constructor(keys: readonly Uint8Array[]) {
    if (keys.length === 0) throw new RangeError('a keyring needs a key');
    this.#keys = [];
    for (const key of keys) {
      const outcome = this.install(key);
      if (outcome === 'bad-size' || outcome === 'full') {
        throw new RangeError(`a gossip key cannot be installed: ${outcome}`);
      }
    }
  }

  list(): readonly KeyDescription[] {
    return this.#keys.map(({ id, secret }, at) => ({
      id,
      bits: (secret.symmetricKeySize! * 8) as KeyDescription['bits'],
      isPrimary: at === 0,
    }));
  }

  /** The keys themselves, the primary first: for members that hold keys already, never to be shown. */
  secrets(): readonly Uint8Array[] {
    return this.#keys.map(({ secret }) => secret.export());
  }

  /** The key of this id. */
  secretOf(id: string): Uint8Array | undefined {
    return this.#keys.find((key) => key.id === id)?.secret.export();
  }

  /** Lets a key decrypt. */
  install(key: Uint8Array): KeyOutcome {
    if (!gossipKeyBytes.includes(key.length)) return 'bad-size';
    if (this.#find(key) !== undefined) return 'unchanged';
    if (this.#keys.length >= gossipLimits.keysMax) return 'full';
    this.#keys = [...this.#keys, { id: keyId(key), secret: createSecretKey(key) }];
    return 'done';
  }

  /** Makes an installed key the one that encrypts. */
  use(key: Uint8Array): KeyOutcome {
    const found = this.#find(key);
    if (found === undefined) return 'unknown';
    if (found === this.#keys[0]) return 'unchanged';
    this.#keys = [found, ...this.#keys.filter((other) => other !== found)];
    return 'done';
  }

  /** Takes a key away; never the primary. */
  remove(key: Uint8Array): KeyOutcome {
    const found = this.#find(key);
    if (found === undefined) return 'unknown';
    if (found === this.#keys[0]) return 'primary';
    this.#keys = this.#keys.filter((other) => other !== found);
    return 'done';
  }

  /**
   * Encrypts with the primary key.
   *
   * @param nonce 12 random bytes, never the same twice under one key
   * @param bound bytes that are not carried, but must be the same when it is opened
   */
  seal(nonce: Uint8Array, text: Uint8Array, bound: Uint8Array): Uint8Array {
    const { secret } = this.#keys[0]!;
    // The key's size chose the algorithm, and all of them are of GCM.
    const cipher = createCipheriv(algorithmOf(secret), secret, nonce) as CipherGCM;
    cipher.setAAD(bound);
    const sealed = new Uint8Array(sealBytes + text.length);
    sealed[0] = version;
    sealed.set(nonce, 1);
    sealed.set(cipher.update(text), 1 + nonceBytes);
    cipher.final();
    sealed.set(cipher.getAuthTag(), sealed.length - tagBytes);
    return sealed;
  }

  /** Decrypts with the first key that can. */
  open(sealed: Uint8Array, bound: Uint8Array): Decoded<Uint8Array> {
    if (sealed[0] !== version || sealed.length < sealBytes) {
      return { ok: false, fault: 'not-encrypted' };
    }
    for (const { secret } of this.#keys) {
      const text = openWith(secret, sealed, bound);
      if (text !== undefined) return { ok: true, value: text };
    }
    return { ok: false, fault: 'wrong-key' };
  }

  #find(key: Uint8Array): Key | undefined {
    if (!gossipKeyBytes.includes(key.length)) return undefined;
    const wanted = createSecretKey(key);
    return this.#keys.find(({ secret }) => secret.equals(wanted));
  }
}

function openWith(
  secret: KeyObject,
  sealed: Uint8Array,
  bound: Uint8Array,
): Uint8Array | undefined {
  const nonce = sealed.subarray(1, 1 + nonceBytes);
  const decipher = createDecipheriv(algorithmOf(secret), secret, nonce) as DecipherGCM;
  decipher.setAAD(bound);
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes));
  const text = decipher.update(sealed.subarray(1 + nonceBytes, sealed.length - tagBytes));
  try {
    decipher.final();
  } catch {
    // The tag does not fit: another key, another label, or changed bytes.
    return undefined;
  }
  return text;
}

function algorithmOf(secret: KeyObject): string {
  return algorithms.get(secret.symmetricKeySize!)!;
}

/** What an operator knows a key by: the first 8 hexadecimal digits of its SHA-256. */
export function keyId(key: Uint8Array): string {
  return createHash('sha256').update(key).digest('hex').slice(0, 8);
}
