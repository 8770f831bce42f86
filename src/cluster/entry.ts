import { clusterLimits } from '../config/defaults.ts';
import type { Json } from './json.ts';

/** Orders what was decided about one key. */
export interface Version {
  /** Higher than any that the author knew: Lamport's clock. */
  readonly clock: number;
  /** Name of the peer that took the decision in. */
  readonly author: string;
}

/** What is known of one key. */
export interface Entry {
  readonly key: string;
  readonly version: Version;
  /** Undefined: removed, which must be remembered so that an older value does not come back. */
  readonly value: Json | undefined;
}

/** An entry as it is kept: its value as {@link canonicalJson}. */
export interface Stored {
  readonly version: Version;
  readonly text: string | undefined;
}

/**
 * Positive when `a` wins over `b`, 0 when they are the same. The value decides between two that bear
 * one version: an author that lost its state may count anew. So the order is total, and peers that
 * got the same entries in any order agree.
 */
export function compareStored(a: Stored, b: Stored): number {
  if (a.version.clock !== b.version.clock) return a.version.clock - b.version.clock;
  const byAuthor = compareText(a.version.author, b.version.author);
  return byAuthor === 0 ? compareText(a.text ?? '', b.text ?? '') : byAuthor;
}

/** `rules`, `policy`, or `instance/` and a name; later versions may have others of this form. */
export function isKey(text: string): boolean {
  return /^[a-z]{1,16}(?:\/[A-Za-z0-9._-]{1,64})?$/.test(text);
}

export function isVersion(clock: unknown, author: unknown): boolean {
  const isClock = Number.isSafeInteger(clock) && (clock as number) > 0;
  if (!isClock || (clock as number) > clusterLimits.clockMax) return false;
  return typeof author === 'string' && /^[A-Za-z0-9._-]{1,64}$/.test(author);
}

/** By code units: no locale has a say. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
