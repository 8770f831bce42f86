import { transactionLimits } from '../config/defaults.ts';
import { endpointText, type Member } from '../gossip/index.ts';
import { createRing, ringVersion, type Ring, type RingMember } from '../ring/index.ts';

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
  /** How long it was in force. */
  readonly heldMs: number;
}

/** What a peer knows of its cluster: an immutable snapshot, replaced as a whole by `peer.ts`. */
export interface ClusterView {
  /** Name of this peer and of its instance. */
  readonly self: string;
  readonly ring: Ring;
  /** Since when the ring is in force. */
  readonly ringSinceMs: number;
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
  /**
   * Instances that gossip suspects, or did within the last transaction time-out: until when peers may
   * think differently of one, `Infinity` while it is suspect here.
   */
  readonly doubts: ReadonlyMap<string, number>;
}

/** What a peer says of itself in its gossip tags. */
export interface Announcement {
  /** Start time of the process in seconds: a restart has a higher one. */
  readonly epoch: number;
  readonly status: InstanceStatus;
  readonly weight: number;
  /** Part of the weight that counts so far, above 0 and below 1; left out when all of it does. */
  readonly share?: number;
  /** `host:port` of its link server. */
  readonly link: string;
  readonly sipInternal: string;
  readonly sipTransport: 'UDP' | 'TCP';
  /** `host:port` of its SIP servers, lower case; empty for an embedded application. */
  readonly applications: readonly string[];
  /** {@link isJvmRoute}; left out when the application's session ids have none. */
  readonly jvmRoute?: string;
  /** Digest of the cluster's state as this peer has it: at most 8 characters of base64url. */
  readonly stateDigest?: string;
  /** The same of the rules that this peer runs; `none` without any. */
  readonly rulesDigest?: string;
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
    ...(announcement.share === undefined ? {} : { share: String(announcement.share) }),
    grpc: link,
    sip: `${sipTransport.toLowerCase()}:${sipInternal}`,
    ...(applications.length === 0 ? {} : { app: applications.join(',') }),
    ...(announcement.jvmRoute === undefined ? {} : { jvm: announcement.jvmRoute }),
    ...(announcement.stateDigest === undefined ? {} : { cs: announcement.stateDigest }),
    ...(announcement.rulesDigest === undefined ? {} : { dcr: announcement.rulesDigest }),
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
    ...announcedShare(tags['share']),
    link,
    sipInternal: sip[2]!,
    sipTransport: sip[1] === 'udp' ? 'UDP' : 'TCP',
    applications: (tags['app'] ?? '').split(',').filter((address) => address !== ''),
    ...announcedJvmRoute(tags['jvm']),
    ...announcedDigest('stateDigest', tags['cs']),
    ...announcedDigest('rulesDigest', tags['dcr']),
  };
}

function announcedShare(tag: string | undefined): { share?: number } {
  const share = Number(tag);
  return share > 0 && share < 1 ? { share } : {};
}

function announcedJvmRoute(tag: string | undefined): { jvmRoute?: string } {
  return tag !== undefined && isJvmRoute(tag) ? { jvmRoute: tag } : {};
}

function announcedDigest(
  name: 'stateDigest' | 'rulesDigest',
  tag: string | undefined,
): { stateDigest?: string; rulesDigest?: string } {
  return tag !== undefined && /^[A-Za-z0-9_-]{1,8}$/.test(tag) ? { [name]: tag } : {};
}

/** Whether a text may be an instance's jvmRoute: what the configuration accepts, so without a dot. */
export function isJvmRoute(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,64}$/.test(text);
}

/** A suspected member serves on until gossip is sure: only then do its keys move. */
export function isLiving(member: Member): boolean {
  return member.state === 'alive' || member.state === 'suspect';
}

/** Who is on the ring by what members say of themselves: ready instances, by the weight that counts so far. */
export function ringMembersOf(members: readonly Member[]): RingMember[] {
  const onRing: RingMember[] = [];
  for (const member of members) {
    if (!isLiving(member)) continue;
    const announced = readAnnouncement(member.tags);
    if (announced?.status !== 'ready') continue;
    onRing.push({ name: member.name, weight: announced.weight * (announced.share ?? 1) });
  }
  return onRing;
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
  const seen = instancesOf(self, members, nowMs, previous);
  const onRing = ringMembersOf(members);
  if (previous?.ring.version === ringVersion(onRing)) return { ...previous, ...seen };
  const ring = createRing(onRing);
  const shared = { ...seen, ring, ringSinceMs: nowMs };
  if (previous === undefined) return { ...shared, pastRings: [], unsettledUntilMs: 0 };
  const unsettledUntilMs = nowMs + transactionLimits.timeoutMs;
  return { ...shared, pastRings: pastRingsOf(previous, ring, nowMs), unsettledUntilMs };
}

/** The view with what is new of the members, but with its ring as it was: the ring follows later. */
export function viewWithRing(
  previous: ClusterView,
  members: readonly Member[],
  nowMs: number,
): ClusterView {
  return { ...previous, ...instancesOf(previous.self, members, nowMs, previous) };
}

type SeenInstances = Pick<
  ClusterView,
  'self' | 'instances' | 'applications' | 'departed' | 'jvmRoutes' | 'doubts'
>;

/** All of a view that is not the ring. */
function instancesOf(
  self: string,
  members: readonly Member[],
  nowMs: number,
  previous: ClusterView | undefined,
): SeenInstances {
  const instances = new Map<string, InstanceView>();
  const departed = new Map<string, string>();
  const doubts = new Map<string, number>();
  for (const member of members) {
    const { name } = member;
    const announced = readAnnouncement(member.tags);
    if (announced === undefined) continue;
    const { status, sipInternal, sipTransport, applications, jvmRoute } = announced;
    if (!isLiving(member)) {
      for (const address of applications) departed.set(address, name);
      continue;
    }
    const seen = { name, status, sipInternal, sipTransport, applications };
    instances.set(name, jvmRoute === undefined ? seen : { ...seen, jvmRoute });
    const doubtedUntilMs = doubtOf(member, nowMs, previous);
    if (doubtedUntilMs > nowMs) doubts.set(name, doubtedUntilMs);
  }
  const applications = byClaim(instances.values(), (instance) => instance.applications);
  const jvmRoutes = jvmRoutesOf(instances.values());
  return { self, instances, applications, departed, jvmRoutes, doubts };
}

function doubtOf({ name, state }: Member, nowMs: number, previous?: ClusterView): number {
  if (state === 'suspect') return Infinity;
  const doubtedUntilMs = previous?.doubts.get(name) ?? 0;
  return doubtedUntilMs === Infinity ? nowMs + transactionLimits.timeoutMs : doubtedUntilMs;
}

/**
 * The latest first. When there are too many, the one that was in force for the shortest time goes: few
 * notes were left under it.
 */
function pastRingsOf(previous: ClusterView, ring: Ring, nowMs: number): readonly PastRing[] {
  const latest = {
    ring: previous.ring,
    untilMs: nowMs + transactionLimits.timeoutMs,
    heldMs: nowMs - previous.ringSinceMs,
  };
  const past = [latest, ...previous.pastRings].filter(
    (each) => each.untilMs > nowMs && each.ring.version !== ring.version,
  );
  if (past.length <= transactionLimits.pastRingsMax) return past;
  const shortest = Math.min(...past.map(({ heldMs }) => heldMs));
  const dropped = past.findLastIndex(({ heldMs }) => heldMs === shortest);
  return past.filter((_, at) => at !== dropped);
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
  stateDigest?: string;
} {
  const { name, state, tags } = member;
  const announced = readAnnouncement(tags);
  const { status, weight = 0, stateDigest } = announced ?? {};
  return {
    name,
    state,
    address: endpointText(member),
    status,
    weight,
    ...(stateDigest === undefined ? {} : { stateDigest }),
  };
}
