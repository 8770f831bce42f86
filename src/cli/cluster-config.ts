import { stringify } from 'yaml';
import { formatHostPort } from '../config/address.ts';
import type { ClusterPorts, PeerPorts } from './cluster-ports.ts';

/** The one address of a cluster on one machine. */
export const clusterAddress = '127.0.0.1';

/** The configuration file of one peer of `sailring cluster`. */
export function clusterPeerYaml(
  peer: PeerPorts,
  ports: ClusterPorts,
  secret: string,
  rulesFile: string,
): string {
  const listen = (port: number): { address: string; port: number } => ({
    address: clusterAddress,
    port,
  });
  const seeds = ports.peers
    .filter((other) => other !== peer)
    .map((other) => formatHostPort(clusterAddress, other.gossip));
  return stringify({
    name: peer.name,
    gossip: { listen: listen(peer.gossip), seeds, profile: 'fast' },
    link: { listen: listen(peer.link) },
    stamps: { keys: [{ id: 'cluster', secret }] },
    sip: {
      publicAddress: formatHostPort(clusterAddress, ports.sip),
      listeners: [
        { transport: 'udp', ...listen(peer.sip) },
        { transport: 'tcp', ...listen(peer.sip) },
      ],
      internal: listen(peer.internal),
    },
    http: {
      listeners: [listen(peer.http)],
      contextRoots: [{ path: '/', kind: 'converged' }],
      cookies: { sessionCookies: ['CONFSESSION'] },
    },
    rules: { file: rulesFile },
    application: { kind: 'embedded', module: 'demo' },
    admin: { listen: listen(peer.admin) },
    // On one machine nothing is lost on its way, and nobody likes to wait.
    drainQuietMs: 1_000,
    log: { level: 'warn' },
  });
}
