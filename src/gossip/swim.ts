import { gossipIncarnationEpochSeconds, gossipLimits } from '../config/defaults.ts';
import type { Endpoint } from './address.ts';
import { encodeMessage, ourVersions } from './codec.ts';
import type { SwimContext, SwimOptions } from './context.ts';
import {
  Outbox,
  type StreamId,
  type SwimCommand,
  type SwimEffect,
  type SwimInput,
} from './effect.ts';
import { FullSync } from './full-sync.ts';
import { Gossiper } from './gossiper.ts';
import { Health } from './health.ts';
import { Joiner } from './joiner.ts';
import { isLive, snapshot, type Member, type MemberRecord } from './member.ts';
import { Membership } from './membership.ts';
import { packetKind, type Message, type StreamMessage } from './message.ts';
import { News, userSubject } from './news.ts';
import { decodePacket, labelHeader } from './packet.ts';
import { Post } from './post.ts';
import { Prober } from './prober.ts';
import { Roster } from './roster.ts';
import { RunningTime } from './running-time.ts';
import { encodeStreamMessage } from './stream-codec.ts';
import { Suspicions } from './suspicion.ts';
import { decodeTags, encodeTags } from './tags.ts';
import { Timers } from './timers.ts';

/** The first incarnation of a process that started at `epoch` (seconds since 1970). */
export function firstIncarnation(epoch: number): number {
  const seconds = Math.floor(epoch) - gossipIncarnationEpochSeconds;
  return Math.min(Math.max(seconds, 1), gossipLimits.incarnationMax);
}

/**
 * SWIM without I/O: packets, streams, time and commands in, effects out. The order of effects matters
 * and they are due at once. Bytes from outside never make it throw; it throws only on tags that do not
 * fit and on a label that is too long, which are the caller's.
 */
export class Swim {
  readonly #context: SwimContext;
  readonly #membership: Membership;
  readonly #prober: Prober;
  readonly #gossiper: Gossiper;
  readonly #sync: FullSync;
  readonly #joiner: Joiner;
  readonly #post: Post;
  readonly #time: RunningTime;
  /** The outer time that the shell was last asked to wake us at. */
  #wakeAt: number | undefined;

  constructor(options: SwimOptions, now: number) {
    const outbox = new Outbox();
    let stream = 0;
    this.#time = new RunningTime(now);
    this.#context = {
      options,
      header: labelHeader(options.label),
      roster: new Roster(selfRecord(options, now), options.random),
      timers: new Timers(),
      outbox,
      news: new News(() => {
        outbox.count('gossip_drops', 'news-full');
      }),
      health: new Health(options.profile.healthMax),
      now,
      isLeaving: false,
      nextStream: () => (stream += 2),
    };
    const post = new Post(this.#context);
    this.#post = post;
    const suspicions = new Suspicions(
      this.#context,
      (record) => {
        this.#prober.probe(record);
      },
      (record) => {
        this.#membership.condemn(record);
      },
    );
    this.#membership = new Membership(this.#context, suspicions);
    this.#prober = new Prober(this.#context, this.#membership, suspicions, post);
    this.#gossiper = new Gossiper(this.#context, post);
    this.#sync = new FullSync(this.#context, this.#membership);
    this.#joiner = new Joiner(this.#context, this.#membership, this.#sync);
  }

  /**
   * Takes one input at `now`, in milliseconds of a clock that never goes back. Inputs that come late because
   * the process stood still are understood: see `RunningTime`.
   */
  handle(input: SwimInput, now: number): readonly SwimEffect[] {
    const { timers, outbox, health } = this.#context;
    if (this.#time.advance(now, timers.nextAt)) {
      outbox.count('gossip_timers', 'late');
      health.add(1);
    }
    this.#context.now = this.#time.now;
    this.#dispatch(input);
    this.#gossiper.wakeIfNeeded();
    const dueAt = timers.nextAt;
    const wakeAt = dueAt === undefined ? undefined : this.#time.wakeAt(dueAt);
    if (wakeAt !== undefined && wakeAt !== this.#wakeAt) outbox.add({ kind: 'wake', at: wakeAt });
    this.#wakeAt = wakeAt;
    return outbox.drain();
  }

  /** How far this peer may trust its own ears: 0 is well, the profile's `healthMax` the worst. */
  get health(): number {
    return this.#context.health.score;
  }

  /** Whether a living member has this address. */
  livesAt(address: string): boolean {
    return this.#context.roster.livesAt(address);
  }

  /** All members known, this peer first; those that failed or left stay listed until forgotten. */
  members(): readonly Member[] {
    return [...this.#context.roster.all()].map(snapshot);
  }

  #dispatch(input: SwimInput): void {
    switch (input.kind) {
      case 'packet':
        this.#packet(input.bytes, input.from);
        return;
      case 'streamMessage':
        this.#streamMessage(input.stream, input.message);
        return;
      case 'streamClosed':
        if (!this.#prober.streamClosed(input.stream)) this.#sync.closed(input.stream);
        return;
      case 'timer':
        this.#timer();
        return;
      case 'resolved':
        this.#joiner.resolved(input.host, input.addresses);
        return;
      default:
        this.#command(input);
    }
  }

  #command(input: SwimCommand): void {
    switch (input.kind) {
      case 'start':
        this.#start();
        return;
      case 'setTags':
        this.#membership.setTags(input.tags);
        return;
      case 'leave':
        this.#leave(input.intent);
        return;
      case 'seeds':
        this.#joiner.found(input.seeds);
        return;
      case 'probe':
        this.#prober.probeByName(input.name);
        return;
      case 'sync':
        this.#sync.syncWith(input.name);
        return;
      case 'setUserState':
        this.#sync.setUserState(input.bytes);
        return;
      case 'broadcast':
        this.#broadcast(input.name, input.bytes);
        return;
      case 'sendUser':
        this.#post.sendPlain(input.to, userMessage(input.bytes));
        return;
    }
  }

  #timer(): void {
    const { timers, now } = this.#context;
    this.#wakeAt = undefined;
    if (timers.nextAt === undefined || timers.nextAt > now || !this.#time.mayRunTimers) return;
    timers.runDue(now);
    this.#time.timersRan();
  }

  #start(): void {
    this.#membership.announce();
    this.#prober.start();
    this.#sync.start();
    this.#joiner.start();
  }

  #leave(intent: Uint8Array | undefined): void {
    const { outbox, timers, roster, now } = this.#context;
    if (this.#context.isLeaving) return;
    this.#context.isLeaving = true;
    if (intent !== undefined) this.#tellIntent(intent);
    let isDone = false;
    const finish = (): void => {
      if (isDone) return;
      isDone = true;
      outbox.event({ kind: 'left' });
    };
    const isAlone = roster.isAlone();
    this.#membership.leave(finish);
    if (isAlone) finish();
    else timers.schedule(now + gossipLimits.leaveTimeoutMs, finish);
  }

  /** A member that heard our death before our intent would take the leave for a failure. */
  #tellIntent(intent: Uint8Array): void {
    const message = userMessage(intent);
    const targets = this.#context.roster.pick(gossipLimits.leaveIntentsMax, isLive);
    for (const target of targets) this.#post.sendPlain(target.endpoint, message);
    this.#broadcast('leave intent', intent);
  }

  #broadcast(name: string, bytes: Uint8Array): void {
    this.#context.news.put(userSubject(name), encodeMessage(userMessage(bytes)), false);
  }

  #packet(bytes: Uint8Array, from: Endpoint): void {
    const { outbox, header } = this.#context;
    // A forged source: nothing can be sent to port 0.
    if (from.port === 0) {
      outbox.count('gossip_drops', 'no-source-port');
      return;
    }
    const packet = decodePacket(bytes, header);
    if (!packet.ok) {
      outbox.count('gossip_drops', packet.fault);
      return;
    }
    const kind = packetKind(packet.value.messages);
    outbox.count('gossip_packets_in', kind);
    outbox.count('gossip_bytes_in', kind, bytes.length);
    for (const fault of packet.value.faults) outbox.count('gossip_drops', fault);
    for (const message of packet.value.messages) this.#message(message, from);
    this.#correct(packet.value.messages, from);
  }

  #message(message: Message, from: Endpoint): void {
    switch (message.kind) {
      case 'ping':
        this.#prober.ping(message, from);
        return;
      case 'indirectPing':
        this.#prober.relay(message, from);
        return;
      case 'ack':
        this.#prober.ack(message);
        return;
      case 'nack':
        this.#prober.nack(message, from);
        return;
      case 'alive':
        this.#membership.alive(message);
        return;
      case 'suspect':
        this.#membership.suspect(message);
        return;
      case 'dead':
        this.#membership.dead(message);
        return;
      case 'user':
        this.#context.outbox.add({ kind: 'userMessage', bytes: message.payload, from });
        return;
      case 'error':
        this.#context.outbox.count('gossip_drops', 'unsupported');
        return;
    }
  }

  /**
   * Whoever accuses by old news gets the new: one that hears badly may have missed the refutation. One packet
   * answers one: its sender may be forged.
   */
  #correct(messages: readonly Message[], from: Endpoint): void {
    const refutations = new Map<string, Message>();
    for (const message of messages) {
      if (message.kind !== 'suspect' && message.kind !== 'dead') continue;
      const alive = this.#membership.refutation(message);
      if (alive !== undefined) refutations.set(message.node, alive);
    }
    const sender = refutations.size === 0 ? undefined : this.#context.roster.at(from);
    if (sender !== undefined) this.#post.sendSome(sender, [...refutations.values()]);
  }

  #streamMessage(stream: StreamId, message: StreamMessage): void {
    const { outbox } = this.#context;
    if (message.kind === 'pushPull') {
      this.#sync.receive(stream, message);
      return;
    }
    const ack = message.kind === 'ping' ? this.#prober.streamPing(message) : undefined;
    if (ack !== undefined) {
      const bytes = encodeStreamMessage(new Uint8Array(0), ack);
      outbox.add({ kind: 'answerStream', stream, bytes });
      return;
    }
    if (message.kind === 'ack' && this.#prober.streamMessage(stream, message)) return;
    // A wrong name, an error of the other side or an answer that nobody asked for ends the stream.
    outbox.count('gossip_drops', message.kind === 'ping' ? 'not-for-us' : 'stream-refused');
    if (!this.#prober.streamClosed(stream)) this.#sync.closed(stream);
    outbox.add({ kind: 'closeStream', stream });
  }
}

/** Throws RangeError on a message that does not fit a packet with all that may surround it. */
function userMessage(payload: Uint8Array): Message {
  if (payload.length > gossipLimits.userMessageBytesMax) {
    throw new RangeError(`a user message is at most ${gossipLimits.userMessageBytesMax} bytes`);
  }
  return { kind: 'user', payload };
}

function selfRecord(options: SwimOptions, now: number): MemberRecord {
  const meta = encodeTags(options.tags);
  return {
    name: options.name,
    endpoint: options.endpoint,
    meta,
    tags: decodeTags(meta),
    versions: ourVersions,
    told: undefined,
    contentIncarnation: options.incarnation,
    incarnation: options.incarnation,
    state: 'alive',
    stateSince: now,
    suspicion: undefined,
    isDoubted: false,
    isUntold: false,
  };
}
