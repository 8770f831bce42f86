import { gossipLimits } from '../config/defaults.ts';
import { crc32 } from './crc32.ts';
import { LamportClock } from './serf-clock.ts';
import type { SerfContext, SerfEffect, SerfInput, SerfOptions } from './serf-effect.ts';
import { SerfIntents } from './serf-intents.ts';
import { SerfMemory } from './serf-memory.ts';
import {
  decodeSerfMessage,
  encodeIntent,
  type Intent,
  type SerfMessage,
  type UserEvent,
} from './serf-message.ts';
import { SerfQueries } from './serf-queries.ts';
import { unwrapUserState, wrapUserState, type SerfState } from './serf-state.ts';

/**
 * This peer's part among serf agents: keeps Lamport time, passes on what agents broadcast, answers their
 * questions about keys, and says who leaves by its own word. Between peers the same messages rotate keys
 * and carry the state of the cluster. Bytes from outside never make it throw; own state above its limit
 * does (RangeError).
 */
export class SerfDelegate {
  readonly #context: SerfContext;
  readonly #clock = new LamportClock();
  readonly #eventClock = new LamportClock();
  readonly #queryClock = new LamportClock();
  readonly #intents = new SerfIntents();
  readonly #events = new SerfMemory();
  readonly #queries: SerfQueries;
  #own: Uint8Array = new Uint8Array(0);
  #ownVersion = 1;
  #stateVersion = 0;
  #stateAt = -Infinity;
  #isWakeDue = false;
  #hasJoined = false;
  #isLeaving = false;
  #turn = 0;
  #effects: SerfEffect[] = [];

  constructor(options: SerfOptions) {
    const add = (effect: SerfEffect): void => {
      this.#effects.push(effect);
    };
    this.#context = {
      options,
      now: 0,
      add,
      drop: (reason) => {
        add({ kind: 'count', name: 'gossip_drops', reason });
      },
      broadcast: (bytes) => {
        this.#turn = (this.#turn + 1) % gossipLimits.serfBroadcastsMax;
        add({ kind: 'broadcast', name: `serf-${this.#turn}`, bytes });
      },
    };
    this.#queries = new SerfQueries(this.#context, this.#queryClock);
  }

  /** Takes one input at `now`, in milliseconds of a clock that never goes back. */
  handle(input: SerfInput, now: number): readonly SerfEffect[] {
    this.#context.now = now;
    this.#dispatch(input);
    this.#refreshState(input.kind === 'setOwnState');
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #dispatch(input: SerfInput): void {
    switch (input.kind) {
      case 'message':
        this.#message(input.bytes);
        return;
      case 'state':
        this.#state(input.bytes, input.from);
        return;
      case 'setOwnState':
        this.#setOwnState(input.bytes);
        return;
      case 'leave':
        this.#leave();
        return;
      case 'askKeys':
        this.#queries.ask(input.operation, input.ticket, input.timeoutMs);
        return;
      case 'keysDone':
        this.#queries.keysDone(input.query, input.answer);
        return;
      case 'timer':
        this.#isWakeDue = false;
        this.#queries.expire();
        return;
    }
  }

  #message(bytes: Uint8Array): void {
    const decoded = decodeSerfMessage(bytes);
    if (!decoded.ok) {
      this.#context.drop(`serf-${decoded.fault}`);
      return;
    }
    this.#take(decoded.value, bytes);
  }

  #take(message: SerfMessage, bytes: Uint8Array): void {
    switch (message.kind) {
      case 'leave':
      case 'join':
        if (this.#intent(message)) this.#context.broadcast(bytes);
        return;
      case 'userEvent':
        this.#event(message, bytes);
        return;
      case 'query':
        this.#queries.take(message, bytes);
        return;
      case 'queryResponse':
        this.#queries.response(message);
        return;
      case 'relay':
        this.#queries.relay(message);
        return;
    }
  }

  /** True when it is new and shall be told on. */
  #intent(intent: Intent): boolean {
    this.#clock.witness(intent.time);
    const isOurs = intent.node === this.#context.options.name;
    if (intent.kind !== 'leave' || !isOurs || this.#isLeaving) return this.#intents.take(intent);
    // Our past before a restart, or an operator who thinks that we are gone.
    if (intent.time > (this.#intents.of(intent.node)?.time ?? 0)) this.#sayJoin();
    return false;
  }

  #event(event: UserEvent, bytes: Uint8Array): void {
    this.#eventClock.witness(event.time);
    const verdict = this.#events.note(event.time, crc32(bytes), this.#eventClock.time);
    if (verdict === 'new') this.#context.broadcast(bytes);
    else if (verdict !== 'seen') this.#context.drop(`serf-${verdict}`);
  }

  #state(bytes: Uint8Array, from: string | undefined): void {
    const unwrapped = unwrapUserState(bytes);
    if (!unwrapped.ok) {
      this.#context.drop(`serf-${unwrapped.fault}`);
      return;
    }
    const { serf, own } = unwrapped.value;
    this.#witness(serf);
    const left = new Set(serf.leftMembers);
    for (const [node, time] of serf.statusTimes) {
      // The time of the leaving itself is not told; it was after the one that is.
      if (left.has(node)) this.#intent({ kind: 'leave', node, time: time + 1 });
      else this.#intent({ kind: 'join', node, time });
    }
    if (!this.#hasJoined) this.#sayJoin();
    if (own !== undefined) this.#context.add({ kind: 'ownState', bytes: own, from });
  }

  /** Nothing was said yet at the times of a state: they are the next ones. */
  #witness({ time, eventTime, queryTime }: SerfState): void {
    if (time > 0) this.#clock.witness(time - 1);
    if (eventTime > 0) this.#eventClock.witness(eventTime - 1);
    if (queryTime > 0) this.#queryClock.witness(queryTime - 1);
  }

  /** Tells that we are here, later than all that was said of us. */
  #sayJoin(): void {
    this.#hasJoined = true;
    if (this.#isLeaving) return;
    this.#context.broadcast(encodeIntent(this.#ownIntent('join')));
  }

  #leave(): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    const bytes = encodeIntent(this.#ownIntent('leave'));
    this.#context.add({ kind: 'leaveIntent', bytes });
  }

  #ownIntent(kind: Intent['kind']): Intent {
    const intent: Intent = { kind, time: this.#clock.time, node: this.#context.options.name };
    this.#clock.tick();
    this.#intents.take(intent);
    return intent;
  }

  #setOwnState(bytes: Uint8Array): void {
    if (bytes.length > gossipLimits.ownStateBytesMax) {
      throw new RangeError(
        `the state of the cluster takes more than ${gossipLimits.ownStateBytesMax} bytes`,
      );
    }
    this.#own = bytes;
    this.#ownVersion++;
  }

  /** Gives the state for full syncs once it says something else. */
  #refreshState(isAtOnce: boolean): void {
    const version = this.#version();
    if (version === this.#stateVersion) return;
    const dueAt = this.#stateAt + gossipLimits.serfStateIntervalMs;
    if (!isAtOnce && this.#context.now < dueAt) {
      // It has all members and megabytes of ours in it, and a packet may bring hundreds of changes.
      if (!this.#isWakeDue) this.#context.add({ kind: 'wake', at: dueAt });
      this.#isWakeDue = true;
      return;
    }
    this.#stateVersion = version;
    this.#stateAt = this.#context.now;
    this.#context.add({ kind: 'userState', bytes: this.#userState() });
  }

  /** Another number after each change: each part of the sum only grows. */
  #version(): number {
    const times = [this.#clock, this.#eventClock, this.#queryClock].map(({ time }) => time);
    return times.reduce((sum, time) => sum + time, this.#ownVersion + this.#intents.version);
  }

  #userState(): Uint8Array {
    const intents = this.#context.options
      .members()
      .map(({ name }) => this.#intents.of(name))
      .filter((intent) => intent !== undefined);
    return wrapUserState(this.#own, {
      time: this.#clock.time,
      eventTime: this.#eventClock.time,
      queryTime: this.#queryClock.time,
      statusTimes: new Map(intents.map(({ node, time }) => [node, time])),
      leftMembers: intents.filter(({ kind }) => kind === 'leave').map(({ node }) => node),
    });
  }
}
