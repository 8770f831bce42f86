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
}

/** What a peer knows of its cluster: an immutable snapshot, replaced as a whole by `peer.ts`. */
export interface ClusterView {
  /** Name of this peer and of its instance. */
  readonly self: string;
  readonly ring: Ring;
  readonly instances: ReadonlyMap<string, InstanceView>;
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
}

const statuses: ReadonlySet<string> = new Set(['joining', 'ready', 'draining', 'disabled']);

/** Gossip tags of an announcement; {@link readAnnouncement} is the inverse. */
export function announcementTags(announcement: Announcement): Record<string, string> {
  const { epoch, status, weight, link, sipInternal, sipTransport } = announcement;
  return {
    ver: '1',
    epoch: String(epoch),
    state: status,
    weight: String(weight),
    grpc: link,
    sip: `${sipTransport.toLowerCase()}:${sipInternal}`,
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
  };
}

/** A suspected member serves on until gossip is sure: only then do its keys move. */
export function isLiving(member: Member): boolean {
  return member.state === 'alive' || member.state === 'suspect';
}

/**
 * Makes the view of a member list; ready instances are on the ring, all living ones are listed.
 *
 * @param previous its ring is kept when the members on it did not change
 */
export function viewOf(
  self: string,
  members: readonly Member[],
  previous?: ClusterView,
): ClusterView {
  const instances = new Map<string, InstanceView>();
  const onRing: { name: string; weight: number }[] = [];
  for (const member of members) {
    const announced = isLiving(member) ? readAnnouncement(member.tags) : undefined;
    if (announced === undefined) continue;
    const { status, sipInternal, sipTransport, weight } = announced;
    instances.set(member.name, { name: member.name, status, sipInternal, sipTransport });
    if (status === 'ready') onRing.push({ name: member.name, weight });
  }
  const isUnchanged = previous?.ring.version === ringVersion(onRing);
  return { self, ring: isUnchanged ? previous.ring : createRing(onRing), instances };
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
