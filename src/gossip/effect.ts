import type { Endpoint, Seed } from './address.ts';
import type { Member } from './member.ts';
import type { StreamMessage } from './message.ts';

/** Streams that the machine opens have even numbers, those that its shell accepts have odd ones. */
export type StreamId = number;

/** What happens to the machine. */
export type SwimInput =
  | { readonly kind: 'packet'; readonly bytes: Uint8Array; readonly from: Endpoint }
  | { readonly kind: 'streamMessage'; readonly stream: StreamId; readonly message: StreamMessage }
  /** The stream ended before its message came, could not be opened, or timed out. */
  | { readonly kind: 'streamClosed'; readonly stream: StreamId }
  /** The time asked for by `wake` has come. */
  | { readonly kind: 'timer' }
  /** Answer to `resolve`; no addresses when the look-up failed. */
  | { readonly kind: 'resolved'; readonly host: string; readonly addresses: readonly string[] }
  | { readonly kind: 'start' }
  | { readonly kind: 'setTags'; readonly tags: Readonly<Record<string, string>> }
  | { readonly kind: 'leave' }
  /** What discovery found; replaces what it found before, beside the seeds of the options. */
  | { readonly kind: 'seeds'; readonly seeds: readonly Seed[] }
  /** Probe this member at once: something else found it silent. */
  | { readonly kind: 'probe'; readonly name: string };

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
  | { readonly kind: 'count'; readonly name: string; readonly reason: string };

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

  count(name: string, reason: string): void {
    this.#effects.push({ kind: 'count', name, reason });
  }

  drain(): readonly SwimEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}
