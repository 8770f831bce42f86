import type { DiscoveryConfig } from '../../config/index.ts';
import { DnsRendezvous } from './dns-rendezvous.ts';
import { Discovery, type DiscoveryOptions } from './discovery.ts';
import { EtcdRendezvous } from './etcd-rendezvous.ts';
import type { Rendezvous, RendezvousPeer } from './rendezvous.ts';

export interface ConfiguredDiscoveryOptions extends Omit<DiscoveryOptions, 'rendezvous'> {
  readonly config: DiscoveryConfig;
  /** Name of the cluster. */
  readonly cluster: string;
  readonly self: RendezvousPeer;
}

/** All rendezvous that the configuration names; with none it does nothing. */
export function createDiscovery(options: ConfiguredDiscoveryOptions): Discovery {
  const { config, cluster, self, counters, log } = options;
  const { dns, dnsServers: servers, etcd, pollIntervalMs } = config;
  const shared = { self, pollIntervalMs, counters, log };
  const rendezvous: Rendezvous[] = dns.map(
    (name) => new DnsRendezvous({ name, servers, ...shared }),
  );
  if (etcd !== undefined) rendezvous.push(new EtcdRendezvous({ etcd, cluster, ...shared }));
  return new Discovery({ ...options, rendezvous });
}
