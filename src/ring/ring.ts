/** Immutable snapshot of the enabled members and their weights. Equal members give equal rings. */
export interface Ring {
  /** Digest of the sorted names and weights; equal on all peers with equal views. */
  readonly version: string;
  readonly members: readonly RingMember[];
  /** Owner of a key digest, or undefined when the ring is empty. */
  owner(keyDigest: string): string | undefined;
  /** At most `count` different members in ring order, the owner first. */
  successors(keyDigest: string, count: number): readonly string[];
}

export interface RingMember {
  readonly name: string;
  /** Relative share of the keys; 1 is the normal weight. */
  readonly weight: number;
}
