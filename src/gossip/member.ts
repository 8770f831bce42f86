import type { Endpoint } from './address.ts';
import type { MemberState, RemoteState } from './message.ts';
import type { Tags } from './tags.ts';
import type { Timer } from './timers.ts';

/** One member as others see it: an immutable snapshot. */
export interface Member {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly tags: Tags;
  readonly state: MemberState;
  readonly incarnation: number;
}

/** A suspicion that runs out unless the accused refutes it. */
export interface Suspicion {
  startedAt: number;
  /** Who accused; the first one started the suspicion. */
  readonly accusers: Set<string>;
  /** Probes made since its time was over. */
  retries: number;
  /** Independent confirmations that bring the time down to `minMs`. */
  readonly confirmationsMax: number;
  readonly minMs: number;
  readonly maxMs: number;
  timer: Timer;
}

/** What this peer knows of one member. Changed only by the membership; `state` through the roster. */
export interface MemberRecord {
  readonly name: string;
  endpoint: Endpoint;
  meta: Uint8Array;
  /** What `meta` says. */
  tags: Tags;
  versions: Uint8Array;
  /** As a full sync tells it; made anew after a change. */
  told: RemoteState | undefined;
  /** Incarnation that told address and metadata; behind `incarnation` while we missed news. */
  contentIncarnation: number;
  incarnation: number;
  state: MemberState;
  stateSince: number;
  suspicion: Suspicion | undefined;
  /** The last probe failed while every relay was silent: the next one decides. */
  isDoubted: boolean;
  /** We learnt of it by our join and told nobody, because those who told us know. */
  isUntold: boolean;
}

export function snapshot(record: MemberRecord): Member {
  return {
    name: record.name,
    address: record.endpoint.address,
    port: record.endpoint.port,
    tags: record.tags,
    state: record.state,
    incarnation: record.incarnation,
  };
}

/** Alive or only suspected. */
export function isLiveState(state: MemberState): boolean {
  return state === 'alive' || state === 'suspect';
}

export function isLive(record: MemberRecord): boolean {
  return isLiveState(record.state);
}

const rank: Readonly<Record<MemberState, number>> = { alive: 0, suspect: 1, dead: 2, left: 3 };

/**
 * Whether news replaces a state: a higher incarnation always, an equal one only by the graver word.
 * This order is total, so members that heard the same news in any order agree.
 */
export function supersedes(
  incarnation: number,
  state: MemberState,
  known: { readonly incarnation: number; readonly state: MemberState },
): boolean {
  if (incarnation !== known.incarnation) return incarnation > known.incarnation;
  return rank[state] > rank[known.state];
}
