/** The part of defaults.ts that is about HTTP: too much for one file. Import it from there. */

/** What a configuration's `http` leaves out; `httpLimits` and `httpTimeouts` have the rest. */
export const httpDefaults = {
  tlsPort: 8_443,
  /** Many clients may sit behind one address translator. */
  connectionsPerSource: 1_024,
  /** What RFC 9113 section 6.5.2 calls the least that should be allowed. */
  streamsPerConnection: 100,
  attemptsMax: 3,
  retryBudgetPercent: 20,
  ejectionFailures: 5,
  ejectionBaseMs: 1_000,
  ejectionMaxMs: 30_000,
} as const;

/** HTTP/1.1 as a peer speaks it to clients and to an upstream server. */
export const httpLimits = {
  /** Start line and headers of one head together; above it 431. */
  headBytesMax: 65_536,
  /** Headers of one head, and as many names in Connection; above it 431. */
  headerCountMax: 128,
  /** Request target; above it 414. */
  targetBytesMax: 8_192,
  /** Method; above it 501. */
  methodBytesMax: 32,
  /** Size line of one chunk with its extensions. */
  chunkLineBytesMax: 256,
  /** All trailers of one body. */
  trailerBytesMax: 16_384,
  trailerCountMax: 32,
  /** Body of one request; above it 413. */
  requestBodyBytesMax: 68_719_476_736,
  /** Client connections at one time; further ones are closed at once. */
  connectionsMax: 16_384,
  /** Bytes of pipelined requests held while an earlier one is answered; above it the client waits. */
  pipelinedBytesMax: 65_536,
  /** The same in pieces as they arrived. */
  pipelinedPiecesMax: 1_024,
  /** Body bytes kept to give a request to the next candidate when the first one refuses it. */
  replayBytesMax: 65_536,
  /** The same in pieces as they arrived: each costs memory of its own. */
  replayPiecesMax: 1_024,
  /** Body bytes read and dropped behind an early answer; above it the connection is closed. */
  drainedBytesMax: 262_144,
  /** Least rate of a request body behind its first `bodyMs`, unless it is held back here; below it 408. */
  bodyBytesPerSecondMin: 100,
  /** Small writes of one turn of the event loop are joined up to this. */
  gatheredBytesMax: 16_384,
  /** How often a key may wait for a number's ENUM answer before 503. */
  pendingRoundsMax: 4,
  /** Keys whose instances a peer remembers until the ring changes. */
  digestsOfCandidatesMax: 16_384,
  /** Second and later offers that need no budget, each second. */
  freeRetriesPerSecond: 10,
  /** The budget of further offers is a share of the requests of so many seconds. */
  retryWindowSeconds: 10,
  /** Warnings and errors of one kind that are logged each second; the others are counted. */
  logLinesPerSecond: 5,
  /** Cookies of one name that are looked at. */
  stampCookiesMax: 4,
  /** Longest stamp cookie that is looked at. */
  stampCookieBytesMax: 512,
  /** Session ids (`jsessionid`) of one request that are looked at. */
  sessionIdsMax: 4,
  /** Longest session id that is looked at. */
  sessionIdBytesMax: 256,
  /** Longest host that a redirection may name. */
  locationHostBytesMax: 261,
  /** Trace ids whose random bytes are drawn at a time. */
  traceIdsDrawn: 256,
  /** Connections to an upstream server. */
  upstreamConnectionsMax: 256,
  /** Connections that became tunnels, which are no longer among those; above it 503. */
  upstreamTunnelsMax: 16_384,
  /** Requests that wait for one of them; above it 503. */
  upstreamQueueMax: 1_024,
} as const;

/** HTTP/2 towards clients (RFC 9113); what is not here is as in `httpLimits`. */
export const http2Limits = {
  /** Announced to clients; above it a stream is reset. Up to here a head above `headBytesMax` gets 431. */
  headerListBytesMax: 131_072,
  /** Field lines as they came, each crumb of a cookie one; above it a stream is reset. */
  fieldLinesMax: 512,
  /** Head of a response, as it could at worst be written; a longer one breaks its stream. */
  responseHeadBytesMax: 262_144,
  /** Bytes of one request's body that may wait in the peer; times the streams, of one connection. */
  streamWindowBytes: 65_535,
  /** Bytes of all bodies of one connection that may be on their way. */
  connectionWindowBytes: 1_048_576,
  /** With `streamMegabytes` for each stream it may have; above it a connection gets no more streams. */
  sessionMegabytesMax: 10,
  /** What may wait of one stream, both ways, when its client takes nothing: a link's window, and more. */
  streamMegabytes: 0.5,
  settingsPerFrameMax: 32,
  /** Pieces in which the waiting bytes of one body came: each costs memory of its own. */
  heldPiecesMax: 4_096,
  /** Frames that cannot be read, of one connection; above it the connection is closed. */
  invalidFramesMax: 100,
  /** Streams above those allowed that a connection may open before it is closed. */
  rejectedStreamsMax: 100,
  /** Streams that a client may reset at once, and further ones each second; above it the connection is closed. */
  resetsBurst: 500,
  resetsPerSecond: 50,
  /** The same, stopped while the frames of one read are still looked at. */
  nativeResetsBurst: 4_096,
  /** PING frames, likewise: some clients measure with them. */
  pingsBurst: 2_000,
  pingsPerSecond: 200,
  /** SETTINGS frames, likewise. */
  settingsBurst: 100,
  settingsPerSecond: 10,
  /** A draining connection ends when no request runs; one that always has some ends after this. */
  drainMs: 5_000,
} as const;

/** Times of HTTP, all served by one coarse sweep. */
export const httpTimeouts = {
  /** Grain of all the others. */
  sweepIntervalMs: 250,
  /** From the first byte of a head to its last; above it 408. */
  headMs: 15_000,
  /** A kept connection without a request. */
  idleMs: 65_000,
  /** Between two pieces of a request body; above it 408. */
  bodyMs: 30_000,
  /** From the whole request to the head of the response; above it 504. */
  responseMs: 65_000,
  /** A client that takes no bytes of its response. */
  writeMs: 30_000,
  /** A closed direction waits so long for the client's own end. */
  lingerMs: 2_000,
  /** A tunnel through which nothing passes, either way. */
  tunnelIdleMs: 3_600_000,
  /** A whole exchange; 0: for ever. */
  requestMs: 0,
  /** TCP connect to an upstream server. */
  upstreamConnectMs: 2_000,
  /** A request waits so long for a free upstream connection; above it 504. */
  upstreamQueueMs: 5_000,
  /** From the whole request to the head of the upstream server's response. */
  upstreamResponseMs: 60_000,
  /** Between two pieces of an upstream server's response body. */
  upstreamBodyMs: 300_000,
  /** A kept upstream connection; below the 5 s after which Node's own server closes it. */
  upstreamIdleMs: 4_000,
} as const;

/** HTTP/2 to an upstream server, beside `httpLimits` and `httpTimeouts`. */
export const upstreamHttp2Limits = {
  /** Requests of one session at one time, if the server allows that many. */
  streamsMax: 256,
  /** Requests that wait for one session while it opens; the next one opens another. */
  openingMax: 100,
  /** Requests of one session in all, far below the 2^30 that RFC 9113 section 5.1.1 has numbers for. */
  sessionRequestsMax: 1_000_000,
  /** Sessions that one request is sent on while servers say that they did not process it. */
  triesMax: 3,
  /** Bytes of one response that may wait in the peer (RFC 9113 section 5.2). */
  streamWindowBytes: 262_144,
  /** Bytes of all responses of one session that may be on their way. */
  sessionWindowBytes: 1_048_576,
  /** Memory of one session, in mebibytes, outside of the streams. */
  sessionMemoryMiB: 64,
  /** One request head; that of a client with what peers add. */
  headBytesMax: 131_072,
  /** After a whole response, what is left of its request has so long to go. */
  restMs: 5_000,
  /** Requests wait and nothing has come for so long: the server is asked whether it is there. */
  silenceMs: 15_000,
  /** It has so long to say so. */
  pingMs: 5_000,
  /**
   * It has said so and nothing else has come: so much later it is asked again. gRPC servers take more
   * for abuse.
   */
  pingAgainMs: 310_000,
} as const;

/** Stickiness of HTTP sessions. */
export const httpStickiness = {
  bekeyCookie: 'BEKEY',
  berouteCookie: 'BEROUTE',
  cookieAttributes: 'Path=/; HttpOnly; SameSite=Lax',
  /** Told to the client with 503. */
  retryAfterSeconds: 2,
  /** Pseudonym in Via (RFC 9110 section 7.6.3). */
  viaName: 'sailring',
} as const;

/** A response that sets one of these cookies has made a session. */
export const httpSessionCookies: readonly string[] = [
  'JSESSIONID',
  'connect.sid',
  'PHPSESSID',
  'SESSION',
  'session',
  'sessionid',
  'sid',
  '_session_id',
  'ASP.NET_SessionId',
  '.AspNetCore.Session',
  'laravel_session',
];
