import { transactionLimits } from '../config/defaults.ts';
import { endpointText, type Member } from '../gossip/index.ts';
import { createRing, ringVersion, type Ring } from '../ring/index.ts';

/** Life cycle of an instance as its peer announces it by gossip. */
export type InstanceStatus = 'joining' | 'ready' | 'draining' | 'disabled';

/** One instance as this peer sees it now. Only living members are listed. */
export interface InstanceView {
  readonly name: string;
  readonly status: InstanceStatus;
  /** `host:port` (IPv6 in brackets) where its application's SIP responses go; sent-by of our Via. */
  readonly sipInternal: string;
  /** Transport between that peer and its application, as the Via names it. */
  readonly sipTransport: 'UDP' | 'TCP';
  /** `host:port` of its SIP servers, lower case, the main one first; empty for an embedded application. */
  readonly applications: readonly string[];
  /** What its application writes behind the last dot of its session ids; left out when it has none. */
  readonly jvmRoute?: string;
}

/** A ring that was in force until a short time ago. */
export interface PastRing {
  readonly ring: Ring;
  /** Notes left under it may still be asked for until then. */
  readonly untilMs: number;
}

/** What a peer knows of its cluster: an immutable snapshot, replaced as a whole by `peer.ts`. */
export interface ClusterView {
  /** Name of this peer and of its instance. */
  readonly self: string;
  readonly ring: Ring;
  readonly instances: ReadonlyMap<string, InstanceView>;
  /** Instance by the address of one of its SIP servers; addresses that several claim are left out. */
  readonly applications: ReadonlyMap<string, string>;
  /** The same of instances that left or died. */
  readonly departed: ReadonlyMap<string, string>;
  /** Instance by jvmRoute, of those that serve their sessions; routes that several claim are left out. */
  readonly jvmRoutes: ReadonlyMap<string, string>;
  /** Rings of the last transaction time-out (RFC 3261 section 16.11), the latest first. */
  readonly pastRings: readonly PastRing[];
  /** Until then, peers may decide differently about one transaction: ring or rules have changed. */
  readonly unsettledUntilMs: number;
}

/** What a peer says of itself in its gossip tags. */
export interface Announcement {
  /** Start time of the process in seconds: a restart has a higher one. */
  readonly epoch: number;
  readonly status: InstanceStatus;
  readonly weight: number;
  /** `host:port` of its link server. */
  readonly link: string;
  readonly sipInternal: string;
  readonly sipTransport: 'UDP' | 'TCP';
  /** `host:port` of its SIP servers, lower case; empty for an embedded application. */
  readonly applications: readonly string[];
  /** {@link isJvmRoute}; left out when the application's session ids have none. */
  readonly jvmRoute?: string;
}

const statuses: ReadonlySet<string> = new Set(['joining', 'ready', 'draining', 'disabled']);

/** Gossip tags of an announcement; {@link readAnnouncement} is the inverse. */
export function announcementTags(announcement: Announcement): Record<string, string> {
  const { epoch, status, weight, link, sipInternal, sipTransport, applications } = announcement;
  return {
    ver: '1',
    epoch: String(epoch),
    state: status,
    weight: String(weight),
    grpc: link,
    sip: `${sipTransport.toLowerCase()}:${sipInternal}`,
    ...(applications.length === 0 ? {} : { app: applications.join(',') }),
    ...(announcement.jvmRoute === undefined ? {} : { jvm: announcement.jvmRoute }),
  };
}

/** Undefined for tags that are no announcement, e.g. of an observer of another kind. */
export function readAnnouncement(tags: Readonly<Record<string, string>>): Announcement | undefined {
  const sip = /^(udp|tcp):(.+)$/.exec(tags['sip'] ?? '');
  const epoch = Number(tags['epoch']);
  const weight = Number(tags['weight']);
  const status = tags['state'] ?? '';
  const link = tags['grpc'] ?? '';
  if (sip === null || !statuses.has(status) || link === '') return undefined;
  if (!Number.isSafeInteger(epoch) || !(weight >= 0 && weight <= 100)) return undefined;
  return {
    epoch,
    status: status as InstanceStatus,
    weight,
    link,
    sipInternal: sip[2]!,
    sipTransport: sip[1] === 'udp' ? 'UDP' : 'TCP',
    applications: (tags['app'] ?? '').split(',').filter((address) => address !== ''),
    ...announcedJvmRoute(tags['jvm']),
  };
}

function announcedJvmRoute(tag: string | undefined): { jvmRoute?: string } {
  return tag !== undefined && isJvmRoute(tag) ? { jvmRoute: tag } : {};
}

/** Whether a text may be an instance's jvmRoute: what the configuration accepts, so without a dot. */
export function isJvmRoute(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,64}$/.test(text);
}

/** A suspected member serves on until gossip is sure: only then do its keys move. */
export function isLiving(member: Member): boolean {
  return member.state === 'alive' || member.state === 'suspect';
}

/**
 * Makes the view of a member list; ready instances are on the ring, all living ones are listed.
 *
 * @param previous its ring is kept when the members on it did not change, else remembered as a past one
 */
export function viewOf(
  self: string,
  members: readonly Member[],
  nowMs: number,
  previous?: ClusterView,
): ClusterView {
  const instances = new Map<string, InstanceView>();
  const departed = new Map<string, string>();
  const onRing: { name: string; weight: number }[] = [];
  for (const member of members) {
    const { name } = member;
    const announced = readAnnouncement(member.tags);
    if (announced === undefined) continue;
    const { status, sipInternal, sipTransport, weight, applications, jvmRoute } = announced;
    if (!isLiving(member)) {
      for (const address of applications) departed.set(address, name);
      continue;
    }
    const seen = { name, status, sipInternal, sipTransport, applications };
    instances.set(name, jvmRoute === undefined ? seen : { ...seen, jvmRoute });
    if (status === 'ready') onRing.push({ name, weight });
  }
  const applications = byClaim(instances.values(), (instance) => instance.applications);
  const jvmRoutes = jvmRoutesOf(instances.values());
  const base = { self, instances, applications, departed, jvmRoutes };
  if (previous?.ring.version === ringVersion(onRing)) {
    const { ring, pastRings, unsettledUntilMs } = previous;
    return { ...base, ring, pastRings, unsettledUntilMs };
  }
  const ring = createRing(onRing);
  if (previous === undefined) return { ...base, ring, pastRings: [], unsettledUntilMs: 0 };
  const untilMs = nowMs + transactionLimits.timeoutMs;
  const pastRings = [{ ring: previous.ring, untilMs }, ...previous.pastRings]
    .filter((past) => past.untilMs > nowMs && past.ring.version !== ring.version)
    .slice(0, transactionLimits.pastRingsMax);
  return { ...base, ring, pastRings, unsettledUntilMs: untilMs };
}

/** The view after the rules were replaced: for a transaction time-out peers may decide differently. */
export function unsettled(view: ClusterView, nowMs: number): ClusterView {
  return { ...view, unsettledUntilMs: nowMs + transactionLimits.timeoutMs };
}

/** Who may be meant by a jvmRoute: {@link ClusterView.jvmRoutes}. */
export function jvmRoutesOf(instances: Iterable<InstanceView>): ReadonlyMap<string, string> {
  return byClaim(instances, ({ status, jvmRoute }) =>
    status === 'disabled' || jvmRoute === undefined ? [] : [jvmRoute],
  );
}

/** What several instances claim, e.g. an address on loopback for each host, names none of them. */
function byClaim(
  instances: Iterable<InstanceView>,
  claimsOf: (instance: InstanceView) => readonly string[],
): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const shared = new Set<string>();
  for (const instance of instances) {
    for (const claim of claimsOf(instance)) {
      if (found.has(claim)) shared.add(claim);
      found.set(claim, instance.name);
    }
  }
  for (const claim of shared) found.delete(claim);
  return found;
}

/** What an operator sees of a member. */
export function memberStatus(member: Member): {
  name: string;
  state: Member['state'];
  address: string;
  status: InstanceStatus | undefined;
  weight: number;
} {
  const { name, state, tags } = member;
  const announced = readAnnouncement(tags);
  const { status, weight = 0 } = announced ?? {};
  return { name, state, address: endpointText(member), status, weight };
}
