import { gossipProfiles, type GossipProfile } from '../../src/config/defaults.ts';
import {
  endpointText,
  firstIncarnation,
  labelHeader,
  StreamDecoder,
  Swim,
  type Endpoint,
  type Member,
  type MemberState,
  type Seed,
  type StreamId,
  type SwimEffect,
  type SwimEvent,
  type SwimInput,
} from '../../src/gossip/index.ts';
import { Timers, type Timer } from '../../src/gossip/timers.ts';
import { seededRandom } from './seeded-random.ts';

export { seededRandom };

export interface PeerOptions {
  readonly label?: string;
  readonly seeds?: readonly Seed[];
  readonly tags?: Readonly<Record<string, string>>;
  readonly endpoint?: Endpoint;
  readonly incarnation?: number;
  readonly userState?: Uint8Array;
}

/** One machine in the simulated network, and what it did. */
export class SimulatedPeer {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly label: string;
  readonly swim: Swim;
  readonly events: { readonly at: number; readonly event: SwimEvent }[] = [];
  readonly counts: Map<string, number> = new Map<string, number>();
  readonly streams: Map<StreamId, OpenStream> = new Map<StreamId, OpenStream>();
  /** What it got for the layer above. */
  readonly received: (SwimEffect & { readonly kind: 'userState' | 'userMessage' })[] = [];
  /** Kinds of what it got and of what happened, in their order. */
  readonly order: string[] = [];
  isRunning = true;
  /** What waits for a process that is stopped. */
  waiting: SwimInput[] | undefined;
  nextAccepted = 1;
  wake: Timer | undefined;

  constructor(name: string, endpoint: Endpoint, label: string, swim: Swim) {
    this.name = name;
    this.endpoint = endpoint;
    this.label = label;
    this.swim = swim;
  }

  member(name: string): Member | undefined {
    return this.swim.members().find((member) => member.name === name);
  }

  state(name: string): MemberState | undefined {
    return this.member(name)?.state;
  }

  has(kind: SwimEvent['kind'], name?: string): boolean {
    return this.events.some(
      ({ event }) =>
        event.kind === kind &&
        (name === undefined || ('member' in event && event.member.name === name)),
    );
  }

  count(key: string): number {
    return this.counts.get(key) ?? 0;
  }
}

interface OpenStream {
  readonly other: SimulatedPeer;
  readonly otherId: StreamId;
  readonly decoder: StreamDecoder;
}

export interface NetworkOptions {
  readonly seed: number;
  readonly profile?: GossipProfile;
  /** Share of packets lost. */
  readonly loss?: number;
  readonly delayMs?: readonly [number, number];
}

/** A whole cluster on virtual time: machines, packets, streams and what befalls them. */
export class GossipNetwork {
  readonly peers: Map<string, SimulatedPeer> = new Map<string, SimulatedPeer>();
  /** Every packet that was sent. */
  readonly packets: { readonly from: string; readonly to: string; readonly bytes: Uint8Array }[] =
    [];
  readonly profile: GossipProfile;
  /** True: this packet is lost. */
  dropPacket: (from: string, to: string) => boolean = () => false;
  /** True: no stream between the two comes about. */
  blockStream: (from: string, to: string) => boolean = () => false;
  now = 0;
  readonly #clock = new Timers();
  readonly #random: () => number;
  readonly #loss: number;
  readonly #delayMs: readonly [number, number];
  #nextHost = 1;

  constructor(options: NetworkOptions) {
    this.#random = seededRandom(options.seed);
    this.profile = options.profile ?? gossipProfiles.fast;
    this.#loss = options.loss ?? 0;
    this.#delayMs = options.delayMs ?? [0.2, 2];
  }

  /** Starts a peer; one of the same name that runs is not stopped. */
  add(name: string, options: PeerOptions = {}): SimulatedPeer {
    const endpoint = options.endpoint ?? { address: `10.0.0.${this.#nextHost++}`, port: 7946 };
    const label = options.label ?? 'test';
    const swim = new Swim(
      {
        name,
        // The virtual clock starts on 2026-01-01.
        incarnation: options.incarnation ?? firstIncarnation(1_767_225_600 + this.now / 1_000),
        endpoint,
        label,
        seeds: options.seeds ?? [],
        profile: this.profile,
        tags: options.tags ?? {},
        random: seededRandom(Math.floor(this.#random() * 2 ** 32)),
      },
      this.now,
    );
    const peer = new SimulatedPeer(name, endpoint, label, swim);
    this.peers.set(name, peer);
    const { userState } = options;
    if (userState !== undefined) this.input(peer, { kind: 'setUserState', bytes: userState });
    this.input(peer, { kind: 'start' });
    return peer;
  }

  /** Starts `count` peers p1, p2, … that all know p1, and runs until all see all alive. */
  grow(count: number): readonly SimulatedPeer[] {
    const first = this.add('p1');
    const seeds = [{ host: first.endpoint.address, port: first.endpoint.port }];
    const peers = [first];
    for (let i = 2; i <= count; i++) peers.push(this.add(`p${i}`, { seeds }));
    this.runUntil(() => this.allSeeAlive(peers), 10_000);
    return peers;
  }

  allSeeAlive(peers: readonly SimulatedPeer[]): boolean {
    return peers.every((peer) => peers.every((other) => peer.state(other.name) === 'alive'));
  }

  /** Stops the process: what comes waits. */
  pause(peer: SimulatedPeer): void {
    peer.waiting = [];
  }

  /** Lets it go on: its timer comes before what waits, as in the event loop of Node. */
  resume(peer: SimulatedPeer): void {
    const inputs = peer.waiting ?? [];
    peer.waiting = undefined;
    inputs.sort((one, other) => Number(other.kind === 'timer') - Number(one.kind === 'timer'));
    for (const input of inputs) this.input(peer, input);
  }

  /** Gives one input and does what the machine wants. */
  input(peer: SimulatedPeer, input: SwimInput): void {
    if (!peer.isRunning) return;
    if (peer.waiting !== undefined) {
      peer.waiting.push(input);
      return;
    }
    for (const effect of peer.swim.handle(input, this.now)) this.#do(peer, effect);
  }

  crash(peer: SimulatedPeer): void {
    peer.isRunning = false;
    peer.wake?.cancel();
    for (const [id, stream] of peer.streams) this.#abort(peer, id, stream);
  }

  /** Cuts both kinds of traffic between the groups. */
  partition(...groups: readonly (readonly SimulatedPeer[])[]): void {
    const groupOf = new Map(groups.flatMap((group, i) => group.map((peer) => [peer.name, i])));
    const isCut = (from: string, to: string): boolean => groupOf.get(from) !== groupOf.get(to);
    this.dropPacket = isCut;
    this.blockStream = isCut;
  }

  heal(): void {
    this.dropPacket = () => false;
    this.blockStream = () => false;
  }

  run(ms: number): void {
    this.runUntil(() => false, ms);
  }

  /** Runs until `done`, at most `ms`; returns the virtual time it took, Infinity when never. */
  runUntil(done: () => boolean, ms: number): number {
    const start = this.now;
    if (done()) return 0;
    for (;;) {
      const at = this.#clock.nextAt;
      if (at === undefined || at > start + ms) break;
      this.now = Math.max(this.now, at);
      this.#clock.runDue(this.now);
      if (done()) return this.now - start;
    }
    this.now = start + ms;
    return Infinity;
  }

  #do(peer: SimulatedPeer, effect: SwimEffect): void {
    switch (effect.kind) {
      case 'send':
        this.#send(peer, effect.to, effect.bytes);
        return;
      case 'openStream':
        this.#open(peer, effect.stream, effect.to, effect.bytes);
        return;
      case 'answerStream':
        this.#answer(peer, effect.stream, effect.bytes);
        return;
      case 'closeStream': {
        const stream = peer.streams.get(effect.stream);
        if (stream !== undefined) this.#abort(peer, effect.stream, stream);
        return;
      }
      case 'wake':
        peer.wake?.cancel();
        peer.wake = this.#clock.schedule(effect.at, () => {
          this.input(peer, { kind: 'timer' });
        });
        return;
      case 'event':
        peer.events.push({ at: this.now, event: effect.event });
        peer.order.push(effect.event.kind);
        return;
      case 'count': {
        const key = `${effect.name}:${effect.reason}`;
        peer.counts.set(key, peer.count(key) + effect.by);
        return;
      }
      case 'userState':
      case 'userMessage':
        peer.received.push(effect);
        peer.order.push(effect.kind);
        return;
      case 'resolve':
        return;
    }
  }

  #send(from: SimulatedPeer, to: Endpoint, bytes: Uint8Array): void {
    const target = this.#at(to);
    this.packets.push({ from: from.name, to: target?.name ?? endpointText(to), bytes });
    if (target === undefined || this.dropPacket(from.name, target.name)) return;
    if (this.#random() < this.#loss) return;
    this.#later(() => {
      this.input(target, { kind: 'packet', bytes, from: from.endpoint });
    });
  }

  #open(from: SimulatedPeer, id: StreamId, to: Endpoint, bytes: Uint8Array): void {
    const target = this.#at(to);
    const closed = (): void => {
      this.input(from, { kind: 'streamClosed', stream: id });
    };
    if (target === undefined) {
      this.#later(closed);
      return;
    }
    if (this.blockStream(from.name, target.name)) {
      this.#clock.schedule(this.now + this.profile.streamTimeoutMs, closed);
      return;
    }
    const otherId = target.nextAccepted;
    target.nextAccepted += 2;
    from.streams.set(id, {
      other: target,
      otherId,
      decoder: new StreamDecoder(labelHeader(from.label), 'opened'),
    });
    target.streams.set(otherId, {
      other: from,
      otherId: id,
      decoder: new StreamDecoder(labelHeader(target.label), 'accepted'),
    });
    this.#later(() => {
      this.#feed(target, otherId, bytes);
    });
  }

  #answer(from: SimulatedPeer, id: StreamId, bytes: Uint8Array): void {
    const stream = from.streams.get(id);
    if (stream === undefined) return;
    from.streams.delete(id);
    this.#later(() => {
      this.#feed(stream.other, stream.otherId, bytes);
    });
  }

  /** Brings stream bytes in two pieces, split at random. */
  #feed(peer: SimulatedPeer, id: StreamId, bytes: Uint8Array): void {
    const stream = peer.streams.get(id);
    if (stream === undefined || !peer.isRunning) return;
    const middle = Math.floor(this.#random() * bytes.length);
    for (const piece of [bytes.subarray(0, middle), bytes.subarray(middle)]) {
      const result = stream.decoder.push(piece);
      if (!result.ok) {
        const key = `gossip_drops:${result.fault}`;
        peer.counts.set(key, peer.count(key) + 1);
        this.#abort(peer, id, stream);
        return;
      }
      if (result.value !== undefined) {
        this.input(peer, { kind: 'streamMessage', stream: id, message: result.value });
        return;
      }
    }
  }

  /** Ends a stream at both ends; the other end hears of it. */
  #abort(peer: SimulatedPeer, id: StreamId, stream: OpenStream): void {
    peer.streams.delete(id);
    if (!stream.other.streams.delete(stream.otherId)) return;
    this.#later(() => {
      this.input(stream.other, { kind: 'streamClosed', stream: stream.otherId });
    });
  }

  #at(endpoint: Endpoint): SimulatedPeer | undefined {
    const key = endpointText(endpoint);
    for (const peer of this.peers.values()) {
      if (peer.isRunning && endpointText(peer.endpoint) === key) return peer;
    }
    return undefined;
  }

  #later(run: () => void): void {
    const [least, most] = this.#delayMs;
    this.#clock.schedule(this.now + least + this.#random() * (most - least), run);
  }
}

/** Lets a machine's time pass from one moment to another, in steps at which no timer is late. */
export function pass(swim: Swim, from: number, to: number): readonly SwimEffect[] {
  const effects: SwimEffect[] = [];
  for (let now = from; now < to;) {
    now = Math.min(to, now + 10);
    effects.push(...swim.handle({ kind: 'timer' }, now));
  }
  return effects;
}
