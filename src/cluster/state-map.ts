import { clusterLimits } from '../config/defaults.ts';
import { decodeState, encodeState, stateDigest, type StateFault } from './codec.ts';
import { compareStored, compareText, isKey, type Entry, type Stored } from './entry.ts';
import { canonicalJson, type Json } from './json.ts';

/** Why a change was not taken: the state would have too many entries or bytes, or no later versions. */
export type ChangeFault = 'entries-full' | 'bytes-full' | 'clock-full';

/** What a merge changed: the keys with a new version. */
export type Merged =
  | { readonly ok: true; readonly changed: ReadonlySet<string> }
  | { readonly ok: false; readonly fault: StateFault };

/**
 * The state that all peers share: one version of each key, the highest wins. Merging is commutative,
 * associative and idempotent, so peers that exchange their states in any order end with the same one.
 */
export class StateMap {
  #entries: ReadonlyMap<string, Stored> = new Map();
  #bytes: Buffer = encodeState(this.#entries);
  #digest: string = stateDigest(this.#bytes);
  #clock = 0;

  /** The highest clock of any version; 0 while nothing was ever decided. */
  get clock(): number {
    return this.#clock;
  }

  /** Equal for equal states. */
  get digest(): string {
    return this.#digest;
  }

  /** The whole state, for others and for the disk; not to be changed. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** The value of a key; undefined when it has none or was removed. */
  get(key: string): Json | undefined {
    return valueOf(this.#entries.get(key));
  }

  /** All entries, removed ones included, sorted by key. */
  entries(): readonly Entry[] {
    return [...this.#entries]
      .map(([key, stored]) => ({ key, version: stored.version, value: valueOf(stored) }))
      .sort((a, b) => compareText(a.key, b.key));
  }

  /**
   * Decides on a key, above all that is known. What is so already stays as it is.
   *
   * @param value undefined removes the key
   * @returns undefined, or why nothing was changed
   */
  set(key: string, value: Json | undefined, author: string): ChangeFault | undefined {
    if (!isKey(key)) throw new Error(`"${key}" is no key of the cluster state`);
    const known = this.#entries.get(key);
    const text = value === undefined ? undefined : canonicalJson(value);
    if (known?.text === text) return undefined;
    if (this.#clock >= clusterLimits.clockMax) return 'clock-full';
    const entries = new Map(this.#entries);
    entries.set(key, { version: { clock: this.#clock + 1, author }, text });
    if (known === undefined && entries.size > clusterLimits.entriesMax) return 'entries-full';
    const bytes = encodeState(entries);
    const isGrowing = bytes.length > this.#bytes.length;
    if (isGrowing && bytes.length > clusterLimits.stateBytesMax) return 'bytes-full';
    this.#replace(entries, bytes);
    return undefined;
  }

  /** Takes in the state of another peer, or of a file. A fault changes nothing. */
  merge(bytes: Uint8Array): Merged {
    const decoded = decodeState(bytes);
    if (!decoded.ok) return decoded;
    const changed = new Set<string>();
    const entries = new Map(this.#entries);
    for (const [key, stored] of decoded.entries) {
      const known = entries.get(key);
      if (known !== undefined && compareStored(stored, known) <= 0) continue;
      entries.set(key, stored);
      changed.add(key);
    }
    if (changed.size === 0) return { ok: true, changed };
    if (entries.size > clusterLimits.mergedEntriesMax)
      return { ok: false, fault: 'too-many-entries' };
    const encoded = encodeState(entries);
    if (encoded.length > clusterLimits.mergedStateBytesMax)
      return { ok: false, fault: 'too-large' };
    this.#replace(entries, encoded);
    return { ok: true, changed };
  }

  #replace(entries: ReadonlyMap<string, Stored>, bytes: Buffer): void {
    this.#entries = entries;
    this.#bytes = bytes;
    this.#digest = stateDigest(bytes);
    for (const { version } of entries.values()) this.#clock = Math.max(this.#clock, version.clock);
  }
}

function valueOf(stored: Stored | undefined): Json | undefined {
  return stored?.text === undefined ? undefined : (JSON.parse(stored.text) as Json);
}
