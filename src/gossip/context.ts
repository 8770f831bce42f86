import type { GossipProfile } from '../config/defaults.ts';
import type { Endpoint, Seed } from './address.ts';
import type { Outbox, StreamId } from './effect.ts';
import type { Health } from './health.ts';
import type { News } from './news.ts';
import type { Roster } from './roster.ts';
import type { Tags } from './tags.ts';
import type { Timers } from './timers.ts';

/** Who this peer is and how it is to behave. */
export interface SwimOptions {
  readonly name: string;
  /** First incarnation; higher than any that an earlier process of this name had (`firstIncarnation`). */
  readonly incarnation: number;
  /** Where others reach this peer, by packets and by streams. */
  readonly endpoint: Endpoint;
  /** Name of the cluster, on every packet and stream; '' switches it off. */
  readonly label: string;
  /** Where to join; the first 256 count. May hold this peer itself. */
  readonly seeds: readonly Seed[];
  readonly profile: GossipProfile;
  readonly tags: Tags;
  /** Bytes that a packet is longer once it is encrypted; 0 by default. */
  readonly packetOverheadBytes?: number;
  /** False: nobody is a member at this address; by default all may be. */
  readonly isAllowed?: (address: string) => boolean;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** What the parts of one machine share. Each part changes only what it owns. */
export interface SwimContext {
  readonly options: SwimOptions;
  /** Label header of the cluster. */
  readonly header: Uint8Array;
  readonly roster: Roster;
  readonly timers: Timers;
  readonly outbox: Outbox;
  readonly news: News;
  readonly health: Health;
  /** The time of the input being handled, in milliseconds of a clock that never goes back. */
  now: number;
  /** This peer said that it leaves: it accuses and refutes nobody any more. */
  isLeaving: boolean;
  /** A new even number. */
  nextStream(): StreamId;
}
