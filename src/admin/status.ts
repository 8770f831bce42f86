import type { Counters } from '../pipeline/counters.ts';
import type { Route } from './route.ts';
import type { StateVersion } from './state-change.ts';

/** One member of the cluster as this peer sees it, itself included. */
export interface MemberStatus {
  readonly name: string;
  /** What gossip says of the process. */
  readonly state: 'alive' | 'suspect' | 'dead' | 'left';
  /** `host:port` of its gossip. */
  readonly address: string;
  /** What its instance says of itself; undefined when it has not said anything yet. */
  readonly status: 'joining' | 'ready' | 'draining' | 'disabled' | undefined;
  readonly weight: number;
  /** Digest of what all peers share, as the member has it; left out while it tells none. */
  readonly stateDigest?: string;
  /** Left out for members that are gone, and for those that are no peers: nobody dials them. */
  readonly link?: LinkStatus;
}

/**
 * The link over which this peer hands work to a member. The member dials one of its own for its work.
 *
 * - `up`: work handed over now would leave at once
 * - `down`: there is no connection, the member says goodbye, or it is avoided because it broke again and again
 * - `self`: the member is this peer, which needs none
 */
export type LinkStatus = 'up' | 'down' | 'self';

/** Which rules a peer runs, and whether they are the cluster's. */
export interface RulesStatus {
  readonly source: 'none' | 'file' | 'cluster';
  /** Of the rules that it runs; `none` without any. */
  readonly digest: string;
  /** Of the rules that count as the cluster's; left out while no ready member tells any. */
  readonly clusters?: string;
  /** Ready members that run others than the cluster's. */
  readonly odd: readonly string[];
  /** Whether it has run others than the cluster's for too long. */
  readonly isOverdue: boolean;
}

/** What a peer tells of itself and of the cluster as it sees it. */
export interface PeerStatus {
  readonly name: string;
  /** Of its instance. */
  readonly state: 'joining' | 'ready' | 'draining' | 'disabled';
  /** Calls of its instance. */
  readonly calls: number;
  /** What a stop still waits for. */
  readonly drain?: {
    readonly calls: number;
    readonly exchanges: number;
    readonly quietMs: number;
    readonly leftMs: number;
  };
  readonly members: readonly MemberStatus[];
  /** How far it trusts what it hears of the others: 0 is well, 8 the worst. */
  readonly health: number;
  readonly ring: {
    readonly version: string;
    readonly members: readonly { readonly name: string; readonly weight: number }[];
  };
  /** While less than half of the cluster is in sight: what the peer does about it. */
  readonly minority?: 'serve' | 'unready';
  /** What all peers share, as far as this one knows it. */
  readonly clusterState: StateVersion;
  readonly rules: RulesStatus;
  /** `host:port` of what the peer listens on, by name. */
  readonly addresses: Readonly<Record<string, unknown>>;
}

/** What the admin server shows and does; given by `peer.ts`. */
export interface AdminSource {
  status(): PeerStatus;
  readonly counters: Counters;
  /** Begins to drain; again is harmless. */
  drain(): void;
  /** Takes new sessions again, unless the peer is about to stop. */
  undrain(): void;
  /** Further pages. */
  readonly routes: readonly Route[];
}

/**
 * Tells of each living peer whether the link to it is up.
 *
 * @param self name of this peer
 */
export function withLinks(
  members: readonly MemberStatus[],
  self: string,
  isUp: (peer: string) => boolean,
): MemberStatus[] {
  return members.map((member) => {
    const { name, state, status } = member;
    if (name === self) return { ...member, link: 'self' };
    const isDialled = (state === 'alive' || state === 'suspect') && status !== undefined;
    return isDialled ? { ...member, link: isUp(name) ? 'up' : 'down' } : member;
  });
}

/** Why the peer should get no new work; empty when it is ready. */
export function unreadyReasons(status: PeerStatus): string[] {
  const reasons: string[] = [];
  if (status.state !== 'ready') reasons.push(`the peer is ${status.state}`);
  if (status.ring.members.length === 0) reasons.push('the ring is empty');
  if (status.minority === 'unready') reasons.push('less than half of the cluster is in sight');
  const { isOverdue, digest, clusters = 'none' } = status.rules;
  if (isOverdue) reasons.push(`it runs other rules (${digest}) than the cluster (${clusters})`);
  return reasons;
}
