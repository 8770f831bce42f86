/**
 * Every limit and default of the project, one object a room. A limit names its unit; what reaches
 * one is counted under a reason (docs/limits.md).
 */

export const keyLimits = {
  /** Digests of keys kept in each of two generations. */
  digestsRemembered: 16_384,
} as const;

export const stampLimits = {
  /** Signatures kept in each of two generations. */
  signaturesRemembered: 16_384,
  /** Longest text that is signed (kind, value, Call-ID), in bytes. */
  signedTextBytesMax: 8_192,
} as const;

/** RFC 3261 section 17.1.1.1. */
export const sipTimers = {
  t1Ms: 500,
  t2Ms: 4_000,
  t4Ms: 5_000,
} as const;

export const sipLimits = {
  /** Largest start line and header of one message. */
  headerBytesMax: 65_536,
  /** Largest body. */
  bodyBytesMax: 65_536,
  /** Header fields of one message. */
  headerCountMax: 512,
  /** Longest Request-URI; above it 414. */
  uriBytesMax: 8_192,
} as const;
