import type { Endpoint } from './address.ts';
import type { Member } from './member.ts';
import type { KeyOperation } from './serf-keys.ts';
import type { KeyAnswer, Query } from './serf-message.ts';

export interface SerfOptions {
  readonly name: string;
  /** Where others reach this peer. */
  readonly endpoint: Endpoint;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** All members, as the membership has them now. */
  readonly members: () => readonly Member[];
}

/** What happens to the delegate. */
export type SerfInput =
  /** A user message came. */
  | { readonly kind: 'message'; readonly bytes: Uint8Array }
  /** A full sync brought user state. `from`: whom we dialled. */
  | { readonly kind: 'state'; readonly bytes: Uint8Array; readonly from: string | undefined }
  /** What full syncs shall bring to other peers; at most 4 MiB. */
  | { readonly kind: 'setOwnState'; readonly bytes: Uint8Array }
  | { readonly kind: 'leave' }
  /** An operator here wants this done at all members; `ticket` comes back with the answers. */
  | {
      readonly kind: 'askKeys';
      readonly operation: KeyOperation;
      readonly ticket: number;
      readonly timeoutMs: number;
    }
  /** What came of a `keys` effect. */
  | { readonly kind: 'keysDone'; readonly query: Query; readonly answer: KeyAnswer }
  /** The time asked for by `wake` has come. */
  | { readonly kind: 'timer' };

/** What the shell shall do. */
export type SerfEffect =
  /** To all members; replaces a message of the same name that is still being told. */
  | { readonly kind: 'broadcast'; readonly name: string; readonly bytes: Uint8Array }
  | { readonly kind: 'sendUser'; readonly to: Endpoint; readonly bytes: Uint8Array }
  /** To be told before the news that this peer is gone. */
  | { readonly kind: 'leaveIntent'; readonly bytes: Uint8Array }
  /** What full syncs shall carry from now on. */
  | { readonly kind: 'userState'; readonly bytes: Uint8Array }
  /** What another peer of ours said in a full sync. */
  | { readonly kind: 'ownState'; readonly bytes: Uint8Array; readonly from: string | undefined }
  /** Do this to the keys here, then give `keysDone`. */
  | { readonly kind: 'keys'; readonly operation: KeyOperation; readonly query: Query }
  | { readonly kind: 'keyAnswers'; readonly ticket: number; readonly answers: KeyAnswers }
  /** Beside the wake-ups asked for before. */
  | { readonly kind: 'wake'; readonly at: number }
  | { readonly kind: 'count'; readonly name: string; readonly reason: string };

/** Who answered, of so many members that were alive when they were asked. */
export interface KeyAnswers {
  readonly answers: ReadonlyMap<string, KeyAnswer>;
  readonly of: number;
}

/** What the parts of one delegate share. */
export interface SerfContext {
  readonly options: SerfOptions;
  /** The time of the input being handled. */
  now: number;
  readonly add: (effect: SerfEffect) => void;
  readonly drop: (reason: string) => void;
  /** Tells all members; a bounded number of messages is being told at once, the oldest give way. */
  readonly broadcast: (bytes: Uint8Array) => void;
}
