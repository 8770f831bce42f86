import { keyLimits } from '../config/defaults.ts';
import { Generations } from './generations.ts';
import type { HttpSubject, KeyResult, Rules, SipSubject } from '../dcr/index.ts';
import { sha256Of16 } from './sha256.ts';

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
  return sha256Of16(key);
}

/** What a SIP request has in place of a key that no rule gives. */
export function defaultKey(fromTag: string, callId: string): string {
  return `${fromTag}\n${callId}`;
}

/**
 * Derives keys of initial requests: rules first, then the fallback. Remembers the digests of
 * recent keys, because the requests of one dialog or room derive the same key again and again.
 */
export class KeyDeriver {
  readonly #rules: Rules | undefined;
  readonly #digests = new Generations<string>(keyLimits.digestsRemembered);

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
    return result === null ? this.#fallback(defaultKey(fromTag, callId)) : this.#key(result);
  }

  /** Digest of the key that a SIP request has where no rule gives one; all messages of a transaction share it. */
  defaultDigest(fromTag: string, callId: string): string {
    return this.#digest(defaultKey(fromTag, callId));
  }

  /** Key of an HTTP request to a converged application; the fallback is remote host and port. */
  http(subject: HttpSubject, remoteHost: string, remotePort: number): Key | PendingKey {
    const result = this.#rules === undefined ? null : this.#rules.httpKey(subject);
    return result === null ? this.#fallback(`${remoteHost}\n${remotePort}`) : this.#key(result);
  }

  #fallback(key: string): Key {
    return { kind: 'key', digest: this.#digest(key), reason: 'fallback' };
  }

  #key(result: Exclude<KeyResult, null>): Key | PendingKey {
    if (typeof result === 'string') {
      return { kind: 'key', digest: this.#digest(result), reason: this.#rules?.kind ?? 'rule' };
    }
    return { kind: 'pending', number: result.number };
  }

  #digest(key: string): string {
    const known = this.#digests.get(key);
    if (known !== undefined) return known;
    const digest = digestOf(key);
    if (key.length <= keyLimits.rememberedKeyLengthMax) this.#digests.set(key, digest);
    return digest;
  }
}
