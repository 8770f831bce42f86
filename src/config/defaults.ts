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

export const configLimits = {
  /** Largest configuration file. */
  fileBytesMax: 1_048_576,
  /** Aliases that one YAML file may expand. */
  aliasesMax: 100,
  /** Longest mistyped word for which a suggestion is looked for. */
  suggestionLengthMax: 64,
  /** Problems reported at once. */
  problemsMax: 100,
  /** Largest file that holds a secret. */
  secretFileBytesMax: 4_096,
  /** Shortest stamp secret. */
  stampSecretBytesMin: 16,
  /** Shortest admin token, in characters. */
  adminTokenCharactersMin: 16,
  /** Stamp keys at one time: one signs, the others still verify. */
  stampKeysMax: 8,
  /** Listeners of one protocol. */
  listenersMax: 32,
  /** HTTP context roots. */
  contextRootsMax: 256,
  /** Names of session cookies. */
  sessionCookiesMax: 16,
  /** Trusted proxies' addresses and networks. */
  trustedProxiesMax: 256,
  /** Name servers for ENUM. */
  nameServersMax: 8,
} as const;

export const configDefaults = {
  clusterName: 'sailring',
  gossipPort: 7_946,
  linkPort: 7_947,
  adminPort: 7_948,
  sipPort: 5_060,
  sipInternalPort: 5_070,
  httpPort: 8_080,
  enumTimeoutMs: 2_000,
  /** 64 times T1: the life of a transaction (RFC 3261 section 17). */
  drainTimeoutMs: 32_000,
} as const;

/** Data Centric Rules (docs/dcr.md). */
export const dcrLimits = {
  /** Largest rule file. */
  fileBytesMax: 1_048_576,
  /** Elements inside elements, the root included. */
  depthMax: 64,
  /** Entity and character references of one file. */
  referencesMax: 10_000,
  /** Errors reported of one file; a last one says that there are more. */
  errorsMax: 200,
  /** Longest regular expression. */
  patternCharactersMax: 4_096,
  /** Instructions of one compiled regular expression. */
  patternProgramMax: 20_000,
  /** Elements read of a comma list of name-addrs. */
  listElementsMax: 32,
} as const;

/** ENUM look-ups (RFC 6116). */
export const enumLimits = {
  /** Zone below which numbers are looked up. */
  suffix: 'e164.arpa',
  /** A look-up that takes longer counts as no answer. */
  timeoutMs: 500,
  /** Answers kept; the oldest goes first. */
  answersRemembered: 10_000,
  /** Look-ups at one time; above it a number stands for itself. */
  lookupsRunningMax: 256,
  /** An answer is kept no longer, whatever its TTL says. */
  ttlSecondsMax: 86_400,
  /** An answer is kept at least so long, so that a key holds while a transaction lives. */
  ttlSecondsMin: 32,
  /** How long it is kept that a number has no answer, or that asking failed. */
  negativeSeconds: 60,
  /** Digits of an E.164 number; longer ones are not looked up. */
  digitsMax: 15,
  /** NAPTR records of one answer that are looked at. */
  recordsMax: 32,
  /** Longest URI that a substitution may make. */
  uriCharactersMax: 1_024,
} as const;

/** SIP server transactions of an embedded application. */
export const serverTransactionLimits = {
  /** Transactions at one time, over all; above it 503. Answered ones stay 32 s (RFC 3261 timers H, J, L). */
  transactionsMax: 65_536,
  /** An INVITE that the application has not answered by then gets 100 (RFC 3261 section 17.2.1). */
  tryingAfterMs: 200,
  /** An INVITE without final answer by then gets 408. */
  inviteAnswerMsMax: 600_000,
  /** Timers of all transactions are served together on multiples of this. */
  wakeGrainMs: 10,
} as const;

/** The embedded application: what one module may hold. */
export const applicationLimits = {
  /** Body of one SIP response; above it `respond` throws. */
  sipBodyBytesMax: 65_536,
  /** HTTP exchanges at one time; above it 503. */
  httpExchangesMax: 10_000,
  /** Request body bytes waiting for the module; above it the client is held back. */
  httpBodyPauseBytes: 65_536,
  /** Request body bytes waiting for the module; above it the exchange is reset. */
  httpBodyBytesMax: 4_194_304,
} as const;

export const ringLimits = {
  /** Virtual nodes of a member of weight 1; each gives four points on the ring. */
  vnodesPerWeight: 160,
  /** Look-ups that a ring remembers. */
  lookupsRemembered: 16_384,
} as const;
