/**
 * Every limit and default of the project, one object a room. A limit names its unit; what reaches
 * one is counted under a reason (docs/limits.md).
 */

export * from './cluster-defaults.ts';
export * from './discovery-defaults.ts';
export * from './gossip-defaults.ts';
export * from './http-defaults.ts';
export * from './ring-defaults.ts';

export const keyLimits = {
  /** Digests of keys kept in each of two generations. */
  digestsRemembered: 16_384,
  /** UTF-16 units of a key that is remembered; a longer one is hashed each time. */
  rememberedKeyLengthMax: 256,
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
  /** What the ingress peer may add to both on the way: its Via, Record-Route and a few parameters. */
  ownHeaderBytesMax: 4_096,
  ownHeaderCountMax: 8,
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
  /** Further names and addresses of the cluster. */
  aliasesOfPeerMax: 256,
  /** HTTP context roots. */
  contextRootsMax: 256,
  /** Names of session cookies. */
  sessionCookiesMax: 16,
  affinityKeysMax: 16,
  /** Trusted proxies' addresses and networks. */
  trustedProxiesMax: 256,
  /** Name servers for ENUM, and for SIP. */
  nameServersMax: 8,
  /** Certificates of one TLS listener by server name. */
  tlsServersMax: 64,
  /** Sources of PROXY headers of one listener. */
  proxySourcesMax: 256,
  /** Highest number of connections that one source address may be allowed. */
  connectionsPerSourceMax: 10_000,
  /** Addresses and networks that no rate limit binds. */
  allowedSourcesMax: 256,
  /** Scanners' User-Agents. */
  droppedUserAgentsMax: 64,
  /** Further addresses of one upstream application. */
  extraServerNodesMax: 4,
  /** Addresses that a peer announces, together; the rest of its gossip metadata fits beside them. */
  announcedBytesMax: 352,
} as const;

export const configDefaults = {
  clusterName: 'sailring',
  gossipPort: 7_946,
  linkPort: 7_947,
  adminPort: 7_948,
  sipPort: 5_060,
  sipInternalPort: 5_070,
  httpPort: 8_080,
  /** Longer than nearly all calls, shorter than a night's maintenance. */
  drainTimeoutMs: 600_000,
  /** 64 times T1: the life of a transaction (RFC 3261 section 17). */
  drainQuietMs: 32_000,
} as const;

/** What a configuration's `sip` leaves out; `configDefaults` has the ports of UDP and TCP. */
export const sipDefaults = {
  /** RFC 3261 section 19.1.2. */
  tlsPort: 5_061,
  /** RFC 7118: those of HTTP, because browsers reach nothing else everywhere. */
  wsPort: 80,
  wssPort: 443,
  /** Above the 10 minutes at which clients commonly refresh what keeps a flow open. */
  connectionIdleMs: 660_000,
  /** Never: dialogs of WebSocket clients live on their connection, and a peer cannot see when they end. */
  connectionLifetimeMs: 0,
  /** Many clients may sit behind one address translator. */
  connectionsPerSource: 1_000,
  dnsTimeoutMs: 2_000,
  /** No limit. */
  requestsPerSecond: 0,
  /** Without a `burst`, requests of so many seconds may come at once. */
  burstSeconds: 2,
  /** T1: clients begin to retransmit then (RFC 3261 section 17.1.1.1). */
  eventLoopDelayMs: 500,
  retryAfterSeconds: 5,
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
  /** The same in pieces as they arrived: each costs memory of its own. */
  httpBodyPausePieces: 1_024,
  /** Request body bytes waiting for the module; above it the exchange is reset. */
  httpBodyBytesMax: 4_194_304,
} as const;

/** Where requests of the application go (RFC 3263). */
export const sipDnsLimits = {
  /** Targets of one request, tried one after another. */
  targetsMax: 16,
  /** Records of one answer that are looked at. */
  recordsMax: 32,
  /** Aliases (CNAME) that one look-up follows. */
  aliasesMax: 8,
  /** Look-ups of one request. */
  lookupsPerRequestMax: 48,
  /** Look-ups at one time; above it a name has no records. */
  lookupsRunningMax: 256,
  /** Requests that wait for look-ups; above it they go nowhere. */
  requestsWaitingMax: 4_096,
  /** Answers kept; the oldest goes first. */
  answersRemembered: 10_000,
  /** An answer is kept at least so long, so that a transaction keeps its target (64 times T1). */
  ttlSecondsMin: 32,
  /** An answer is kept no longer, whatever its TTL says. */
  ttlSecondsMax: 3_600,
  /** How long it is kept that there are no records; the SOA may say less, but not less than the least. */
  negativeSecondsMin: 5,
  negativeSecondsMax: 60,
  /** How long it is kept that nobody answered. */
  failureSeconds: 5,
} as const;

export const ringLimits = {
  /** Virtual nodes of a member of weight 1; each gives four points on the ring. */
  vnodesPerWeight: 160,
  /** Look-ups that a ring remembers. */
  lookupsRemembered: 16_384,
} as const;

export const pipelineLimits = {
  /** Instances tried for one request before it is refused. */
  candidatesMax: 3,
  /** Requests that wait for an ENUM answer at one time. */
  pendingRequestsMax: 1_024,
  /** ENUM answers that one request may wait for, one after another. */
  numbersPerRequestMax: 4,
  /** Told with 503 to who asks whether this peer is ready. */
  retryAfterSeconds: 5,
} as const;

/** Where transactions went (docs/sip.md): each peer's memory, which is also its part of the directory. */
export const transactionLimits = {
  /** 64 times T1: what a transaction lasts at most, but for an INVITE that rings. */
  timeoutMs: 32_000,
  /** An INVITE may ring so long: above Timer C (RFC 3261 section 16.6). */
  inviteTimeoutMs: 200_000,
  /** Assignments kept in each of two generations, of INVITEs and of others. */
  invitesRemembered: 262_144,
  othersRemembered: 131_072,
  /** Peers that keep a note of one assignment: the owner of its default key and successors. */
  noteHolders: 2,
  /** After a change of ring or rules it takes so long at most until every peer has heard of it. */
  newsSpreadMs: 10_000,
  /** Peers that all get notes in that time; in a larger cluster the holders alone do. */
  newsNotesMax: 32,
  /** Rings that notes are asked for under, beside the present one. */
  pastRingsMax: 4,
  /** A directory that has not answered by then knows nothing. */
  askTimeoutMs: 250,
  /** Requests that wait for directories at one time; above it they are routed without. */
  asksMax: 4_096,
} as const;

/** What keeps one source, or all together, from using up a peer (docs/sip.md). */
export const admissionLimits = {
  /** Sources whose requests are counted, in each of two generations. */
  sourcesRemembered: 65_536,
  /** Bits of an IPv6 address that name a source: a network of one site has the rest to choose from. */
  v6SourceBits: 64,
  /** Line breaks before a message that are looked past to tell a response from a request. */
  lineBreaksSkippedMax: 16,
  /** An answer of the peer to a UDP source is at most so many times its request. */
  amplificationMax: 1.5,
} as const;

/** How overload is told from the event loop. */
export const eventLoopLimits = {
  sampleIntervalMs: 100,
  /** A share of idle time below this means that work was waiting all the time. */
  idleShareMin: 0.01,
  /** Work without a rest for this many times the delay allowed, in processor time, is overload as well. */
  busyFactor: 4,
  /** Samples in a row above the limit after which a peer is overloaded: one is a pause, no overload. */
  samplesToEnter: 2,
  /** Samples in a row below half the limit after which it is no more. */
  samplesToLeave: 10,
} as const;

/** Memory of one process. */
export const memoryLimits = {
  /** Body bytes after which the buffers that held them are freed. */
  bytesPerCollection: 3_145_728,
} as const;

/** The links between peers; docs/link.md says how they act together. */
export const linkLimits = {
  /** Frames of one batch sent, and bytes after which a batch leaves before the turn ends. */
  framesPerBatch: 64,
  batchBytes: 65_536,
  /** Frames of one batch accepted; a later version may send larger ones. */
  framesPerBatchAccepted: 256,
  /** Largest gRPC message accepted. */
  messageBytesMax: 262_144,
  /** Largest SIP message and largest HTTP head handed to a link. */
  sipMessageBytesMax: 131_072,
  headBytesMax: 131_072,
  /** Body bytes in one frame. */
  dataBytesPerFrame: 32_768,
  /** Bytes of one lane that the connection has not taken yet. Above it SIP is dropped, HTTP pauses. */
  laneQueueBytesMax: 1_048_576,
  /** The same for SIP requests that start something: they yield to those in a dialog. */
  laneQueueInitialBytesMax: 524_288,
  /** The same for questions to a directory and their answers: without one the ring decides. */
  laneQueueAskBytesMax: 393_216,
  /** The same for notes to a directory, which are the first to be dropped. */
  laneQueueNoteBytesMax: 262_144,
  /** Directories that one question may go to. */
  questionsPerAskMax: 32,
  /** Longest texts that a frame may hold. */
  transactionCharactersMax: 32,
  keyDigestCharactersMax: 32,
  nameBytesMax: 64,
  ringVersionBytesMax: 64,
  flowCharactersMax: 64,
  transportCharactersMax: 8,
  addressCharactersMax: 64,
  /** Flow-control window of a connection that this peer dialled. */
  connectionWindowBytes: 1_048_576,
  /** Body bytes of one exchange and direction on their way or refused by the consumer. */
  exchangeWindowBytes: 262_144,
  /** Body bytes that a sender which does not pause may leave with the link, per exchange. */
  exchangeQueueBytesMax: 1_048_576,
  /** Exchanges open at a time, per link and direction. */
  exchangesMax: 4_096,
  /** Calls that have not said yet who they are. */
  strangersMax: 64,
  /** From the dial to the peer's hello, and from an accepted call to its hello. */
  helloTimeoutMs: 2_000,
  /** Together the time in which a dead connection is found. */
  keepaliveIntervalMs: 1_000,
  keepaliveTimeoutMs: 1_000,
  reconnectBackoffMinMs: 100,
  reconnectBackoffMaxMs: 2_000,
  /** A link that was up for so long and broke is dialled again at once, and used as soon as it is up. */
  steadyMs: 1_000,
  /** How long a peer gets no new work after a link to it broke sooner than that. */
  avoidMs: 2_000,
  /**
   * For how long after a link broke its peer may only be held up, as long as nothing refuses the next dial. Longer
   * than gossip takes to be sure.
   */
  silenceMs: 8_000,
  /** How often the TLS files of the links are read again. */
  certificateRefreshMs: 60_000,
} as const;

export const sprayerLimits = {
  /** UDP clients at one time; the one unused for longest makes room. */
  clientsMax: 4_096,
  /** A UDP client is forgotten after this long without a datagram either way. */
  clientIdleMs: 300_000,
  clientSweepMs: 5_000,
  /** Connections of one protocol at one time. */
  connectionsMax: 16_384,
  /** Longest wait for a peer to take a connection. */
  connectTimeoutMs: 1_000,
  /** Pause between two tries to reach a peer that does not answer. */
  watchIntervalMs: 250,
  /** Asked of the system for each UDP socket. */
  receiveBufferBytes: 1_048_576,
  /** Tries to find one free port for UDP and TCP alike. */
  portTriesMax: 8,
} as const;

export const adminLimits = {
  /** Largest body of a request: a rule file and what surrounds it. */
  bodyBytesMax: 2_097_152,
  connectionsMax: 64,
  headerBytesMax: 8_192,
  /** A request must have arrived within this time. */
  requestTimeoutMs: 5_000,
  /** An idle connection is closed after this long. */
  idleTimeoutMs: 5_000,
} as const;

/** Between an accepted connection and its protocol, for SIP and HTTP. */
export const acceptLimits = {
  /** PROXY header, TLS and the upgrade to a SIP WebSocket together. */
  handshakeTimeoutMs: 10_000,
  /** PROXY header of a sprayer, version 2 with its extensions. */
  proxyHeaderBytesMax: 2_048,
  /** How often TLS files are looked at for changes. */
  certificateRefreshMs: 5_000,
} as const;

export const sipSocketLimits = {
  /** Receive buffer asked of the system for each UDP socket. */
  udpReceiveBufferBytes: 4_194_304,
  udpSendBufferBytes: 4_194_304,
  /** Connections of all listeners together, dialled ones and those in their handshake included. */
  connectionsMax: 10_000,
  /** Bytes waiting to be sent on one connection; a slower client is cut off. */
  connectionBacklogBytesMax: 1_048_576,
  /** Answers to pings that wait to be sent on one connection; there are no more for a client that does not read. */
  pongsWaitingMax: 64,
  /** A message that began on a stream must be complete within this time. */
  partialMessageMs: 32_000,
  /** A connection older than its lifetime is closed once no message has passed for the life of a transaction. */
  quietMs: 32_000,
  /** One that is never quiet is closed so long after its lifetime. */
  lifetimeGraceMs: 300_000,
  /** A WebSocket that nothing came from for so long is pinged. */
  webSocketPingMs: 30_000,
  /** Without a sign of life so long after the ping it is cut off. */
  webSocketPongMs: 10_000,
  /** Fragments of one message, and reads of one frame, that a WebSocket client may cut it into. */
  webSocketPiecesMax: 1_024,
  /** Head of the HTTP request that makes a WebSocket. */
  upgradeHeadBytesMax: 16_384,
  upgradeHeaderCountMax: 64,
  /** A connection whose far side sends nothing more is written to again after this time, to see whether it is there. */
  halfCloseProbeMs: 200,
  /** When the peer stops, connections get so long to end in good order. */
  stopGraceMs: 250,
  /** How often connections are looked through for the times of idleness, age and partial messages. */
  sweepIntervalMs: 5_000,
  /** Time for dialling a client or an upstream application. */
  connectTimeoutMs: 4_000,
  /** Connections being dialled at one time. */
  dialsMax: 256,
  /** Messages that wait for one such dial. */
  messagesPerDialMax: 64,
  /** What a datagram can hold (RFC 768: 65,535 with the headers of IPv4 and UDP). */
  datagramBytesMax: 65_507,
} as const;

export const upstreamLimits = {
  /** An upstream SIP server that refused is left alone for this time. */
  unreachableMs: 1_000,
  /** Messages that wait while its TCP connection is dialled. */
  waitingMessagesMax: 1_024,
  /** TCP connections that it may hold open to its peer. */
  connectionsMax: 256,
  /** A TCP connection without traffic, whoever opened it, is closed. */
  connectionIdleMs: 660_000,
  /** Its name is looked up again every this often, and when it was not there. */
  resolveIntervalMs: 30_000,
  /** Attempts to find one port that is free for UDP and TCP. */
  portAttempts: 16,
} as const;

export const cliLimits = {
  /** A command waits so long for a peer's answer. */
  adminTimeoutMs: 60_000,
  /** A signal that repeats within this time is one key press that two processes passed on. */
  signalRepeatMs: 250,
  /** A peer whose parent went away, or that was told to stop, is gone after this long at the latest. */
  stopTimeoutMs: 4_000,
  clusterPeersDefault: 3,
  clusterPeersMax: 32,
  /** Ports of one peer of `sailring cluster`; some are left free. */
  clusterPortsEach: 10,
  /** Where the peers' ports of `sailring cluster` start without `--base-port`. */
  clusterPeerBasePort: 7_100,
  /** Longest wait for all peers of `sailring cluster` to see each other. */
  clusterReadyTimeoutMs: 30_000,
  clusterPollMs: 50,
} as const;

export const peerLimits = {
  /** Time that running HTTP exchanges of other peers get when this one stops. */
  linkStopMs: 2_000,
  /** A peer with seeds waits so long for another member before it serves alone. */
  joinWaitMs: 3_000,
} as const;
