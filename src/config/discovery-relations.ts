import { isLoopback } from './address.ts';
import type { DiscoverySettings } from './discovery-schema.ts';
import type { Fault, KeyPath } from './problem.ts';
import { valueFault } from './problem.ts';
import { repeats } from './repeats.ts';

const here: KeyPath = ['gossip', 'discovery'];

type EtcdSettings = NonNullable<DiscoverySettings['etcd']>;

/** Whether there is anything that other peers may be found by. */
export function findsOthers({ dns, etcd }: DiscoverySettings): boolean {
  return dns.length > 0 || etcd !== undefined;
}

/**
 * What contradicts below `gossip.discovery`.
 *
 * @param isInsecure clear text was allowed on this network
 */
export function discoveryFaults(
  { dns, etcd }: DiscoverySettings,
  isInsecure: boolean,
): readonly Fault[] {
  const faults = dns.flatMap(({ type, port }, at) => {
    const path: KeyPath = [...here, 'dns', at];
    if (type === 'address' && port === undefined)
      return [valueFault(path, 'addresses of DNS have no port', 'add port: that of gossip')];
    if (type === 'srv' && port !== undefined)
      return [valueFault([...path, 'port'], 'SRV records have their own port', 'leave port out')];
    return [];
  });
  return etcd === undefined ? faults : [...faults, ...etcdFaults(etcd, isInsecure)];
}

function etcdFaults(etcd: EtcdSettings, isInsecure: boolean): readonly Fault[] {
  const path: KeyPath = [...here, 'etcd'];
  const { endpoints, username, password } = etcd;
  const faults = repeats(endpoints).map((at) =>
    valueFault([...path, 'endpoints', at], 'this endpoint is named twice', 'leave one of them out'),
  );
  if ((username === undefined) !== (password === undefined))
    faults.push(
      valueFault(
        [...path, username === undefined ? 'password' : 'username'],
        'a login to etcd needs both username and password',
        'add the other one, or leave this one out',
      ),
    );
  const open = endpoints.findIndex(isOpen);
  if (password !== undefined && open !== -1 && !isInsecure)
    faults.push(
      valueFault(
        [...path, 'endpoints', open],
        `the password of etcd would be readable on the way to ${endpoints[open]!}`,
        'use https, or set gossip.insecure: true on a network of your own',
      ),
    );
  return [...faults, ...tlsFaults(etcd, [...path, 'tls'])];
}

function tlsFaults({ endpoints, tls }: EtcdSettings, path: KeyPath): readonly Fault[] {
  if (tls === undefined) return [];
  const faults: Fault[] = [];
  if (!endpoints.some((endpoint) => endpoint.startsWith('https:')))
    faults.push(
      valueFault(path, 'no endpoint of etcd is spoken to in TLS', 'use https, or leave tls out'),
    );
  const { certificate, key } = tls;
  if ((certificate === undefined) !== (key === undefined))
    faults.push(
      valueFault(
        [...path, certificate === undefined ? 'key' : 'certificate'],
        'a certificate for etcd needs both certificate and key',
        'add the other one, or leave this one out',
      ),
    );
  return faults;
}

/** In clear text beyond this machine. */
function isOpen(endpoint: string): boolean {
  const { protocol, hostname } = new URL(endpoint);
  return protocol === 'http:' && !isLoopback(hostname.replace(/^\[|\]$/gu, ''));
}
