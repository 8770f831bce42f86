/** How the ring follows the members (docs/ring.md). */
export const ringChangeLimits = {
  /** Members that come, and weights that change, wait until nothing more of it came for so long. */
  quietMs: 100,
  /** They wait no longer than this, whatever comes. */
  waitMsMax: 500,
  /** That other peers decide by a ring which is unknown here counts anew after so long. */
  otherRingMs: 1_000,
} as const;

/** How an instance that comes to a running cluster gets its share. */
export const rampUpLimits = {
  /** Instances that began within this time of each other start together: none gets less for it. */
  togetherMs: 30_000,
  /** Each step is news for all: shorter periods take several steps at a time. */
  stepMsMin: 1_000,
} as const;

/** When a peer takes its side of a partition for the smaller one. */
export const quorumLimits = {
  /** Members that failed within this time of each other count as lost at once. */
  lostTogetherMs: 60_000,
} as const;
