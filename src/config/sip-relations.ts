import { isIP, isIPv6 } from 'node:net';
import {
  canonicalHost,
  formatHostPort,
  isReachedBy,
  isWildcard,
  parseHostPort,
} from './address.ts';
import { applicationAddresses, applicationNode } from './application-addresses.ts';
import type { SipListenerConfig, UpstreamSipConfig } from './config.ts';
import { configDefaults, configLimits } from './defaults.ts';
import type { Fault, KeyPath } from './problem.ts';
import { valueFault } from './problem.ts';
import { repeats } from './repeats.ts';
import type { Settings } from './schema.ts';
import { serverTlsFaults } from './tls-relations.ts';

/** What contradicts below `sip`, and between it and the application's SIP servers. */
export function sipFaults(settings: Settings): Fault[] {
  const { sip } = settings;
  return [
    ...sip.listeners.flatMap((listener, at) => listenerFaults(settings, listener, at)),
    ...internalFaults(settings),
    ...viaFaults(settings),
    ...serverFaults(settings),
    ...nodeFaults(settings),
    ...announcedFaults(settings),
  ];
}

function listenerFaults(settings: Settings, listener: SipListenerConfig, at: number): Fault[] {
  const path: KeyPath = ['sip', 'listeners', at];
  return [
    ...typeFaults(settings, listener, path),
    ...addressFaults(settings, listener, path),
    ...tlsFaults(listener, path),
    ...proxyFaults(listener, path),
  ];
}

function typeFaults(
  { application }: Settings,
  { type }: SipListenerConfig,
  path: KeyPath,
): Fault[] {
  const hasServer = application.kind === 'upstream' && application.sip !== undefined;
  if (type !== 'internal' || hasServer) return [];
  return [
    valueFault(
      [...path, 'type'],
      'an internal listener takes messages of SIP servers, but there is no upstream SIP server',
      'add application: {kind: upstream, sip: {host, port}} or choose another type',
    ),
  ];
}

function addressFaults({ sip }: Settings, listener: SipListenerConfig, path: KeyPath): Fault[] {
  const { address, advertise, type } = listener;
  if (!isWildcard(address) || advertise !== undefined) return [];
  if (type === 'internal')
    return [
      valueFault(
        [...path, 'address'],
        `${address} is no address that an application can send to`,
        'add advertise: host:port to this listener, or write an address of this machine',
      ),
    ];
  if (sip.publicAddress !== undefined) return [];
  return [
    valueFault(
      [...path, 'address'],
      `${address} is no address that clients can send to`,
      'add sip.publicAddress: host:port, which is written into Record-Route, or advertise: host:port to this listener',
    ),
  ];
}

function tlsFaults({ transport, tls }: SipListenerConfig, path: KeyPath): Fault[] {
  const isSecure = transport === 'tls' || transport === 'wss';
  if (tls === undefined) {
    if (!isSecure) return [];
    const message = `a ${transport} listener cannot start without a certificate`;
    return [
      valueFault([...path, 'transport'], message, 'add tls: {certificate, key} to this listener'),
    ];
  }
  if (!isSecure)
    return [
      {
        path: [...path, 'tls'],
        at: 'key',
        message: `a ${transport} listener would not use its certificate: nothing would be encrypted`,
        remedy: `choose transport: ${transport === 'ws' ? 'wss' : 'tls'}, or leave tls out`,
      },
    ];
  return serverTlsFaults(tls, [...path, 'tls']);
}

function proxyFaults({ transport, proxyProtocol }: SipListenerConfig, path: KeyPath): Fault[] {
  if (transport !== 'udp' || proxyProtocol.length === 0) return [];
  return [
    valueFault(
      [...path, 'proxyProtocol'],
      'a PROXY header begins a connection, and UDP has none',
      'leave proxyProtocol out, or choose another transport',
    ),
  ];
}

function internalFaults({ sip: { internal } }: Settings): Fault[] {
  if (!isWildcard(internal.address) || internal.advertise !== undefined) return [];
  return [
    valueFault(
      ['sip', 'internal', 'address'],
      `${internal.address} is no address that an application can answer to`,
      'write the address of this machine that the application reaches, or add sip.internal.advertise: host:port',
    ),
  ];
}

function viaFaults({ sip }: Settings): Fault[] {
  if (!sip.useIpLoadBalancerAddressInViaHeaders || sip.publicAddress !== undefined) return [];
  return [
    valueFault(
      ['sip', 'useIpLoadBalancerAddressInViaHeaders'],
      'there is no public address that Via headers could name',
      'add sip.publicAddress: host:port',
    ),
  ];
}

/** What is delivered to the application must reach it, and must not come back to the cluster. */
function serverFaults(settings: Settings): Fault[] {
  const server = upstreamServer(settings);
  if (server === undefined) return [];
  const path: KeyPath = ['application', 'sip', 'host'];
  const { address } = settings.sip.internal;
  const from = canonicalHost(address);
  const to = canonicalHost(server.host);
  // A socket on all of IPv6 speaks IPv4 as well; a name may have addresses of both.
  const isSplit = isIP(to) !== 0 && isIP(to) !== isIP(from) && !(isWildcard(from) && isIPv6(from));
  const faults: Fault[] = [];
  if (isSplit)
    faults.push(
      valueFault(
        path,
        `${server.host} cannot be reached from ${address}: one is IPv6 and one is IPv4`,
        'write an address of the same family into sip.internal.address',
      ),
    );
  if (isOwnName(settings, { host: to, port: server.port }))
    faults.push(
      valueFault(
        path,
        `the application at ${formatHostPort(server.host, server.port)} would be this cluster itself`,
        'write the address of the server beside the peer',
      ),
    );
  return faults;
}

/** Whoever sends from the address of an application is believed to be it: that must be nobody else. */
function nodeFaults(settings: Settings): Fault[] {
  const server = upstreamServer(settings);
  if (server === undefined) return [];
  const path: KeyPath = ['application', 'sip', 'extraServerNodes'];
  const faults = repeats(applicationAddresses(server))
    .filter((at) => at > 0)
    .map((at) =>
      valueFault(
        [...path, at - 1],
        `${server.extraServerNodes[at - 1]!} is listed already, or is the server itself`,
        'leave one of them out',
      ),
    );
  server.extraServerNodes.forEach((node, at) => {
    if (isOwn(settings, applicationNode(node, server.port)))
      faults.push(
        valueFault(
          [...path, at],
          `${node} is an address of this peer or its cluster, not of the application`,
          'write the address from which the application sends',
        ),
      );
  });
  return faults;
}

function isOwn(settings: Settings, node: { host: string; port: number }): boolean {
  const { sip } = settings;
  const isHere = [...sip.listeners, sip.internal].some((listen) => isReachedBy(listen, node));
  return isHere || isOwnName(settings, node);
}

function isOwnName({ sip }: Settings, node: { host: string; port: number }): boolean {
  const names = [
    ...[...sip.listeners, sip.internal].map(({ advertise }) => advertise),
    sip.publicAddress,
    ...sip.aliases,
  ];
  return names.some((name) => name !== undefined && isNamed(name, node));
}

function isNamed(name: string, node: { host: string; port: number }): boolean {
  const { host, port } = parseHostPort(name) ?? { host: name, port: configDefaults.sipPort };
  return canonicalHost(host) === node.host && port === node.port;
}

/** Gossip carries them in metadata of fixed size; a peer whose own does not fit cannot start. */
function announcedFaults(settings: Settings): Fault[] {
  const server = upstreamServer(settings);
  const { http, link, sip } = settings;
  const applications = server === undefined ? [] : applicationAddresses(server);
  const texts = [
    link.advertise ?? formatHostPort(link.listen.address, link.listen.port),
    sip.internal.advertise ?? formatHostPort(sip.internal.address, sip.internal.port),
    ...applications,
    http.jvmRoute ?? '',
  ];
  const bytes = texts.reduce((sum, text) => sum + text.length, 0);
  if (bytes <= configLimits.announcedBytesMax) return [];
  const [first] = [
    { path: ['application', 'sip', 'host'], length: applications[0]?.length ?? 0 },
    { path: ['link', 'advertise'], length: link.advertise?.length ?? 0 },
    { path: ['sip', 'internal', 'advertise'], length: sip.internal.advertise?.length ?? 0 },
  ].sort((a, b) => b.length - a.length);
  return [
    valueFault(
      first!.path,
      `the addresses and the jvmRoute that this peer announces to others have ${bytes} characters; at most ${configLimits.announcedBytesMax} fit`,
      'write IP addresses or shorter names',
    ),
  ];
}

function upstreamServer({ application }: Settings): UpstreamSipConfig | undefined {
  return application.kind === 'upstream' ? application.sip : undefined;
}
