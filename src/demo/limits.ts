/** Limits and times of the conference demo; it stands apart from the peer's own defaults. */
export const demoLimits = {
  /** Dialogs at one time; above it 503. */
  callsMax: 50_000,
  /** HTTP visitors remembered over all conferences; the one seen longest ago goes first. */
  visitorsMax: 50_000,
  /** A visitor who has not come back for so long is gone. */
  visitorIdleMs: 600_000,
  /** Participants that one answer shows. */
  participantsShownMax: 200,
  /** Longest name of a conference; the rest is cut off. */
  nameCharactersMax: 64,
  /** Between 180 and 200. */
  answerDelayMs: 20,
  /** How long the user `ring` rings. */
  ringMs: 30_000,
  /** A call that is not acknowledged by then is forgotten: 64·T1 of RFC 3261. */
  acknowledgeMsMax: 32_000,
  /** A call without BYE is forgotten. */
  callMsMax: 14_400_000,
  /** First repetition of a reliable 180 (RFC 3262 section 3); doubles each time. */
  reliableRepeatMs: 500,
  /** Between two looks for what is over. */
  sweepMs: 1_000,
  /** Subscriptions at one time; the one made longest ago goes first. */
  subscriptionsMax: 10_000,
  /** Addresses of record with bindings; the one registered longest ago goes first. */
  recordsMax: 10_000,
  /** Bindings of one address of record. */
  bindingsMax: 10,
  /** Longest life of a binding or subscription; also what is given when none is asked for. */
  expiresSecondsMax: 300,
} as const;
