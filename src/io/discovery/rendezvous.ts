import type { Endpoint, Seed } from '../../gossip/index.ts';

/** What a peer tells of itself. */
export interface RendezvousPeer {
  readonly name: string;
  /** Start time of its process in seconds since 1970. */
  readonly epoch: number;
  /** Where others reach its gossip. */
  readonly endpoint: Endpoint;
}

/**
 * A place where peers find each other. It only adds addresses to try: who lives is decided by gossip
 * alone, so neither an outage nor a wrong or empty list of the engine removes a member.
 */
export interface Rendezvous {
  /**
   * Tells where this peer is, and goes on telling until `withdraw`. Returns at once; an engine that is
   * away is tried for ever. Called at most once, before `discover`.
   */
  register(): void;
  /**
   * The peers listed now, this one possibly among them, at most 256; each list replaces the one
   * before. An outage gives no list. Goes on until `signal` aborts, then ends; an engine whose list
   * never changes may end sooner. Throws on defects of ours alone.
   */
  discover(signal: AbortSignal): AsyncIterable<readonly Seed[]>;
  /** Takes back what `register` told, within 1 s; what it cannot reach runs out by itself. */
  withdraw(): Promise<void>;
}

/** A text for the log, or what was wanted. */
export type Outcome<Value> =
  { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly fault: string };
