import { lookup } from 'node:dns/promises';
import { gossipLimits, gossipProfiles } from '../../config/defaults.ts';
import {
  canonicalAddress,
  changeKeys,
  endpointText,
  firstIncarnation,
  parseSeed,
  Swim,
  type Endpoint,
  type KeyAnswer,
  type KeyAnswers,
  type KeyOperation,
  type Keyring,
  type Member,
  type Seed,
  type SwimEffect,
  type SwimEvent,
  type SwimInput,
  type Tags,
} from '../../gossip/index.ts';
import type { Counters } from '../../pipeline/counters.ts';
import { advertisedEndpoint } from './advertise.ts';
import { Border } from './border.ts';
import { MemberEvents, type GossipLog } from './member-events.ts';
import { GossipPackets } from './packets.ts';
import { SerfBridge } from './serf-bridge.ts';
import { bindGossipSockets, type GossipSockets } from './sockets.ts';
import { GossipStreams } from './streams.ts';

/** Effects on sockets, the clock and names; the others tell somebody something. */
interface ShellEffect {
  readonly kind: 'send' | 'openStream' | 'answerStream' | 'closeStream' | 'resolve' | 'wake';
}

export interface GossipAgentOptions {
  /** Name of this peer, the same after every restart. */
  readonly name: string;
  /** Start time of this process in seconds since 1970; told to others as the tag `epoch`. */
  readonly epoch: number;
  /** Name of the cluster; packets and streams of others are dropped. '' switches the label off. */
  readonly label: string;
  /** An IP address and a port for UDP and TCP; port 0 takes a free one. */
  readonly listen: Endpoint;
  /** Where others reach this peer; by default where it listens. Port 0: the bound one. */
  readonly advertise?: Endpoint;
  /** `host:port` each; names are looked up again and again. */
  readonly seeds: readonly string[];
  readonly profile: 'fast' | 'lan' | 'wan';
  /** Keys of 16, 24 or 32 bytes: the first encrypts, any decrypts. By default gossip is plain. */
  readonly keys?: readonly Uint8Array[];
  /** Keeps keys that were changed while the peer runs; tells whether it could. Never rejects. */
  readonly keepKeys?: (keys: readonly Uint8Array[]) => Promise<boolean>;
  /** Addresses and networks that may speak; by default all. */
  readonly allow?: readonly string[];
  /** At most 512 bytes when encoded. */
  readonly tags: Tags;
  readonly counters: Counters;
  /** Called once for all that one turn of the event loop changed. */
  readonly onChange: (members: readonly Member[]) => void;
  /** What a full sync brought beside the members, before those are merged. */
  readonly onUserState?: (bytes: Uint8Array, from: string | undefined) => void;
  readonly log: GossipLog;
}

/**
 * This peer's part in the membership: sockets, clock and chance around the machine of the gossip room.
 * Life: `start`, then any of the others, `leave` when it goes by its own will, `stop`.
 */
export class GossipAgent {
  readonly #options: GossipAgentOptions;
  readonly #seeds: readonly Seed[];
  readonly #border: Border;
  readonly #streams: GossipStreams;
  readonly #events: MemberEvents;
  readonly #inputs: SwimInput[] = [];
  readonly #lookups = new Set<string>();
  #tags: Tags;
  #userState: Uint8Array = new Uint8Array(0);
  #swim: Swim | undefined;
  #serf: SerfBridge | undefined;
  #sockets: GossipSockets | undefined;
  #packets: GossipPackets | undefined;
  #wake: NodeJS.Timeout | undefined;
  #isHandling = false;
  #isStopped = false;
  #leaving: PromiseWithResolvers<void> | undefined;

  /** Throws on a seed that is not `host:port`, a key of another size and an unknown form of network. */
  constructor(options: GossipAgentOptions) {
    this.#options = options;
    this.#tags = options.tags;
    this.#seeds = options.seeds.map((text) => {
      const seed = parseSeed(text);
      if (seed === undefined) throw new Error(`the gossip seed "${text}" is not host:port`);
      return seed;
    });
    const { label, keys = [], allow = [], counters } = options;
    this.#border = new Border({ label, keys, allow, counters });
    this.#events = new MemberEvents({
      counters,
      log: options.log,
      members: () => this.members(),
      onChange: options.onChange,
    });
    this.#streams = new GossipStreams({
      border: this.#border,
      timeoutMs: gossipProfiles[options.profile].streamTimeoutMs,
      counters: options.counters,
      isMember: (address) => this.#swim?.livesAt(canonicalAddress(address) ?? address) === true,
      onInput: (input) => {
        this.#input(input);
      },
    });
  }

  /** The bound port; 0 while none is bound. */
  get port(): number {
    return this.#sockets?.port ?? 0;
  }

  /** What encrypts, to be changed while the peer runs; undefined where gossip is plain. */
  get keys(): Keyring | undefined {
    return this.#border.keyring;
  }

  /** Binds the port and begins to join. Joining itself is never a failure: it is tried for ever. */
  async start(): Promise<void> {
    const { listen, advertise, log, seeds } = this.#options;
    if (this.#sockets !== undefined || this.#isStopped) throw new Error('gossip starts only once');
    const sockets = await bindGossipSockets(listen.address, listen.port);
    this.#sockets = sockets;
    let endpoint: Endpoint;
    try {
      endpoint = await advertisedEndpoint({ ...listen, port: sockets.port }, advertise);
      this.#swim = this.#createSwim(endpoint);
      this.#serf = this.#createSerf(endpoint);
    } catch (error) {
      await this.#stopSockets();
      throw error;
    }
    this.#packets = this.#createPackets(sockets);
    sockets.streams.on('connection', (socket) => {
      this.#streams.accept(socket);
    });
    sockets.streams.on('error', (error) => {
      log.error({ err: error }, 'the gossip stream socket failed');
    });
    if (seeds.length > gossipLimits.seedsMax) {
      log.warn({ seeds: seeds.length }, 'only the first gossip seeds are used');
    }
    log.info({ endpoint: endpointText(endpoint), port: sockets.port }, 'gossip listens');
    this.#serf.setOwnState(this.#userState);
    this.#input({ kind: 'start' });
  }

  /** All known members, this peer first; those that failed or left stay until they are forgotten. */
  members(): readonly Member[] {
    return this.#swim?.members() ?? [];
  }

  /** How far this peer trusts its own ears: 0 is well, 8 the worst. */
  get health(): number {
    return this.#swim?.health ?? 0;
  }

  /** Tells all others what this peer now says of itself. Throws when it takes more than 512 bytes. */
  setTags(tags: Tags): void {
    this.#tags = tags;
    if (this.#swim !== undefined) this.#input({ kind: 'setTags', tags: this.#allTags() });
  }

  /** Seeds that were found, to try beside the configured ones; they replace those found before. */
  setSeeds(seeds: readonly Seed[]): void {
    this.#input({ kind: 'seeds', seeds });
  }

  /** Probes a member at once, because a link to it failed. */
  probeSoon(name: string): void {
    this.#input({ kind: 'probe', name });
  }

  /** Exchanges all with a member at once, unless that is under way. */
  syncWith(name: string): void {
    this.#input({ kind: 'sync', name });
  }

  /** What every full sync brings to the other side. Throws RangeError above 4 MiB. */
  setUserState(bytes: Uint8Array): void {
    this.#userState = bytes;
    this.#serf?.setOwnState(bytes);
  }

  /**
   * Has this done to the gossip keys of all members, serf agents included, and of this peer first.
   * Settles with the answers once all have answered, or after the time for it.
   */
  async rotateKeys(operation: KeyOperation): Promise<KeyAnswers> {
    if (this.#serf === undefined || this.#isStopped) return { answers: new Map(), of: 0 };
    return this.#serf.askKeys(operation);
  }

  /** Tells the others that this peer goes; settles when that is spread, after 1 s at the latest. */
  async leave(): Promise<void> {
    if (this.#swim === undefined || this.#isStopped) return;
    if (this.#leaving === undefined) {
      this.#leaving = Promise.withResolvers();
      this.#serf?.leave();
    }
    await this.#leaving.promise;
  }

  /** Closes everything at once; others find this peer dead unless it left before. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#events.stop();
    clearTimeout(this.#wake);
    this.#leaving?.resolve();
    this.#serf?.stop();
    await this.#stopSockets();
  }

  async #stopSockets(): Promise<void> {
    const sockets = this.#sockets;
    this.#sockets = undefined;
    this.#packets = undefined;
    this.#streams.closeAll();
    if (sockets === undefined) return;
    await Promise.all([
      new Promise<void>((resolve) => {
        sockets.packets.close(resolve);
      }),
      new Promise<void>((resolve) => {
        sockets.streams.close(() => {
          resolve();
        });
      }),
    ]);
  }

  #createPackets({ packets: socket, isIPv6 }: GossipSockets): GossipPackets {
    const { counters, log } = this.#options;
    return new GossipPackets({
      socket,
      isIPv6,
      border: this.#border,
      counters,
      onInput: (input) => {
        this.#input(input);
      },
      onError: (error) => {
        log.error({ err: error }, 'the gossip packet socket failed');
      },
    });
  }

  #createSwim(endpoint: Endpoint): Swim {
    const { name, epoch, label, profile } = this.#options;
    return new Swim(
      {
        name,
        incarnation: firstIncarnation(epoch),
        endpoint,
        label,
        seeds: this.#seeds,
        profile: gossipProfiles[profile],
        tags: this.#allTags(),
        packetOverheadBytes: this.#border.packetOverheadBytes,
        isAllowed: (address) => this.#border.isAllowed(address),
        random: Math.random,
      },
      performance.now(),
    );
  }

  #createSerf(endpoint: Endpoint): SerfBridge {
    const { name, profile, counters, onUserState } = this.#options;
    return new SerfBridge({
      name,
      endpoint,
      gossipIntervalMs: gossipProfiles[profile].gossipIntervalMs,
      counters,
      members: () => this.members(),
      onInput: (input) => {
        this.#input(input);
      },
      onOwnState: (bytes, from) => onUserState?.(bytes, from),
      onKeys: (operation) => this.#changeKeys(operation),
    });
  }

  /** Whoever asked may forget the old keys once all have answered: so what is kept is kept by then. */
  async #changeKeys(operation: KeyOperation): Promise<KeyAnswer> {
    const { keepKeys } = this.#options;
    const { keyring } = this.#border;
    const answer = changeKeys(keyring, operation);
    if (keyring === undefined || keepKeys === undefined) return answer;
    if (!answer.isDone || operation.kind === 'list') return answer;
    if (await keepKeys(keyring.secrets())) return answer;
    return { isDone: false, message: 'done, but not on the disk: see the log', keys: [] };
  }

  #allTags(): Tags {
    return { epoch: `${this.#options.epoch}`, ...this.#tags };
  }

  /** One input at a time: what an effect brings at once waits until the effects before it are done. */
  #input(input: SwimInput): void {
    const swim = this.#swim;
    if (swim === undefined || this.#isStopped) return;
    this.#inputs.push(input);
    if (this.#isHandling) return;
    this.#isHandling = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        for (const effect of swim.handle(next, performance.now())) this.#do(effect);
      }
    } finally {
      this.#isHandling = false;
    }
  }

  #do(effect: SwimEffect): void {
    switch (effect.kind) {
      case 'send':
        this.#packets?.send(effect.to, effect.bytes);
        return;
      case 'openStream':
        this.#streams.open(effect.stream, effect.to, effect.bytes);
        return;
      case 'answerStream':
        this.#streams.answer(effect.stream, effect.bytes);
        return;
      case 'closeStream':
        this.#streams.close(effect.stream);
        return;
      case 'resolve':
        void this.#resolve(effect.host);
        return;
      case 'wake':
        this.#wakeAt(effect.at);
        return;
      default:
        this.#tell(effect);
    }
  }

  #tell(effect: Exclude<SwimEffect, ShellEffect>): void {
    switch (effect.kind) {
      case 'event':
        this.#event(effect.event);
        return;
      case 'userState':
        this.#serf?.state(effect.bytes, effect.from);
        return;
      case 'userMessage':
        this.#serf?.message(effect.bytes);
        return;
      case 'count':
        this.#options.counters.count(effect.name, effect.reason, effect.by);
        return;
    }
  }

  #wakeAt(at: number): void {
    clearTimeout(this.#wake);
    const delay = Math.max(0, Math.ceil(at - performance.now()));
    this.#wake = setTimeout(() => {
      this.#input({ kind: 'timer' });
    }, delay);
  }

  async #resolve(host: string): Promise<void> {
    if (this.#lookups.has(host)) return;
    this.#lookups.add(host);
    let addresses: readonly string[] = [];
    try {
      addresses = (await lookup(host, { all: true })).map((found) => found.address);
    } catch (error) {
      this.#options.log.debug({ host, err: error }, 'a gossip seed has no address now');
    }
    this.#lookups.delete(host);
    this.#input({ kind: 'resolved', host, addresses });
  }

  #event(event: SwimEvent): void {
    if (event.kind === 'left') this.#leaving?.resolve();
    else this.#events.add(event);
  }
}
