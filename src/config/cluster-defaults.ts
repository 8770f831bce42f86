/** What a configuration's `cluster` leaves out. */
export const clusterDefaults = {
  /** A rolling restart with a new rules file runs two versions meanwhile; this is for a forgotten one. */
  mixedRulesGraceMs: 60_000,
} as const;
