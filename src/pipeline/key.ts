import { hash } from 'node:crypto';
import { keyLimits } from '../config/defaults.ts';
import type { HttpSubject, KeyResult, Rules, SipSubject } from '../dcr/index.ts';

/** A key, ready for the ring. */
export interface Key {
  readonly kind: 'key';
  /** {@link digestOf} the key: what travels and is hashed. */
  readonly digest: string;
  readonly reason: 'rule' | 'plugin' | 'fallback';
}

/** The key waits for an ENUM answer; derive it again when `number` is known. */
export interface PendingKey {
  readonly kind: 'pending';
  readonly number: string;
}

/**
 * Digest of a key: base64url of the first 16 bytes of its SHA-256, always 22 characters of a URI
 * and cookie safe alphabet.
 */
export function digestOf(key: string): string {
  return hash('sha256', key, 'buffer').toString('base64url', 0, 16);
}

/**
 * Derives keys of initial requests: rules first, then the fallback. Remembers the digests of
 * recent keys, because the requests of one dialog or room derive the same key again and again.
 */
export class KeyDeriver {
  readonly #rules: Rules | undefined;
  #recent = new Map<string, string>();
  #older = new Map<string, string>();

  /** @param rules undefined: no rules are configured, every key is the fallback */
  constructor(rules: Rules | undefined) {
    this.#rules = rules;
  }

  /** Whether converged HTTP traffic is hashed at all (without rules it goes round robin). */
  get hasRules(): boolean {
    return this.#rules !== undefined;
  }

  /** Key of an initial SIP request; the fallback is From tag and Call-ID. */
  sip(subject: SipSubject, fromTag: string, callId: string): Key | PendingKey {
    const result = this.#rules === undefined ? null : this.#rules.sipKey(subject);
    return this.#key(result, () => `${fromTag}\n${callId}`);
  }

  /** Key of an HTTP request to a converged application; the fallback is remote host and port. */
  http(subject: HttpSubject, remoteHost: string, remotePort: number): Key | PendingKey {
    const result = this.#rules === undefined ? null : this.#rules.httpKey(subject);
    return this.#key(result, () => `${remoteHost}\n${remotePort}`);
  }

  #key(result: KeyResult, fallback: () => string): Key | PendingKey {
    if (result === null) {
      return { kind: 'key', digest: this.#digest(fallback()), reason: 'fallback' };
    }
    if (typeof result === 'string') {
      return { kind: 'key', digest: this.#digest(result), reason: this.#rules?.kind ?? 'rule' };
    }
    return { kind: 'pending', number: result.number };
  }

  #digest(key: string): string {
    const known = this.#recent.get(key) ?? this.#older.get(key);
    if (known !== undefined) return known;
    const digest = digestOf(key);
    if (key.length > keyLimits.rememberedKeyLengthMax) return digest;
    if (this.#recent.size >= keyLimits.digestsRemembered) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    // A copy: the key may be a piece of a whole header and hold it in memory.
    this.#recent.set(Buffer.from(key, 'utf16le').toString('utf16le'), digest);
    return digest;
  }
}
