import type { Endpoint, Seed } from './address.ts';
import type { Member } from './member.ts';
import type { StreamMessage } from './message.ts';

/** Streams that the machine opens have even numbers, those that its shell accepts have odd ones. */
export type StreamId = number;

/** What happens to the machine. */
export type SwimInput = SwimReport | SwimCommand;

/** What the world brings. */
export type SwimReport =
  | { readonly kind: 'packet'; readonly bytes: Uint8Array; readonly from: Endpoint }
  | { readonly kind: 'streamMessage'; readonly stream: StreamId; readonly message: StreamMessage }
  /** The stream ended before its message came, could not be opened, or timed out. */
  | { readonly kind: 'streamClosed'; readonly stream: StreamId }
  /** The time asked for by `wake` has come. */
  | { readonly kind: 'timer' }
  /** Answer to `resolve`; no addresses when the look-up failed. */
  | { readonly kind: 'resolved'; readonly host: string; readonly addresses: readonly string[] };

/** What its owner wants. */
export type SwimCommand =
  | { readonly kind: 'start' }
  | { readonly kind: 'setTags'; readonly tags: Readonly<Record<string, string>> }
  /** `intent`: a user message that the others get before the news that this peer is gone. */
  | { readonly kind: 'leave'; readonly intent?: Uint8Array }
  /** What discovery found; replaces what it found before, beside the seeds of the options. */
  | { readonly kind: 'seeds'; readonly seeds: readonly Seed[] }
  /** Probe this member at once: something else found it silent. */
  | { readonly kind: 'probe'; readonly name: string }
  /** Exchange all with this member at once; nothing while an exchange with it is open. */
  | { readonly kind: 'sync'; readonly name: string }
  /** What full syncs bring to others beside the members; replaces what was set before. */
  | { readonly kind: 'setUserState'; readonly bytes: Uint8Array }
  /** A user message for all members; it replaces one of the same name that is still being told. */
  | { readonly kind: 'broadcast'; readonly name: string; readonly bytes: Uint8Array }
  /** A user message for one; by a packet, which may be lost. */
  | { readonly kind: 'sendUser'; readonly to: Endpoint; readonly bytes: Uint8Array };

/** What the shell shall do. */
export type SwimEffect =
  | { readonly kind: 'send'; readonly to: Endpoint; readonly bytes: Uint8Array }
  /** Connect, write, then read one message. */
  | {
      readonly kind: 'openStream';
      readonly stream: StreamId;
      readonly to: Endpoint;
      readonly bytes: Uint8Array;
    }
  /** Write the answer to an accepted stream and end it. */
  | { readonly kind: 'answerStream'; readonly stream: StreamId; readonly bytes: Uint8Array }
  | { readonly kind: 'closeStream'; readonly stream: StreamId }
  | { readonly kind: 'resolve'; readonly host: string }
  /** Replaces the wake-up asked for before. */
  | { readonly kind: 'wake'; readonly at: number }
  | { readonly kind: 'event'; readonly event: SwimEvent }
  /**
   * A full sync brought user state; given before the members of the same sync are merged. `from` is the
   * member that we dialled, undefined when the other side opened the stream.
   */
  | { readonly kind: 'userState'; readonly bytes: Uint8Array; readonly from: string | undefined }
  /** A user message came by a packet; the same one comes from several members. */
  | { readonly kind: 'userMessage'; readonly bytes: Uint8Array; readonly from: Endpoint }
  | { readonly kind: 'count'; readonly name: string; readonly reason: string; readonly by: number };

/** What became known of the members. */
export type SwimEvent =
  | {
      readonly kind: 'join' | 'update' | 'leave';
      readonly member: Member;
    }
  | {
      readonly kind: 'suspect' | 'fail';
      readonly member: Member;
      /** Name of the accuser. */
      readonly by: string;
    }
  /** Another process lives under our name, at `member`'s address. */
  | { readonly kind: 'conflict'; readonly member: Member }
  /** Our own leaving is known as widely as it will be. */
  | { readonly kind: 'left' };

/** Collects the effects of one input. */
export class Outbox {
  #effects: SwimEffect[] = [];

  add(effect: SwimEffect): void {
    this.#effects.push(effect);
  }

  event(event: SwimEvent): void {
    this.#effects.push({ kind: 'event', event });
  }

  count(name: string, reason: string, by = 1): void {
    this.#effects.push({ kind: 'count', name, reason, by });
  }

  drain(): readonly SwimEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}
