import { formatHostPort, isLoopback, isReachedBy, isWildcard, overlaps } from './address.ts';
import type { ListenAddress } from './config.ts';
import { discoveryFaults, findsOthers } from './discovery-relations.ts';
import { httpFaults } from './http-relations.ts';
import type { Fault, KeyPath } from './problem.ts';
import { formatPath, valueFault } from './problem.ts';
import { repeats } from './repeats.ts';
import type { Settings } from './schema.ts';
import { sipFaults } from './sip-relations.ts';

/** What no single key can tell: keys that contradict, miss or endanger each other. */
export function checkRelations(settings: Settings): Fault[] {
  return [
    ...gossipFaults(settings),
    ...linkFaults(settings),
    ...stampFaults(settings),
    ...sipFaults(settings),
    ...httpFaults(settings),
    ...listenerFaults(settings),
    ...applicationFaults(settings),
    ...adminFaults(settings),
    ...portFaults(settings),
  ];
}

function gossipFaults({ gossip }: Settings): Fault[] {
  const faults: Fault[] = [];
  const { address } = gossip.listen;
  if (!isLoopback(address) && gossip.keys.length === 0 && !gossip.insecure)
    faults.push(
      valueFault(
        ['gossip', 'listen', 'address'],
        `gossip on ${address} would be open to the network without encryption`,
        'add gossip.keys, listen on loopback, or set gossip.insecure: true on a network of your own',
      ),
    );
  if (isWildcard(address) && gossip.advertise === undefined)
    faults.push(noAdvertise('gossip', address));
  faults.push(...discoveryFaults(gossip.discovery, gossip.insecure));
  if (!gossip.allowAlone && gossip.seeds.length === 0 && !findsOthers(gossip.discovery))
    faults.push(
      valueFault(
        ['gossip', 'allowAlone'],
        'a peer without seeds that may not be alone never becomes ready',
        'add gossip.seeds or gossip.discovery, or set gossip.allowAlone: true',
      ),
    );
  return faults;
}

function linkFaults({ link }: Settings): Fault[] {
  const faults: Fault[] = [];
  const { address } = link.listen;
  if (!isLoopback(address) && link.tls === undefined && !link.insecure)
    faults.push(
      valueFault(
        ['link', 'listen', 'address'],
        `links on ${address} without TLS would let anyone inject requests`,
        'add link.tls, listen on loopback, or set link.insecure: true on a network of your own',
      ),
    );
  if (isWildcard(address) && link.advertise === undefined)
    faults.push(noAdvertise('link', address));
  return faults;
}

function noAdvertise(room: 'gossip' | 'link', address: string): Fault {
  return valueFault(
    [room, 'listen', 'address'],
    `${address} is no address that other peers can use`,
    `add ${room}.advertise: host:port`,
  );
}

function stampFaults(settings: Settings): Fault[] {
  const { stamps, gossip } = settings;
  const faults = repeats(stamps.keys.map((key) => key.id)).map((at) =>
    valueFault(
      ['stamps', 'keys', at, 'id'],
      `a second stamp key has the id "${stamps.keys[at]!.id}"`,
      'give each key an id of its own',
    ),
  );
  if (stamps.keys.length > 0) return faults;
  const open = listenAddresses(settings).find(
    ({ listen, room }) => room !== 'admin' && !isLoopback(listen.address),
  );
  if (open !== undefined)
    faults.push({
      path: ['stamps', 'keys'],
      at: 'key',
      message: `${formatPath(open.path)} is off loopback, but no stamp keys are configured`,
      remedy: 'add stamps.keys: [{id, secret}], the same at all peers',
    });
  else if (gossip.seeds.length > 0 || findsOthers(gossip.discovery))
    faults.push({
      path: ['stamps', 'keys'],
      at: 'key',
      message: 'this peer joins others, but no stamp keys are configured',
      remedy: 'add stamps.keys: [{id, secret}], the same at all peers',
    });
  return faults;
}

function listenerFaults({ http, sip }: Settings): Fault[] {
  if (http.listeners.length > 0 || sip.listeners.length > 0) return [];
  return [
    {
      path: [],
      at: 'key',
      message: 'neither sip.listeners nor http.listeners names an address',
      remedy: 'add one, for example sip: {listeners: [{transport: udp}]}',
    },
  ];
}

function applicationFaults({ application, sip, http }: Settings): Fault[] {
  if (application.kind === 'embedded') return [];
  const faults: Fault[] = [];
  const upstream = application;
  if (upstream.sip === undefined && upstream.http === undefined)
    faults.push(
      valueFault(
        ['application'],
        'an upstream application needs a SIP server, an HTTP server or both',
        'add application.sip: {host, port} or application.http: {host, port}',
      ),
    );
  else if (upstream.http === undefined && http.listeners.length > 0) faults.push(notServed('http'));
  else if (upstream.sip === undefined && sip.listeners.length > 0) faults.push(notServed('sip'));
  if (upstream.sip === undefined) return [...faults, ...httpLoop(http.listeners, upstream.http)];
  if (!isLoopback(upstream.sip.host) && isLoopback(sip.internal.address))
    faults.push(
      valueFault(
        ['application', 'sip', 'host'],
        `${upstream.sip.host} cannot answer to ${sip.internal.address}`,
        'set sip.internal.address to an address of this machine that the application reaches',
      ),
    );
  const server = upstream.sip;
  const own = [...sip.listeners, sip.internal];
  if (own.some((listen) => isReachedBy(listen, server)))
    faults.push(loop('sip', upstream.sip.host, upstream.sip.port));
  return [...faults, ...httpLoop(http.listeners, upstream.http)];
}

function notServed(protocol: 'sip' | 'http'): Fault {
  return valueFault(
    [protocol, 'listeners'],
    `${protocol}.listeners take requests that no application serves`,
    `add application.${protocol}: {host, port} or leave ${protocol}.listeners out`,
  );
}

function httpLoop(
  listeners: readonly ListenAddress[],
  upstream: { host: string; port: number } | undefined,
): Fault[] {
  if (upstream === undefined || !listeners.some((listen) => isReachedBy(listen, upstream)))
    return [];
  return [loop('http', upstream.host, upstream.port)];
}

function loop(protocol: 'sip' | 'http', host: string, port: number): Fault {
  return valueFault(
    ['application', protocol, 'port'],
    `the application at ${formatHostPort(host, port)} would be this peer itself`,
    'write the address of the server beside the peer',
  );
}

function adminFaults({ admin }: Settings): Fault[] {
  if (isLoopback(admin.listen.address) || admin.token !== undefined) return [];
  return [
    valueFault(
      ['admin', 'listen', 'address'],
      `the admin server on ${admin.listen.address} would be open to the network`,
      'add admin.token or listen on loopback',
    ),
  ];
}

interface Listening {
  readonly room: string;
  readonly path: KeyPath;
  readonly listen: ListenAddress;
  readonly transports: readonly ('udp' | 'tcp')[];
}

function listenAddresses({ sip, http, gossip, link, admin }: Settings): Listening[] {
  const one = (
    path: KeyPath,
    listen: ListenAddress,
    ...transports: ('udp' | 'tcp')[]
  ): Listening => ({ room: String(path[0]), path, listen, transports });
  return [
    ...sip.listeners.map((listener, at) =>
      one(['sip', 'listeners', at], listener, listener.transport === 'udp' ? 'udp' : 'tcp'),
    ),
    one(['sip', 'internal'], sip.internal, 'udp', 'tcp'),
    ...http.listeners.map((listener, at) => one(['http', 'listeners', at], listener, 'tcp')),
    one(['gossip', 'listen'], gossip.listen, 'udp', 'tcp'),
    one(['link', 'listen'], link.listen, 'tcp'),
    one(['admin', 'listen'], admin.listen, 'tcp'),
  ];
}

/** "Declared transports = bound sockets": two that want one port would fail at start. */
function portFaults(settings: Settings): Fault[] {
  const all = listenAddresses(settings);
  return all.flatMap((later, at) => {
    const earlier = all
      .slice(0, at)
      .find(
        (other) =>
          overlaps(other.listen, later.listen) &&
          other.transports.some((transport) => later.transports.includes(transport)),
      );
    if (earlier === undefined) return [];
    return [
      valueFault(
        [...later.path, 'port'],
        `${formatPath(later.path)} and ${formatPath(earlier.path)} both want port ${later.listen.port}`,
        'give one of them another port',
      ),
    ];
  });
}
