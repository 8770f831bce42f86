import { isIP, isIPv6 } from 'node:net';
import { sipDnsLimits } from '../../config/defaults.ts';
import type { SipTransport } from '../../pipeline/arrival.ts';
import type { SipDestination, SipTarget } from '../../pipeline/sip-target.ts';
import { parseDnsName } from './dns-name.ts';
import type { DnsRecords, DnsType } from './dns-message.ts';
import { orderAddresses, orderServers } from './srv.ts';

/** What is known of a name; undefined when it must be looked up first. */
export type Look = <Type extends DnsType>(
  name: string,
  type: Type,
) => readonly DnsRecords[Type][] | undefined;

export interface TargetWorld {
  /** Transports that this peer can send on. */
  readonly transports: ReadonlySet<SipTransport>;
  /** Address families that it can send to; default both. */
  readonly families: readonly (4 | 6)[];
  /** Names that this machine knows itself, with their addresses. */
  readonly hosts: ReadonlyMap<string, readonly string[]>;
  readonly look: Look;
}

/** A host whose addresses are wanted. */
interface Hop {
  readonly transport: SipTransport;
  readonly host: string;
  readonly port: number;
}

interface TransportFacts {
  readonly defaultPort: number;
  /** Labels in front of the domain under which its SRV records stand. */
  readonly srv: string;
  readonly isSecure: boolean;
}

/** RFC 3263 section 4.1 and RFC 7118 sections 5.3 and 10. */
const facts: Readonly<Record<SipTransport, TransportFacts>> = {
  UDP: { defaultPort: 5_060, srv: '_sip._udp', isSecure: false },
  TCP: { defaultPort: 5_060, srv: '_sip._tcp', isSecure: false },
  TLS: { defaultPort: 5_061, srv: '_sips._tcp', isSecure: true },
  WS: { defaultPort: 80, srv: '_sip._ws', isSecure: false },
  WSS: { defaultPort: 443, srv: '_sips._ws', isSecure: true },
};

const services: ReadonlyMap<string, SipTransport> = new Map([
  ['sip+d2u', 'UDP'],
  ['sip+d2t', 'TCP'],
  ['sips+d2t', 'TLS'],
]);

/** What a `transport` parameter means in a `sips` URI (RFC 3261 section 26.2.2): never less than TLS. */
const secured: Readonly<Record<SipTransport, SipTransport | undefined>> = {
  UDP: undefined,
  TCP: 'TLS',
  TLS: 'TLS',
  WS: 'WSS',
  WSS: 'WSS',
};

/**
 * Where requests for a destination may be sent, in the order to try (RFC 3263 section 4), as far as
 * it is known: `look` is asked for what is missing, so that the caller can fetch it and call again.
 *
 * @param seed decides among equals, the same for all messages of a transaction (section 4.4)
 */
export function findTargets(
  destination: SipDestination,
  seed: string,
  world: TargetWorld,
): readonly SipTarget[] {
  const { scheme, port } = destination;
  if (scheme !== 'sip' && scheme !== 'sips') return [];
  const isNumeric = isIP(destination.host) !== 0;
  const host = isNumeric ? destination.host : parseDnsName(destination.host);
  if (host === undefined || isInvalid(host)) return [];
  const chosen = chooseTransport(destination, world.transports);
  if (chosen === undefined) return [];
  const isFixed = isNumeric || port !== undefined || world.hosts.has(host) || isLocal(host);
  const hops = isFixed
    ? [{ transport: chosen, host, port: port ?? facts[chosen].defaultPort }]
    : hopsOf(host, destination, chosen, seed, world);
  return targetsOf(hops, host, seed, world);
}

/** The transport that URI and this peer allow where the DNS does not choose one. */
function chooseTransport(
  { scheme, transport }: SipDestination,
  transports: ReadonlySet<SipTransport>,
): SipTransport | undefined {
  const isSips = scheme === 'sips';
  const wanted = transport === undefined ? plainTransports(isSips) : [transport];
  return wanted
    .map((name) => (isSips ? secured[name] : name))
    .find((name) => name !== undefined && transports.has(name));
}

/** Without NAPTR records: "_sip" for sip, "_sips" for sips (RFC 3263 section 4.1). */
function plainTransports(isSips: boolean): readonly SipTransport[] {
  return isSips ? ['TLS'] : ['UDP', 'TCP'];
}

/** Section 4.1 and 4.2 for a name without a port. */
function hopsOf(
  host: string,
  destination: SipDestination,
  chosen: SipTransport,
  seed: string,
  world: TargetWorld,
): readonly Hop[] {
  const { transport, scheme } = destination;
  const fallback = { transport: chosen, host, port: facts[chosen].defaultPort };
  if (transport !== undefined) return serversOf([chosen], host, seed, world) ?? [fallback];
  const naptr = world.look(host, 'NAPTR');
  if (naptr === undefined) return [];
  const isSips = scheme === 'sips';
  const named = namedServices(naptr, isSips, world.transports);
  const [first] = named;
  if (first !== undefined) {
    const hops = named.map((service) => serviceHops(service, seed, world));
    if (hops.some((list) => list !== undefined)) return hops.flatMap((list) => list ?? []);
    const { defaultPort } = facts[first.transport];
    return [{ transport: first.transport, host, port: defaultPort }];
  }
  const usable = plainTransports(isSips).filter((name) => world.transports.has(name));
  return serversOf(usable, host, seed, world) ?? [fallback];
}

interface NamedService {
  readonly transport: SipTransport;
  readonly name: string;
  /** The name has SRV records, else addresses. */
  readonly isSrv: boolean;
}

/** Services that we can use, in the order of the domain's owner (RFC 3403 section 4.1). */
function namedServices(
  records: readonly DnsRecords['NAPTR'][],
  isSips: boolean,
  transports: ReadonlySet<SipTransport>,
): readonly NamedService[] {
  return records
    .slice(0, sipDnsLimits.recordsMax)
    .sort((a, b) => a.order - b.order || a.preference - b.preference)
    .flatMap(({ flags, service, replacement }) => {
      const transport = services.get(service.toLowerCase());
      const name = parseDnsName(replacement);
      const isSrv = flags.toLowerCase() === 's';
      if (transport === undefined || name === undefined || !transports.has(transport)) return [];
      if ((isSips && !facts[transport].isSecure) || (!isSrv && flags.toLowerCase() !== 'a'))
        return [];
      return [{ transport, name, isSrv }];
    });
}

/** Undefined: the name has no SRV records. */
function serviceHops(
  { transport, name, isSrv }: NamedService,
  seed: string,
  world: TargetWorld,
): readonly Hop[] | undefined {
  if (isSrv) return srvHops(transport, name, seed, world);
  return [{ transport, host: name, port: facts[transport].defaultPort }];
}

/** Servers of a domain by transport; undefined when no transport has SRV records. */
function serversOf(
  transports: readonly SipTransport[],
  domain: string,
  seed: string,
  world: TargetWorld,
): readonly Hop[] | undefined {
  const lists = transports.map((transport) =>
    srvHops(transport, `${facts[transport].srv}.${domain}`, seed, world),
  );
  return lists.some((list) => list !== undefined) ? lists.flatMap((list) => list ?? []) : undefined;
}

/** Undefined: no records. Empty: not known yet, or the service is decidedly not there (RFC 2782). */
function srvHops(
  transport: SipTransport,
  name: string,
  seed: string,
  world: TargetWorld,
): readonly Hop[] | undefined {
  if (parseDnsName(name) === undefined) return undefined;
  const records = world.look(name, 'SRV');
  if (records === undefined) return [];
  if (records.length === 0) return undefined;
  return orderServers(records.slice(0, sipDnsLimits.recordsMax), seed).flatMap((record) => {
    const host = parseDnsName(record.target);
    return host === undefined || record.port === 0 ? [] : [{ transport, host, port: record.port }];
  });
}

function targetsOf(
  hops: readonly Hop[],
  serverName: string,
  seed: string,
  world: TargetWorld,
): readonly SipTarget[] {
  const targets = new Map<string, SipTarget>();
  for (const { transport, host, port } of hops.slice(0, sipDnsLimits.targetsMax)) {
    for (const address of addressesOf(host, seed, world)) {
      const key = `${transport} ${address} ${port}`;
      if (targets.size >= sipDnsLimits.targetsMax || targets.has(key)) continue;
      targets.set(key, { transport, address, port, serverName });
    }
  }
  return [...targets.values()];
}

function addressesOf(host: string, seed: string, world: TargetWorld): readonly string[] {
  const { families } = world;
  const known = ownAddresses(host, world.hosts);
  if (known !== undefined) {
    return known.filter((address) => families.includes(isIPv6(address) ? 6 : 4));
  }
  // Both are asked for before either is used; IPv6 first (RFC 7984 section 4.2, RFC 6724).
  const v6 = families.includes(6) ? world.look(host, 'AAAA') : [];
  const v4 = families.includes(4) ? world.look(host, 'A') : [];
  return [...limited(v6, seed), ...limited(v4, seed)];
}

function limited(addresses: readonly string[] | undefined, seed: string): readonly string[] {
  return orderAddresses((addresses ?? []).slice(0, sipDnsLimits.recordsMax), seed);
}

/** What is known of a host without the DNS. */
function ownAddresses(
  host: string,
  hosts: ReadonlyMap<string, readonly string[]>,
): readonly string[] | undefined {
  if (isIP(host) !== 0) return [host];
  return isLocal(host) ? ['127.0.0.1', '::1'] : hosts.get(host);
}

/** RFC 6761 section 6.4: names that never exist; RFC 7118 section 5 gives such hosts to browsers. */
function isInvalid(host: string): boolean {
  return host === 'invalid' || host.endsWith('.invalid');
}

/** RFC 6761 section 6.3: such names are never asked for. */
function isLocal(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost');
}
