/** What a configuration's `gossip.discovery` leaves out. */
export const discoveryDefaults = {
  /** What others list is asked for again so often; sooner while nobody else was found. */
  pollIntervalMs: 30_000,
  /** Lease of a peer's entry in etcd. */
  etcdTtlMs: 15_000,
  etcdPrefix: '/sailring',
} as const;

/** Rendezvous of peers (docs/discovery.md). */
export const discoveryLimits = {
  /** Seeds of one look, and of all engines together. */
  seedsMax: 256,
  /** A seed that its engine lists no more is tried for so long after. */
  seedRememberedMs: 120_000,
  /** Pause after a failed look, or one that found nobody else; doubles up to the poll interval. */
  backoffMinMs: 500,
  /** Names asked of DNS. */
  dnsNamesMax: 16,
  /** Longest wait for one DNS server's answer, and times each is asked. */
  dnsTimeoutMs: 1_500,
  dnsTries: 2,
  /** A look at DNS takes no longer than this, with all addresses of SRV targets. */
  dnsLookMs: 10_000,
  /** SRV targets whose addresses are asked for at one time. */
  dnsTargetsAtOnce: 16,
  /** Endpoints of one etcd cluster. */
  etcdEndpointsMax: 8,
  /** Whole exchange with one endpoint, connecting included. */
  etcdRequestMs: 2_000,
  /** Largest answer. */
  etcdAnswerBytesMax: 1_048_576,
  /** Largest entry of a peer. */
  etcdEntryBytesMax: 512,
  /** Entry renewed so many times in the life of its lease. */
  etcdRenewalsPerTtl: 3,
  /** A peer that stops gives its entry back within this time, or leaves it to run out. */
  withdrawMs: 1_000,
} as const;
