import { endpointText, type Endpoint } from './address.ts';
import type { SwimContext } from './context.ts';
import type { StreamId } from './effect.ts';
import { isLive } from './member.ts';
import type { Membership } from './membership.ts';
import type { PushPull } from './message.ts';
import { encodeStreamMessage } from './stream-codec.ts';

/** Above this many members full syncs become rarer, to keep their cost level. */
const scaleThreshold = 32;

/** Exchanges all that two members know: to join, to heal what gossip lost, to reconnect. */
export class FullSync {
  readonly #context: SwimContext;
  readonly #membership: Membership;
  /** Streams that we opened, with the endpoint dialled. */
  readonly #open = new Map<StreamId, string>();

  constructor(context: SwimContext, membership: Membership) {
    this.#context = context;
    this.#membership = membership;
  }

  start(): void {
    const { timers, now, options } = this.#context;
    timers.schedule(now + options.random() * this.#intervalMs(), () => {
      this.#tick();
    });
  }

  /** Opens one exchange, unless one with that endpoint is open. */
  exchange(to: Endpoint, join: boolean): void {
    if (this.isOpen(to)) return;
    const { outbox, header } = this.#context;
    const stream = this.#context.nextStream();
    this.#open.set(stream, endpointText(to));
    const bytes = encodeStreamMessage(header, this.#message(join));
    outbox.add({ kind: 'openStream', stream, to, bytes });
  }

  /** True while an exchange that we began with that endpoint has not ended. */
  isOpen(to: Endpoint): boolean {
    const key = endpointText(to);
    for (const open of this.#open.values()) if (open === key) return true;
    return false;
  }

  /** Takes the states of the other side; a stream that it opened gets ours, what we learnt included. */
  receive(stream: StreamId, message: PushPull): void {
    const { outbox } = this.#context;
    const isAnswer = this.#open.delete(stream);
    this.#membership.mergeAll(message.states);
    if (isAnswer) {
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

  #tick(): void {
    const { timers, now, roster, isLeaving } = this.#context;
    if (isLeaving) return;
    timers.schedule(now + this.#intervalMs(), () => {
      this.#tick();
    });
    for (const target of roster.pick(1, isLive)) this.exchange(target.endpoint, false);
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
    return { kind: 'pushPull', join, states, userState: new Uint8Array(0) };
  }
}
