/** What a configuration's `cluster` leaves out. */
export const clusterDefaults = {
  /** A rolling restart with a new rules file runs two versions meanwhile; this is for a forgotten one. */
  mixedRulesGraceMs: 60_000,
} as const;

/** Calls of the instance, which a drain waits for. */
export const dialogLimits = {
  /** Calls told apart at one time; above it the oldest is forgotten. */
  callsMax: 262_144,
  /** Branches of one call that were taken up; above it the oldest is forgotten. */
  forksMax: 16,
  /** Dialogs that ended within the last transaction time-out; above it the oldest is forgotten. */
  endedMax: 65_536,
  /** A call that rings longer than Timer C has ended unseen (RFC 3261 section 16.6). */
  earlyMs: 200_000,
  /** A call whose BYE was never seen is forgotten. */
  confirmedMs: 86_400_000,
} as const;

/** What a peer does between its start and its end. */
export const lifeLimits = {
  /** Whether its instance is busy is looked at every this often. */
  pollIntervalMs: 250,
  /** Calls whose end nobody told are looked for every this often: that walks all of them. */
  sweepIntervalMs: 10_000,
  /** Others go on sending new sessions until they heard that an instance drains. */
  newsMs: 1_000,
  /** How far a drain has come is told in the log every this often. */
  progressIntervalMs: 10_000,
  /** From disabling to the end of its sessions, where no other time is given: 64 times T1. */
  quiesceMs: 32_000,
} as const;

/** The state that all peers share (docs/cluster-state.md). */
export const clusterLimits = {
  /** Entries that operators may make; removed ones count, for they must be remembered. */
  entriesMax: 4_096,
  /** Entries that two sides of a partition may have made together; above it nothing is merged. */
  mergedEntriesMax: 8_192,
  /** Largest state that a change may lead to, encoded. */
  stateBytesMax: 2_359_296,
  /** Largest state that is read or merged: a full sync carries it beside what serf agents tell of all members. */
  mergedStateBytesMax: 2_981_888,
  /** Clock values above it are not believed: there would be no room for later changes. */
  clockMax: 281_474_976_710_655,
  /** Digests of states that were taken in, remembered to tell who is ahead. */
  digestsRemembered: 1_024,
  /** A peer that sees another state waits up to so long for each member of the cluster before it asks. */
  syncSpreadPerMemberMs: 5,
  syncSpreadMaxMs: 5_000,
  /** It asks another member when the first one brought nothing for so long. */
  syncRetryMs: 1_000,
  /** Different rules among the peers are told in the log when they last longer. */
  mixedRulesNoticeMs: 5_000,
} as const;

/** Where a peer keeps the state of the cluster and gossip keys that were changed (`dataDir`). */
export const stateFolderLimits = {
  /** Files that could not be used and were set aside; the oldest makes room. */
  setAsideMax: 5,
  /** A write that failed is tried again after this long, doubling up to the longest. */
  retryMinMs: 1_000,
  retryMaxMs: 60_000,
} as const;
