import { cliLimits, configDefaults } from '../config/defaults.ts';

/** Ports of one peer, all on 127.0.0.1. */
export interface PeerPorts {
  readonly name: string;
  /** UDP and TCP. */
  readonly sip: number;
  /** UDP and TCP, for the application. */
  readonly internal: number;
  readonly http: number;
  readonly admin: number;
  /** UDP and TCP. */
  readonly gossip: number;
  readonly link: number;
}

export interface ClusterPorts {
  /** UDP and TCP of the sprayer. */
  readonly sip: number;
  readonly http: number;
  readonly peers: readonly PeerPorts[];
}

/** A port that must be free, and what it is for. */
export interface WantedPort {
  readonly port: number;
  readonly transports: readonly ('udp' | 'tcp')[];
  readonly purpose: string;
}

/**
 * The ports of a cluster. The sprayer takes `basePort` (SIP) and the next (HTTP), without a base
 * port 5060 and 8080. Peer number n, from 1, takes a block that starts 10·n above the base, or above
 * 7100: SIP, internal SIP, HTTP, admin, gossip, link.
 */
export function clusterPorts(peerCount: number, basePort: number | undefined): ClusterPorts {
  const peerBase = basePort ?? cliLimits.clusterPeerBasePort;
  return {
    sip: basePort ?? configDefaults.sipPort,
    http: basePort === undefined ? configDefaults.httpPort : basePort + 1,
    peers: Array.from({ length: peerCount }, (_, at) => {
      const block = peerBase + cliLimits.clusterPortsEach * (at + 1);
      return {
        name: `peer-${at + 1}`,
        sip: block,
        internal: block + 1,
        http: block + 2,
        admin: block + 3,
        gossip: block + 4,
        link: block + 5,
      };
    }),
  };
}

/** The highest base port with which `peerCount` peers still find room. */
export function basePortMax(peerCount: number): number {
  return 65_535 - cliLimits.clusterPortsEach * (peerCount + 1);
}

export function wantedPorts(ports: ClusterPorts): WantedPort[] {
  const both = ['udp', 'tcp'] as const;
  const tcp = ['tcp'] as const;
  return [
    { port: ports.sip, transports: both, purpose: 'SIP of the sprayer' },
    { port: ports.http, transports: tcp, purpose: 'HTTP of the sprayer' },
    ...ports.peers.flatMap((peer): WantedPort[] => [
      { port: peer.sip, transports: both, purpose: `SIP of ${peer.name}` },
      { port: peer.internal, transports: both, purpose: `internal SIP of ${peer.name}` },
      { port: peer.http, transports: tcp, purpose: `HTTP of ${peer.name}` },
      { port: peer.admin, transports: tcp, purpose: `admin of ${peer.name}` },
      { port: peer.gossip, transports: both, purpose: `gossip of ${peer.name}` },
      { port: peer.link, transports: tcp, purpose: `link of ${peer.name}` },
    ]),
  ];
}
