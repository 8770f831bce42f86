/**
 * The configuration of one peer, checked and complete: defaults filled in, secrets read, paths
 * absolute. `parseConfig` and `loadConfig` make it; nothing else does.
 */
export interface Config {
  /** Name of this peer and of its instance; unique in the cluster. */
  readonly name: string;
  readonly cluster: ClusterConfig;
  readonly gossip: GossipConfig;
  readonly link: LinkConfig;
  readonly stamps: StampConfig;
  readonly sip: SipConfig;
  readonly http: HttpConfig;
  readonly rules: RulesConfig;
  readonly application: ApplicationConfig;
  /** Share of the keys relative to other peers; 1 is normal. */
  readonly weight: number;
  readonly rampUp: RampUpConfig;
  /** Absolute path of the folder for the state of the cluster; left out, it is kept in memory alone. */
  readonly dataDir?: string;
  readonly admin: AdminConfig;
  /** Longest time that a drain waits for calls and exchanges under way. */
  readonly drainTimeoutMs: number;
  /** A drain lasts so long, and so long after the last call and SIP request of this instance. */
  readonly drainQuietMs: number;
  readonly log: { readonly level: LogLevel };
}

export interface ClusterConfig {
  readonly name: string;
  /** What a peer does that lost more than half of the others at once. */
  readonly minority: 'serve' | 'unready';
  /** Longest time with other rules than the cluster's before the peer is not ready. */
  readonly mixedRulesGraceMs: number;
}

/** How the share of an instance that joins a running cluster grows. */
export interface RampUpConfig {
  /** Part of the weight with which it begins, and which each period adds; 1 is all at once. */
  readonly loadIncreaseFactor: number;
  readonly periodMs: number;
}

/** Where to listen; port 0 takes any free port. */
export interface ListenAddress {
  /** IP address, IPv6 without brackets. */
  readonly address: string;
  readonly port: number;
}

export interface GossipConfig {
  readonly listen: ListenAddress;
  /** `host:port` that other peers use; without it the address listened on. */
  readonly advertise?: string;
  /** `host:port` of peers to join by. */
  readonly seeds: readonly string[];
  readonly profile: 'fast' | 'lan' | 'wan';
  /** 16, 24 or 32 bytes each: the first encrypts, any decrypts; none: gossip is plain. */
  readonly keys: readonly Uint8Array[];
  /** Addresses and networks whose packets and streams are read; none: all. */
  readonly allow: readonly string[];
  /** Gossip off loopback without encryption was allowed. */
  readonly insecure: boolean;
  /** Packets carry the name of the cluster; serf agents, which know no label, are kept out by it. */
  readonly label: boolean;
  /** A peer that finds no seed is ready all the same. */
  readonly allowAlone: boolean;
  readonly discovery: DiscoveryConfig;
}

/** Where further seeds are found while the peer runs. */
export interface DiscoveryConfig {
  readonly dns: readonly DnsDiscoveryConfig[];
  /** `ip:port` of name servers; empty means those of the system. */
  readonly dnsServers: readonly string[];
  readonly etcd?: EtcdDiscoveryConfig;
  readonly pollIntervalMs: number;
}

export interface DnsDiscoveryConfig {
  readonly name: string;
  /** `srv`: peers are the targets of its SRV records; `address`: its A and AAAA records. */
  readonly type: 'srv' | 'address';
  /** Always there for `address`, never for `srv`. */
  readonly port?: number;
}

export interface EtcdDiscoveryConfig {
  /** `http:` or `https:` addresses of one etcd cluster. */
  readonly endpoints: readonly string[];
  /** Begin of all keys, without a last "/". */
  readonly prefix: string;
  /** An entry vanishes so long after its peer was heard last. */
  readonly ttlMs: number;
  /** Both or neither. */
  readonly username?: string;
  readonly password?: string;
  /** Absolute paths of PEM files; certificate and key both or neither. */
  readonly tls?: { readonly ca?: string; readonly certificate?: string; readonly key?: string };
}

export interface LinkConfig {
  readonly listen: ListenAddress;
  /** `host:port` that other peers use; without it the address listened on. */
  readonly advertise?: string;
  readonly tls?: LinkTls;
  /** Links off loopback without TLS were allowed. */
  readonly insecure: boolean;
}

/** Absolute paths of PEM files. */
export interface LinkTls {
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
}

export interface StampConfig {
  /** At least one; the first signs, all verify. Random where the file names none. */
  readonly keys: readonly StampSecret[];
  readonly onInvalid: 'ignore' | 'reject';
}

export interface StampSecret {
  readonly id: string;
  readonly secret: Uint8Array;
}

export interface SipConfig {
  /** `host:port` of the cluster as clients see it. */
  readonly publicAddress?: string;
  /** Requests that leave name the public address in Via, so that any peer may get the response. */
  readonly useIpLoadBalancerAddressInViaHeaders: boolean;
  /** Further `host` or `host:port` that mean this cluster. */
  readonly aliases: readonly string[];
  /** How an initial request that no rule gives a key finds its instance. */
  readonly algorithm: 'consistent-hash' | 'round-robin';
  readonly listeners: readonly SipListenerConfig[];
  /** UDP and TCP address that the upstream application answers and sends to. */
  readonly internal: InternalSipConfig;
  readonly connections: SipConnectionsConfig;
  readonly dns: SipDnsConfig;
  readonly protection: SipProtectionConfig;
  readonly overload: SipOverloadConfig;
}

export interface SipListenerConfig extends ListenAddress {
  readonly transport: 'udp' | 'tcp' | 'tls' | 'ws' | 'wss';
  /** Whom it serves; `internal` takes messages of applications alone. */
  readonly type: 'default' | 'internal' | 'external';
  /** `host:port` that clients see for this listener; by default made of the public address. */
  readonly advertise?: string;
  /** Sources that must begin a connection with a PROXY header; others may not. */
  readonly proxyProtocol: readonly string[];
  /** Always there for `tls` and `wss`, never for others. */
  readonly tls?: ServerTlsConfig;
}

/** Absolute paths of PEM files; they are read again when they change. */
export interface ServerTlsConfig {
  readonly certificate: string;
  readonly key: string;
  /** Further certificates, by the server name that a client asks for (SNI). */
  readonly servers: readonly {
    readonly name: string;
    readonly certificate: string;
    readonly key: string;
  }[];
  /** Authority of client certificates. */
  readonly clientCa?: string;
  /** `none`: not asked for; `optional`: checked when given; `required`. */
  readonly clientCertificates: 'none' | 'optional' | 'required';
}

export interface InternalSipConfig extends ListenAddress {
  /** `host:port` that the application sends requests to; by default the address listened on. */
  readonly advertise?: string;
}

export interface SipConnectionsConfig {
  /** A connection without traffic is closed after this long. */
  readonly idleMs: number;
  /** A connection is closed at its first quiet moment after this long; 0: never. */
  readonly lifetimeMs: number;
  /** Connections of one source address at one time. */
  readonly perSourceMax: number;
  /** Absolute path of the authorities that TLS servers must bear when a request is sent to them. */
  readonly serverCa?: string;
}

export interface SipDnsConfig {
  /** `ip:port` of name servers; empty means those of the system. */
  readonly servers: readonly string[];
  readonly timeoutMs: number;
}

/** What keeps one source from using up a peer. */
export interface SipProtectionConfig {
  /** Requests per second of one source address; 0: no limit. */
  readonly requestsPerSecond: number;
  /** Requests that one source may send at once. */
  readonly burst: number;
  /** Addresses and networks that no limit binds. */
  readonly allow: readonly string[];
  /** Requests whose User-Agent begins with one of these are dropped without an answer; case is ignored. */
  readonly droppedUserAgents: readonly string[];
}

export interface SipOverloadConfig {
  /** Above this delay of the event loop new dialogs are refused; 0: never. */
  readonly eventLoopDelayMs: number;
  /** Told to clients with 503. */
  readonly retryAfterSeconds: number;
}

export interface HttpConfig {
  readonly listeners: readonly HttpListenerConfig[];
  /** The longest path that a target begins with decides. */
  readonly contextRoots: readonly ContextRootConfig[];
  readonly cookies: CookieConfig;
  /** URL parameters whose value is the key of the session, the first that is there. */
  readonly affinityKeys: readonly string[];
  /** What the application here writes behind the last dot of its session ids; other peers learn it. */
  readonly jvmRoute?: string;
  /** Where requests go when no instance is left. */
  readonly unavailableHost?: UnavailableHostConfig;
  /** Addresses or networks whose forwarding headers are believed. */
  readonly trustedProxies: readonly string[];
  /** A request without `traceparent` gets one. */
  readonly traceparent: boolean;
  readonly connections: HttpConnectionsConfig;
  readonly timeouts: HttpTimeoutsConfig;
  readonly retries: HttpRetriesConfig;
}

export interface HttpListenerConfig extends ListenAddress {
  /** HTTPS. */
  readonly tls?: ServerTlsConfig;
  /** HTTP/2: by ALPN with TLS, by prior knowledge in clear text. */
  readonly http2: boolean;
  /** Sources that must begin a connection with a PROXY header; others may not. */
  readonly proxyProtocol: readonly string[];
  /** Every request is sent to HTTPS of the same host at this port. */
  readonly redirectToHttpsPort?: number;
}

export interface UnavailableHostConfig {
  /** `host:port` of an HTTP server. */
  readonly host: string;
  /** `redirect`: clients are sent there; `proxy`: requests are. */
  readonly mode: 'redirect' | 'proxy';
}

export interface HttpConnectionsConfig {
  /** Client connections of one listener at one time. */
  readonly max: number;
  /** Client connections of one source address at one time. */
  readonly perSourceMax: number;
  /** Requests of one HTTP/2 connection at one time. */
  readonly streamsMax: number;
}

/** Milliseconds; 0 is no limit where the schema allows it. */
export interface HttpTimeoutsConfig {
  /** From the first byte of a request's head to its last. */
  readonly headMs: number;
  /** Between two pieces of a request's body. */
  readonly bodyMs: number;
  /** A kept client connection without a request. */
  readonly idleMs: number;
  /** From the whole request to the head of its response. */
  readonly responseMs: number;
  /** A client that takes no bytes of its response. */
  readonly writeMs: number;
  /** A tunnel (WebSocket) through which nothing passes, either way; 0: for ever. */
  readonly tunnelIdleMs: number;
  /** A whole exchange; 0: for ever. */
  readonly requestMs: number;
}

export interface HttpRetriesConfig {
  /** Instances that one request is offered to, the first included. */
  readonly attemptsMax: number;
  /** Second and later offers, as a share of all requests. */
  readonly budgetPercent: number;
}

export interface ContextRootConfig {
  readonly path: string;
  readonly kind: 'web' | 'converged';
}

export interface CookieConfig {
  readonly bekey: string;
  readonly beroute: string;
  readonly path: string;
  readonly domain?: string;
  readonly secure: boolean;
  readonly sameSite: 'Lax' | 'Strict' | 'None';
  /** Max-Age attribute; without it the cookies end with the browser. */
  readonly maxAgeSeconds?: number;
  /** When stamps are set: with a response that makes a session, or with every one. */
  readonly issue: 'session' | 'always';
  /** Names of cookies whose appearance in a response means a new session. */
  readonly sessionCookies: readonly string[];
}

export interface RulesConfig {
  /** Absolute path of an XML rule file or a plug-in module (`.js`, `.mjs`, `.ts`). */
  readonly file?: string;
  readonly enum?: EnumConfig;
}

export interface EnumConfig {
  readonly suffix: string;
  /** `ip:port` of name servers; empty means those of the system. */
  readonly servers: readonly string[];
  readonly timeoutMs: number;
}

export type ApplicationConfig = EmbeddedConfig | UpstreamConfig;

export interface EmbeddedConfig {
  readonly kind: 'embedded';
  /** Absolute path of the module, or `demo`. */
  readonly module: string;
}

export interface UpstreamConfig {
  readonly kind: 'upstream';
  readonly sip?: UpstreamSipConfig;
  readonly http?: UpstreamHttpConfig;
}

export interface UpstreamSipConfig {
  readonly host: string;
  readonly port: number;
  readonly transport: 'udp' | 'tcp';
  /** Further `ip` or `ip:port` from which this application sends. */
  readonly extraServerNodes: readonly string[];
}

export interface UpstreamHttpConfig {
  readonly host: string;
  readonly port: number;
  /** What the server is spoken to in; `http2` by prior knowledge. */
  readonly protocol: 'http1' | 'http2';
  /** Connections to it; of `http2` each carries many requests. */
  readonly connectionsMax: number;
  /** Requests that wait for one of them. */
  readonly queueMax: number;
  readonly timeouts: UpstreamHttpTimeoutsConfig;
  readonly ejection: EjectionConfig;
}

export interface UpstreamHttpTimeoutsConfig {
  /** TCP connect. */
  readonly connectMs: number;
  /** Waiting for a free connection. */
  readonly queueMs: number;
  /** From the whole request to the head of the response. */
  readonly responseMs: number;
  /** Between two pieces of the response's body. */
  readonly bodyMs: number;
  /** A kept connection without a request. */
  readonly idleMs: number;
}

/** When a server that keeps failing gets no requests for a while. */
export interface EjectionConfig {
  /** Failures in a row (no connection, no response); 0: never ejected. */
  readonly failures: number;
  /** The first pause; each further one is twice as long, up to `maxMs`. */
  readonly baseMs: number;
  readonly maxMs: number;
}

export interface AdminConfig {
  readonly listen: ListenAddress;
  readonly token?: string;
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
