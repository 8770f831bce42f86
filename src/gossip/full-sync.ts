import { gossipLimits } from '../config/defaults.ts';
import { endpointText, type Endpoint } from './address.ts';
import type { SwimContext } from './context.ts';
import type { StreamId } from './effect.ts';
import { isLive } from './member.ts';
import type { Membership } from './membership.ts';
import type { PushPull } from './message.ts';
import { encodeStreamMessage } from './stream-codec.ts';

/** Above this many members full syncs become rarer, to keep their cost level. */
const scaleThreshold = 32;

/** An exchange that we began. */
interface Dialled {
  readonly endpoint: Endpoint;
  /** Once it is done, another one follows with the same member. */
  readonly isFollowed: boolean;
}

/** Exchanges all that two members know: to join, to heal what gossip lost, to reconnect. */
export class FullSync {
  readonly #context: SwimContext;
  readonly #membership: Membership;
  readonly #open = new Map<StreamId, Dialled>();
  #userState: Uint8Array = new Uint8Array(0);

  constructor(context: SwimContext, membership: Membership) {
    this.#context = context;
    this.#membership = membership;
  }

  start(): void {
    const { now, options } = this.#context;
    this.#waitForFirst(now, options.random());
  }

  /** Opens one exchange, unless one with that endpoint is open. */
  exchange(to: Endpoint, join: boolean, isFollowed = false): void {
    if (this.isOpen(to)) return;
    const { outbox, header } = this.#context;
    const stream = this.#context.nextStream();
    this.#open.set(stream, { endpoint: to, isFollowed });
    const bytes = encodeStreamMessage(header, this.#message(join));
    outbox.add({ kind: 'openStream', stream, to, bytes });
  }

  /**
   * Tries to reach the other side of what was a partition. Each side holds the other for dead, and only the
   * accused can say otherwise: what they then say is fetched by a second exchange.
   */
  reconnect(to: Endpoint): void {
    this.exchange(to, true, true);
  }

  /** Exchanges all with a member at once. */
  syncWith(name: string): void {
    const { roster, isLeaving } = this.#context;
    const record = roster.get(name);
    if (isLeaving || record === undefined || record === roster.self || !isLive(record)) return;
    this.exchange(record.endpoint, false);
  }

  /** Keeps what every exchange brings to the other side. Throws RangeError above the limit. */
  setUserState(bytes: Uint8Array): void {
    const { userStateBytesMax } = gossipLimits;
    if (bytes.length > userStateBytesMax) {
      throw new RangeError(`user state is at most ${userStateBytesMax} bytes`);
    }
    this.#userState = bytes;
  }

  /** True while an exchange that we began with that endpoint has not ended. */
  isOpen(to: Endpoint): boolean {
    const key = endpointText(to);
    for (const open of this.#open.values()) if (endpointText(open.endpoint) === key) return true;
    return false;
  }

  /** Takes the states of the other side; a stream that it opened gets ours, what we learnt included. */
  receive(stream: StreamId, message: PushPull): void {
    const dialled = this.#open.get(stream);
    this.#open.delete(stream);
    this.#deliver(message.userState, dialled?.endpoint);
    const { outbox, roster } = this.#context;
    const wasAlone = roster.isAlone();
    this.#membership.mergeAll(message.states);
    if (dialled !== undefined) {
      this.#membership.tellMissing(message.states);
      if (dialled.isFollowed) this.#lookAgain(dialled.endpoint);
      else if (wasAlone) this.#lookAgain();
      outbox.count('gossip_syncs', 'done');
      outbox.add({ kind: 'closeStream', stream });
      return;
    }
    const bytes = encodeStreamMessage(new Uint8Array(0), this.#message(message.join));
    outbox.add({ kind: 'answerStream', stream, bytes });
  }

  /** True when the stream was ours. */
  closed(stream: StreamId): boolean {
    if (!this.#open.delete(stream)) return false;
    this.#context.outbox.count('gossip_syncs', 'failed');
    return true;
  }

  /**
   * One more exchange soon, with `endpoint` or any member. What a peer learns by its join it does not tell on, so
   * of several that join at once one may be missed by another: a second look finds it.
   */
  #lookAgain(endpoint?: Endpoint): void {
    const { timers, now, options } = this.#context;
    const delayMs = gossipLimits.secondLookMs * (0.5 + options.random());
    timers.schedule(now + delayMs, () => {
      if (endpoint === undefined) this.#exchangeWithAny();
      else if (!this.#context.isLeaving) this.exchange(endpoint, false);
    });
  }

  #exchangeWithAny(): void {
    const { roster, isLeaving } = this.#context;
    if (isLeaving) return;
    for (const target of roster.pick(1, isLive)) this.exchange(target.endpoint, false);
  }

  #deliver(bytes: Uint8Array, dialled: Endpoint | undefined): void {
    if (bytes.length === 0) return;
    const from = dialled === undefined ? undefined : this.#context.roster.at(dialled)?.name;
    this.#context.outbox.add({ kind: 'userState', bytes, from });
  }

  /** A part of the interval by chance, so that peers started together do not sync together. */
  #waitForFirst(startedAt: number, share: number): void {
    const { timers, now } = this.#context;
    // The interval grows while the members come in.
    const dueAt = startedAt + share * this.#intervalMs();
    if (now < dueAt) {
      timers.schedule(dueAt, () => {
        this.#waitForFirst(startedAt, share);
      });
    } else this.#tick();
  }

  #tick(): void {
    const { timers, now, isLeaving } = this.#context;
    if (isLeaving) return;
    timers.schedule(now + this.#intervalMs(), () => {
      this.#tick();
    });
    this.#exchangeWithAny();
  }

  #intervalMs(): number {
    const { options, roster } = this.#context;
    const count = roster.liveCount();
    const scale =
      count <= scaleThreshold ? 1 : Math.ceil(Math.log2(count) - Math.log2(scaleThreshold)) + 1;
    return options.profile.syncIntervalMs * scale;
  }

  #message(join: boolean): PushPull {
    const states = this.#membership.remoteStates();
    return { kind: 'pushPull', join, states, userState: this.#userState };
  }
}
