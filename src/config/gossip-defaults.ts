/** Timing of one membership profile; every peer of a cluster uses the same. */
export interface GossipProfile {
  /** One probe starts every this often. */
  readonly probeIntervalMs: number;
  /** A direct ping unanswered this long is tried through relays and over a stream. */
  readonly probeTimeoutMs: number;
  /** One round of news every this often while there is news. */
  readonly gossipIntervalMs: number;
  /** Members that get the news of one round. */
  readonly gossipFanout: number;
  /** A failed member still gets news this long, so that it can refute. */
  readonly gossipToDeadMs: number;
  /** One full sync with a random member every this often, longer above 32 members. */
  readonly syncIntervalMs: number;
  /** Scales the shortest suspicion: mult x log10(N) x probe interval. */
  readonly suspicionMult: number;
  /** The longest suspicion, as a multiple of the shortest. */
  readonly suspicionMaxFactor: number;
  /** A ping to or an answer for one that is held for suspect or dead says so: it can refute at once. */
  readonly buddyRule: boolean;
  /**
   * Worst score of a peer's own health; each point stretches its probes by their length. 0: the peer never
   * doubts itself.
   */
  readonly healthMax: number;
  /** Members asked to ping a target that did not answer. */
  readonly relays: number;
  /** A target that did not answer is pinged over a stream too. */
  readonly streamProbe: boolean;
  /** One piece of news is sent at most mult x ceil(log10(N + 1) + 1/2) times by each member. */
  readonly retransmitMult: number;
  /** A stream that is not done after this long is closed. */
  readonly streamTimeoutMs: number;
  /**
   * One failed member or unknown seed is tried every this often, with probability failed/alive.
   * Infinity: never.
   */
  readonly reconnectIntervalMs: number;
  /** Names among the seeds are looked up again every this often, with probability 3/N. */
  readonly seedPollIntervalMs: number;
}

/** `lan` and `wan` are the timings of HashiCorp memberlist; `fast` finds a dead peer in about 3 s. */
export const gossipProfiles: Readonly<Record<'fast' | 'lan' | 'wan', GossipProfile>> = {
  fast: {
    probeIntervalMs: 500,
    probeTimeoutMs: 200,
    gossipIntervalMs: 100,
    gossipFanout: 3,
    gossipToDeadMs: 30_000,
    syncIntervalMs: 15_000,
    suspicionMult: 4,
    suspicionMaxFactor: 6,
    buddyRule: true,
    healthMax: 8,
    relays: 3,
    streamProbe: true,
    retransmitMult: 4,
    streamTimeoutMs: 5_000,
    reconnectIntervalMs: 10_000,
    seedPollIntervalMs: 30_000,
  },
  lan: {
    probeIntervalMs: 1_000,
    probeTimeoutMs: 500,
    gossipIntervalMs: 200,
    gossipFanout: 3,
    gossipToDeadMs: 30_000,
    syncIntervalMs: 30_000,
    suspicionMult: 4,
    suspicionMaxFactor: 6,
    buddyRule: true,
    healthMax: 8,
    relays: 3,
    streamProbe: true,
    retransmitMult: 4,
    streamTimeoutMs: 10_000,
    reconnectIntervalMs: 10_000,
    seedPollIntervalMs: 30_000,
  },
  wan: {
    probeIntervalMs: 5_000,
    probeTimeoutMs: 3_000,
    gossipIntervalMs: 500,
    gossipFanout: 4,
    gossipToDeadMs: 60_000,
    syncIntervalMs: 60_000,
    suspicionMult: 6,
    suspicionMaxFactor: 6,
    buddyRule: true,
    healthMax: 8,
    relays: 3,
    streamProbe: true,
    retransmitMult: 4,
    streamTimeoutMs: 30_000,
    reconnectIntervalMs: 10_000,
    seedPollIntervalMs: 30_000,
  },
};

/** Sizes of a gossip key: AES-128, AES-192, AES-256. */
export const gossipKeyBytes: readonly number[] = [16, 24, 32];

export const gossipLimits = {
  /** Largest packet that is sent, label and encryption included. */
  packetBytesMax: 1_400,
  /** Largest packet that is read: members of other makes may be set to send larger ones. */
  receivedPacketBytesMax: 8_192,
  /** What the content of a compressed packet may expand to. */
  expandedPacketBytesMax: 16_384,
  /** Packets of one source address (IPv6: its /64) in a second, and at once. */
  packetsPerSecond: 5_000,
  packetsBurst: 10_000,
  /** Streams of one source address (IPv6: its /64) in a second, and at once. */
  streamsPerSecond: 50,
  streamsBurst: 256,
  /** Streams of all sources together in a second, and at once: each may be a join, which costs the most. */
  allStreamsPerSecond: 250,
  allStreamsBurst: 1_000,
  /** Sources whose packets and streams are counted, in each of two generations. */
  sourcesRemembered: 4_096,
  /** Keys held at once; a packet that none opens costs a try with each. */
  keysMax: 16,
  /** Networks that a peer may be told to listen to. */
  allowedSourcesMax: 1_024,
  /** Longest member name in UTF-8. */
  nameBytesMax: 128,
  /** Largest metadata of a member: its tags, encoded. */
  metaBytesMax: 512,
  /** Longest cluster label. */
  labelBytesMax: 255,
  /** Largest single element of a message (a member's state, a message body). */
  elementBytesMax: 8_192,
  /** Largest user state of a full sync: the state of the cluster, and what is wrapped around it. */
  userStateBytesMax: 6_291_456,
  /** Largest user message: it fits one packet beside label and encryption. */
  userMessageBytesMax: 1_080,
  /** Members that a leaving peer tells its intent directly, before the news of its end. */
  leaveIntentsMax: 64,
  /** Highest incarnation believed; the room above it stays for refutation. */
  incarnationMax: 0xffff_ff00,
  /** Members known at once, dead ones included. */
  membersMax: 4_096,
  /** Members with news waiting to be sent. */
  newsMax: 1_024,
  /** Pieces of news tried for the rest of a packet that are too large for it. */
  newsPassedOver: 16,
  /** Accusers that are counted by name; the others are counted together. */
  accusersMax: 64,
  /** Pings that this peer relays for others at once. */
  relayedPingsMax: 256,
  /** Seeds configured, and addresses that one look-up may give. */
  seedsMax: 256,
  /** Seeds dialled at once while alone. */
  joinParallel: 3,
  /** While alone, seeds are tried again after this long, doubling up to the longest. */
  joinBackoffMinMs: 500,
  joinBackoffMaxMs: 10_000,
  /** A peer that joined, or reached what it had lost, exchanges all once more after this long. */
  secondLookMs: 1_000,
  /** Leaving waits this long at most for its news to be sent. */
  leaveTimeoutMs: 1_000,
  /** Members are looked through for those to forget every this often. */
  forgetIntervalMs: 10_000,
  /** Members that left are forgotten after this long. */
  forgetLeftMs: 60_000,
  /** Failed members are forgotten after this long. */
  forgetFailedMs: 3_600_000,
  /** A living twin of our name is answered at most this often. */
  conflictIntervalMs: 5_000,
  /** Bytes read from one stream before it is closed. */
  streamBytesMax: 20_971_520,
  /** What the content of a compressed stream may expand to. */
  expandedStreamBytesMax: 8_388_608,
  /** Streams open at once: so many that others opened, and so many of ours. */
  streamsMax: 128,
  /** Streams that one source address (IPv6: its /64) has open at once. */
  streamsPerSourceMax: 64,
  /** Bytes of all streams of one direction whose message is not whole yet, or whose answer is not read. */
  streamsBytesMax: 33_554_432,
  /**
   * A timer later than this means that the process stood still. It is put off once by the same time, in
   * which waiting packets are read before anyone is judged.
   */
  timerLateMs: 50,
  /** Largest answer to a question of serf, as serf has it. */
  serfResponseBytesMax: 1_024,
  /** Messages of serf being told at once; the oldest give way. */
  serfBroadcastsMax: 64,
  /** Lamport times back to which queries and events are told from repetitions, and how many of one time. */
  serfTimesMax: 512,
  serfIdsPerTimeMax: 64,
  /** Members whose last word on joining and leaving is kept. */
  serfIntentsMax: 4_096,
  /** Highest Lamport time believed: no clock can be driven to its end. */
  lamportTimeMax: 0xffff_ffff_ffff,
  /** What full syncs carry is encoded at most this often because of what serf agents say. */
  serfStateIntervalMs: 100,
  /** Operations on the keys of all members at once. */
  serfQuestionsMax: 8,
  /** Answers of members are waited for this many gossip rounds x ceil(log10(N + 1)). */
  serfQueryTimeoutMult: 32,
  /** Largest state of the cluster; serf's own part of a full sync fits beside it. */
  ownStateBytesMax: 4_194_304,
  /** Attempts to find one port that is free for UDP and TCP. */
  portAttempts: 16,
  /** Receive buffer asked of the system for packets. */
  receiveBufferBytes: 1_048_576,
} as const;

/** Incarnations count seconds since 2020-01-01T00:00:00Z, so a restart outranks its predecessor. */
export const gossipIncarnationEpochSeconds = 1_577_836_800;
