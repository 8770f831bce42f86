import { hash } from 'node:crypto';
import HashRing from 'hashring';
import { ringLimits } from '../config/defaults.ts';

/** Immutable snapshot of the enabled members and their weights. Equal members give equal rings. */
export interface Ring {
  /** Digest of the sorted names and weights; equal on all peers with equal views. */
  readonly version: string;
  /** Sorted by name. */
  readonly members: readonly RingMember[];
  /** Owner of a key digest, or undefined when the ring is empty. */
  owner(keyDigest: string): string | undefined;
  /** At most `count` different members in ring order, the owner first. */
  successors(keyDigest: string, count: number): readonly string[];
}

export interface RingMember {
  /** Letters, digits, `.`, `_`, `-`; the points on the ring come from it. */
  readonly name: string;
  /** Relative share of the keys; 1 is the normal weight, 0 takes the member off the ring. */
  readonly weight: number;
}

/** `hashring` computes points from a default of its own when it is given exactly this number. */
const vnodesOfLibraryDefault = 40;

/**
 * SHA-256 where the library would use MD5, which a FIPS build of Node refuses. One-shot hashing into
 * text and from there into bytes costs a third of hashing into bytes.
 */
function hashPoint(key: string): Buffer {
  return Buffer.from(hash('sha256', key, 'binary'), 'latin1');
}

/**
 * Builds the ring over `hashring`. Each member gets an explicit number of virtual nodes, because the
 * library's own shares round differently as members come and go and would move keys between others.
 */
export function createRing(members: readonly RingMember[]): Ring {
  const sorted = enabled(members);
  const servers = Object.fromEntries(
    sorted.map(({ name, weight }) => [name, { vnodes: vnodesOf(weight) }]),
  );
  const ring = new HashRing(servers, hashPoint, { 'max cache size': ringLimits.lookupsRemembered });
  return Object.freeze({
    version: versionOf(sorted),
    members: Object.freeze(sorted),
    owner: (keyDigest: string) => (sorted.length === 0 ? undefined : ring.get(keyDigest)),
    successors: (keyDigest: string, count: number) =>
      sorted.length === 0 ? [] : ring.range(keyDigest, Math.min(count, sorted.length), true),
  });
}

function vnodesOf(weight: number): number {
  const vnodes = Math.max(1, Math.round(ringLimits.vnodesPerWeight * weight));
  return vnodes === vnodesOfLibraryDefault ? vnodesOfLibraryDefault + 1 : vnodes;
}

/** Version that {@link createRing} would give these members; far cheaper than building the ring. */
export function ringVersion(members: readonly RingMember[]): string {
  return versionOf(enabled(members));
}

function enabled(members: readonly RingMember[]): RingMember[] {
  return members
    .filter((member) => member.weight > 0)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function versionOf(sorted: readonly RingMember[]): string {
  const text = sorted.map(({ name, weight }) => `${name}=${weight}`).join('\n');
  return hash('sha256', text, 'buffer').toString('base64url', 0, 9);
}
