import { gossipProfiles, type GossipProfile } from '../../../src/config/defaults.ts';
import {
  firstIncarnation,
  Keyring,
  Seal,
  StreamDecoder,
  Swim,
  type Endpoint,
  type Member,
  type Seed,
  type SwimEffect,
  type SwimEvent,
  type SwimInput,
  type Tags,
} from '../../../src/gossip/index.ts';
import { ourVersions } from '../../../src/gossip/codec.ts';
import type { RemoteState } from '../../../src/gossip/message.ts';
import { encodeStreamMessage } from '../../../src/gossip/stream-codec.ts';
import { encodeTags } from '../../../src/gossip/tags.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import { Clock } from '../clock.ts';
import { Digest } from './digest.ts';
import { calm, passes, transitMs, type Path } from './path.ts';
import { SimulatedPeer } from './peer.ts';
import { Streams } from './streams.ts';
import { Views } from './views.ts';

/** Ethernet without jumbo frames, less the IPv4 and UDP headers: larger datagrams would be fragments. */
const datagramBytesMax = 1_472;
const port = 7_946;
/** The virtual clock starts on 2026-01-01. */
const startSeconds = 1_767_225_600;
const lookupMs = 5;

export interface NetworkOptions {
  readonly seed: number;
  /** `fast` by default. */
  readonly profile?: GossipProfile;
  /** Different member names at most; 64 by default. */
  readonly namesMax?: number;
}

export interface PeerOptions {
  /** `test` by default. */
  readonly label?: string;
  /** Keys of 16 bytes or more; the first encrypts. None: gossip is plain. */
  readonly keys?: readonly Uint8Array[];
  readonly seeds?: readonly Seed[];
  readonly tags?: Tags;
  /** A new address by default. */
  readonly endpoint?: Endpoint;
  /** By default the seconds that its clock shows when it starts. */
  readonly incarnation?: number;
  /** How far its wall clock is off when it starts. */
  readonly wallClockOffMs?: number;
  /** Whether its events and counts are kept for a test to look at; true by default. */
  readonly keepsRecords?: boolean;
}

/** What a test looks at while the simulation runs. */
export interface Observer {
  /** Every packet that a machine sends, before it is encrypted. */
  onSend?(from: SimulatedPeer, to: Endpoint, bytes: Uint8Array): void;
  onEvent?(peer: SimulatedPeer, event: SwimEvent): void;
}

/**
 * A whole cluster on virtual time: the real machines and the real codec, and around them a network and
 * processes that fail as told. All chance comes from one seed.
 */
export class GossipNetwork {
  readonly clock: Clock = new Clock();
  readonly profile: GossipProfile;
  readonly views: Views;
  readonly digest: Digest = new Digest();
  /** The last process of each name. */
  readonly peers: Map<string, SimulatedPeer> = new Map<string, SimulatedPeer>();
  /** Answers to look-ups of names. */
  readonly names: Map<string, readonly string[]> = new Map<string, readonly string[]>();
  readonly random: () => number;
  readonly #observers: Observer[] = [];
  /** What befalls traffic from one to the other. */
  path: (from: SimulatedPeer, to: SimulatedPeer) => Path = () => calm;
  /** Datagrams that were too large for one frame. */
  oversized = 0;
  readonly #streams: Streams;
  /** The last process at each address: one host has one. */
  readonly #hosts = new Map<string, SimulatedPeer>();
  #nextHost = 1;

  constructor(options: NetworkOptions) {
    this.random = seededRandom(options.seed);
    this.profile = options.profile ?? gossipProfiles.fast;
    this.views = new Views(options.namesMax ?? 64);
    this.#streams = new Streams({
      clock: this.clock,
      random: this.random,
      streamTimeoutMs: this.profile.streamTimeoutMs,
      at: (endpoint) => this.#at(endpoint),
      path: (from, to) => this.path(from, to),
    });
  }

  get nowMs(): number {
    return this.clock.nowMs;
  }

  watch(observer: Observer): void {
    this.#observers.push(observer);
  }

  /** Processes that run, paused ones included. */
  running(): readonly SimulatedPeer[] {
    return [...this.peers.values()].filter((peer) => peer.isRunning);
  }

  /** Starts a process. One of the same name that runs is not stopped. */
  add(name: string, options: PeerOptions = {}): SimulatedPeer {
    const peer = this.create(name, options);
    this.input(peer, { kind: 'start' });
    return peer;
  }

  /** Like `add`, but it has no input yet. */
  create(name: string, options: PeerOptions = {}): SimulatedPeer {
    const endpoint = options.endpoint ?? this.newEndpoint();
    const label = options.label ?? 'test';
    const seal = this.#seal(label, options.keys ?? []);
    const wallSeconds = startSeconds + (this.nowMs + (options.wallClockOffMs ?? 0)) / 1_000;
    const swim = new Swim(
      {
        name,
        incarnation: options.incarnation ?? firstIncarnation(wallSeconds),
        endpoint,
        label,
        seeds: options.seeds ?? [],
        profile: this.profile,
        tags: options.tags ?? {},
        packetOverheadBytes: seal.packetOverheadBytes,
        random: seededRandom(Math.floor(this.random() * 2 ** 32)),
      },
      this.nowMs,
    );
    const view = this.views.open(name);
    const keepsRecords = options.keepsRecords ?? true;
    const about = { name, endpoint, seal, swim, view, keepsRecords };
    const peer = new SimulatedPeer({ clock: this.clock, carryOut: this.#carryOut }, about);
    this.peers.set(name, peer);
    this.#hosts.set(endpoint.address, peer);
    return peer;
  }

  /**
   * Starts peers that know each other: before its start each hears of everybody by two full syncs, so that
   * it has nothing to tell. The states went through the codec once and serve for all.
   */
  warm(names: readonly string[], options: Omit<PeerOptions, 'endpoint' | 'seeds'> = {}): void {
    const peers = names.map((name) => this.create(name, options));
    const states = peers.map(({ swim }) => remoteState(swim.members()[0]!));
    const none = new Uint8Array(0);
    const welcome = { kind: 'pushPull', join: true, states, userState: none } as const;
    const decoded = new StreamDecoder(none, 'opened').push(encodeStreamMessage(none, welcome));
    if (!decoded.ok || decoded.value === undefined) throw new Error('the codec lost the welcome');
    const { value: message } = decoded;
    for (const peer of peers) {
      // Nobody waits for the answers to these streams.
      for (const stream of [-1, -3]) this.input(peer, { kind: 'streamMessage', stream, message });
    }
    for (const peer of peers) this.input(peer, { kind: 'start' });
  }

  newEndpoint(): Endpoint {
    const host = this.#nextHost++;
    return { address: `10.0.${host >> 8}.${host & 0xff}`, port };
  }

  input(peer: SimulatedPeer, input: SwimInput): void {
    peer.input(input);
  }

  /** Ends a process without a word: killed, or with its whole machine. */
  crash(peer: SimulatedPeer, what: 'process' | 'host' = 'process'): void {
    if (!peer.isRunning) return;
    peer.stop(what === 'host' ? 'host-down' : 'stopped');
    this.#streams.closeAll(peer);
    this.views.close(peer.view);
  }

  /** Nothing passes between the groups, in both directions; who is in none of them is cut off too. */
  partition(...groups: readonly (readonly SimulatedPeer[])[]): void {
    const groupOf = new Map(groups.flatMap((group, i) => group.map((peer) => [peer.name, i])));
    this.path = (from, to) =>
      groupOf.get(from.name) === groupOf.get(to.name) ? calm : { ...calm, isCut: true };
  }

  heal(): void {
    this.path = () => calm;
  }

  /** True when every running process holds exactly the running ones for alive. */
  isWhole(): boolean {
    let running = 0;
    for (const peer of this.peers.values()) {
      if (peer.isRunning) running++;
      const { name } = peer;
      if (peer.isRunning ? !this.views.allSee(name, 'alive') : this.#isHeldLive(name)) return false;
    }
    return running === this.views.observers;
  }

  allSee(name: string, state: 'alive' | 'suspect' | 'dead' | 'left'): boolean {
    return this.views.allSee(name, state);
  }

  run(ms: number): void {
    this.clock.run(ms);
  }

  /** Runs until a fact about the views comes true, at most `ms`; the time it took, Infinity when never. */
  runUntil(fact: () => boolean, ms: number): number {
    const start = this.nowMs;
    let seenVersion = -1;
    const isTrue = this.clock.runUntil(() => {
      if (this.views.version === seenVersion) return false;
      seenVersion = this.views.version;
      return fact();
    }, ms);
    return isTrue ? this.nowMs - start : Infinity;
  }

  #isHeldLive(name: string): boolean {
    return this.views.count(name, 'alive') > 0 || this.views.count(name, 'suspect') > 0;
  }

  readonly #carryOut = (peer: SimulatedPeer, effect: SwimEffect): void => {
    switch (effect.kind) {
      case 'send':
        this.#send(peer, effect.to, effect.bytes);
        return;
      case 'openStream':
        this.#streams.open(peer, effect.stream, effect.to, effect.bytes);
        return;
      case 'answerStream':
        this.#streams.answer(peer, effect.stream, effect.bytes);
        return;
      case 'closeStream':
        this.#streams.close(peer, effect.stream);
        return;
      case 'resolve':
        this.#resolve(peer, effect.host);
        return;
      case 'event':
        this.#event(peer, effect.event);
        return;
      case 'count':
        if (peer.keepsRecords) peer.addCount(`${effect.name}:${effect.reason}`, effect.by);
        return;
      case 'userState':
      case 'userMessage':
        if (!peer.keepsRecords) return;
        peer.received.push(effect);
        peer.order.push(effect.kind);
        return;
      default:
        // Nothing of the network: the process itself wakes up, and no test looks at the rest.
        return;
    }
  };

  #seal(label: string, keys: readonly Uint8Array[]): Seal {
    const keyring = keys.length === 0 ? undefined : new Keyring(keys);
    return new Seal(label, keyring, () =>
      Uint8Array.from({ length: 12 }, () => this.random() * 256),
    );
  }

  #send(from: SimulatedPeer, to: Endpoint, plain: Uint8Array): void {
    const bytes = from.seal.sealPacket(plain);
    from.sentPackets++;
    from.sentBytes += bytes.length;
    if (bytes.length > from.largestPacketBytes) from.largestPacketBytes = bytes.length;
    for (const observer of this.#observers) observer.onSend?.(from, to, plain);
    this.digest.addTime(this.nowMs);
    this.digest.add(bytes.length);
    if (bytes.length > datagramBytesMax) {
      this.oversized++;
      return;
    }
    if (from.sendDelayMs === 0) {
      this.#transmit(from, to, bytes);
      return;
    }
    this.clock.after(from.sendDelayMs, () => {
      this.#transmit(from, to, bytes);
    });
  }

  #transmit(from: SimulatedPeer, to: Endpoint, bytes: Uint8Array): void {
    const target = this.#at(to);
    if (target === undefined || from.life === 'host-down') return;
    const path = this.path(from, target);
    const copies = path.duplicated > 0 && this.random() < path.duplicated ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (path.refuses === 'packets' || !passes(path, this.random)) continue;
      this.clock.after(transitMs(path, this.random), () => {
        // Whoever is at the address now gets it.
        const now = this.#at(to)!;
        now.arrive(bytes.length, () => {
          const opened = now.seal.openPacket(bytes);
          if (opened.ok) now.input({ kind: 'packet', bytes: opened.value, from: from.endpoint });
          else now.addCount(`gossip_drops:${opened.fault}`);
        });
      });
    }
  }

  #at(endpoint: Endpoint): SimulatedPeer | undefined {
    const peer = this.#hosts.get(endpoint.address);
    return peer?.endpoint.port === endpoint.port ? peer : undefined;
  }

  #resolve(peer: SimulatedPeer, host: string): void {
    peer.after(lookupMs, () => {
      peer.input({ kind: 'resolved', host, addresses: this.names.get(host) ?? [] });
    });
  }

  #event(peer: SimulatedPeer, event: SwimEvent): void {
    this.digest.addTime(this.nowMs);
    this.digest.addText(event.kind);
    if (event.kind !== 'left' && event.kind !== 'conflict') {
      const { name, state, incarnation } = event.member;
      this.digest.addText(name);
      this.digest.add(incarnation);
      if (peer.isRunning) this.views.note(peer.view, name, state);
    }
    if (peer.keepsRecords) {
      peer.events.push({ at: this.nowMs, event });
      peer.order.push(event.kind);
    }
    for (const observer of this.#observers) observer.onEvent?.(peer, event);
  }
}

function remoteState(member: Member): RemoteState {
  const { name, address, port: memberPort, incarnation, state, tags } = member;
  const meta = encodeTags(tags);
  return { name, address, port: memberPort, meta, incarnation, state, versions: ourVersions };
}
