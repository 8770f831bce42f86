import { inspect } from 'node:util';
import { ringChangeLimits, transactionLimits } from '../../src/config/defaults.ts';
import type { PipelineOptions } from '../../src/pipeline/ports.ts';
import type { Rules } from '../../src/dcr/index.ts';
import { TransactionMemory, viaParameter, type SipMessage } from '../../src/sip/index.ts';
import { seededRandom } from '../support/gossip-network.ts';
import { audit } from './audit.ts';
import { Clock } from './clock.ts';
import { SimulatedLinks } from './links.ts';
import { SimulatedMembership } from './membership.ts';
import { fairWeather, Network, type Weather } from './network.ts';
import { SimulatedPeer, type World } from './peer.ts';
import { Sprayer, type SprayerMode } from './sprayer.ts';
import { Trace, type Hop } from './trace.ts';
import { UserAgent } from './user-agent.ts';

export interface SimulationOptions {
  readonly seed: number;
  readonly sprayer: SprayerMode;
  /** Default: 4. */
  readonly peers?: number;
  /** Default: nothing is lost. */
  readonly weather?: Weather;
  readonly rules?: Rules;
  readonly algorithm?: ReturnType<PipelineOptions['algorithm']>;
  /** Default: true, so that any peer may get a response. */
  readonly viaNamesSprayer?: boolean;
  /** News takes a time up to this for each peer. Default: 200. */
  readonly newsMsMax?: number;
  /** The first peers have met a transaction time-out ago. Default: true. */
  readonly isSettled?: boolean;
  /** Makes each peer's transaction memory. */
  readonly createMemory?: () => TransactionMemory;
  /** Notes are lost and questions to directories never answered. */
  readonly isDirectoryDown?: boolean;
}

/** How a peer dies: its host resets connections to it, or all that is sent to it vanishes. */
export type Death = 'process' | 'host';

const publicAddress = '10.0.0.100:5060';

/** One request as an application was given it. */
export interface Delivery {
  readonly instance: string;
  readonly message: SipMessage;
  readonly hop: Hop;
}

/** A cluster, its sprayer and its callers in one process, on virtual time; all chance from one seed. */
export class Simulation {
  readonly clock: Clock = new Clock();
  readonly trace: Trace = new Trace(() => this.clock.nowMs);
  readonly random: () => number;
  readonly network: Network;
  readonly peers: Map<string, SimulatedPeer> = new Map<string, SimulatedPeer>();
  readonly phones: UserAgent[] = [];
  readonly #options: SimulationOptions;
  readonly #world: World;
  readonly #links: SimulatedLinks;
  readonly #membership: SimulatedMembership;
  readonly #sprayer: Sprayer<SimulatedPeer>;
  readonly #endedAt = new Map<string, number>();
  readonly #disabledAt = new Map<string, number>();
  #rules: Rules | undefined;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#rules = options.rules;
    const { clock, trace } = this;
    const random = (this.random = seededRandom(options.seed));
    this.network = new Network({ clock, trace, random, weather: options.weather ?? fairWeather });
    this.#links = new SimulatedLinks({ clock, trace, random });
    this.#links.isDirectoryDown = options.isDirectoryDown ?? false;
    this.#membership = new SimulatedMembership({ clock, random, newsMsMax: this.newsMsMax });
    this.#sprayer = new Sprayer<SimulatedPeer>(options.sprayer, random);
    this.network.attachDistributor(publicAddress, (from) => this.#sprayer.choose(from));
    this.#world = {
      clock,
      trace,
      random,
      network: this.network,
      links: this.#links,
      membership: this.#membership,
    };
    const peers = Array.from({ length: options.peers ?? 4 }, () => this.#create());
    // All at once, so that each sees the others from the beginning.
    this.#membership.found(peers);
    for (const peer of peers) peer.status = 'ready';
    this.#sprayer.targets = peers;
    if (options.isSettled ?? true) this.clock.run(transactionLimits.timeoutMs + 1);
  }

  get newsMsMax(): number {
    return this.#options.newsMsMax ?? 200;
  }

  /** Peers that can be asked anything. */
  get running(): SimulatedPeer[] {
    return [...this.peers.values()].filter((peer) => peer.isRunning);
  }

  /** Instances that get new sessions. */
  get ready(): SimulatedPeer[] {
    return this.running.filter((peer) => peer.status === 'ready');
  }

  peer(name: string): SimulatedPeer {
    const peer = this.peers.get(name);
    if (peer === undefined) throw new Error(`no peer ${name}`);
    return peer;
  }

  // --- what befalls the cluster

  /** A peer comes; it is ready when all others have heard of it, so that they have links to it. */
  join(): SimulatedPeer {
    const peer = this.#create();
    this.#membership.join(peer);
    peer.announce('joining');
    this.clock.after(this.newsMsMax, () => {
      if (!peer.isRunning) return;
      peer.announce('ready');
      this.#sprayer.targets = [...this.#sprayer.targets, peer];
    });
    return peer;
  }

  #create(): SimulatedPeer {
    const number = this.peers.size + 1;
    const { algorithm = 'consistent-hash', viaNamesSprayer = true, createMemory } = this.#options;
    const options = { name: `p${number}`, number, publicAddress, algorithm, viaNamesSprayer };
    const memory = createMemory?.() ?? new TransactionMemory();
    const peer = new SimulatedPeer({ ...options, rules: this.#rules, memory }, this.#world);
    this.peers.set(peer.name, peer);
    this.network.attach(peer.address, peer);
    this.#links.attach(peer);
    return peer;
  }

  drain(name: string): void {
    this.peer(name).announce('draining');
  }

  disable(name: string): void {
    this.#disabledAt.set(name, this.clock.nowMs);
    this.peer(name).announce('disabled');
  }

  /** It says good-bye: links close and everybody hears of it, and the sprayer sends nothing more. */
  leave(name: string): void {
    this.#end(name);
    this.#links.end(name, 'reset');
    this.#membership.end(name, 'left');
  }

  /** @param noticedMs how long it takes until gossip is sure, beside the time of the news */
  kill(name: string, death: Death, noticedMs: number): void {
    this.#end(name);
    this.#links.end(name, death === 'process' ? 'reset' : 'silent');
    this.#membership.end(name, 'dead', noticedMs);
  }

  /**
   * Gossip accuses a peer that lives: each other peer suspects it from a time of its own on, if it hears
   * of that before the refutation.
   *
   * @param refutedMs how long it takes until the accused says that it lives
   * @param doubters whom the accusation reaches; default: all
   */
  suspect(name: string, refutedMs: number, doubters?: readonly string[]): void {
    this.#membership.suspect(name, doubters);
    this.clock.after(refutedMs, () => {
      if (this.peer(name).isRunning) this.#membership.refute(name);
    });
  }

  /** The link between two peers is down, while both live and nobody counts them dead. */
  cut(peer: string, other: string): void {
    this.#links.cut(peer, other);
  }

  /** Each peer gets the rules at a time of its own. */
  replaceRules(rules: Rules | undefined): void {
    this.#rules = rules;
    for (const peer of this.running) {
      this.clock.after(this.random() * this.newsMsMax, () => peer.replaceRules(rules));
    }
  }

  /** Lets all news reach everybody. */
  settle(): void {
    // Twice, for a peer that joins has two things to tell.
    this.clock.run(2 * this.newsMsMax + ringChangeLimits.waitMsMax + 1);
  }

  #end(name: string): void {
    const peer = this.peer(name);
    this.#endedAt.set(name, this.clock.nowMs);
    peer.stop();
    this.#sprayer.targets = this.#sprayer.targets.filter((target) => target !== peer);
  }

  // --- who calls

  /** A user agent outside. */
  phone(): UserAgent {
    const number = this.phones.length + 1;
    const name = `phone${number}`;
    const address = `198.51.${100 + (number >> 8)}.${number & 255}:5062`;
    const { network } = this;
    const phone = new UserAgent({
      name,
      address,
      clock: this.clock,
      random: this.random,
      proxy: publicAddress,
      sendRequest: (bytes, to) => network.send(address, to, bytes, name),
      sendResponse: (bytes, to) => network.send(address, to, bytes, name),
    });
    network.attach(address, {
      name,
      isListening: () => true,
      receive: (bytes) => phone.receive(bytes),
    });
    this.phones.push(phone);
    return phone;
  }

  // --- what is known afterwards

  /** Requests of a call as applications were given them, in order. */
  deliveries(callId: string, method?: string): Delivery[] {
    const found: Delivery[] = [];
    for (const hop of this.trace.hops) {
      const { message, leg, from } = hop;
      if (leg !== 'application' || message?.isRequest !== true) continue;
      if (message.callId !== callId || !this.peers.has(from)) continue;
      if (method === undefined || message.method === method) {
        found.push({ instance: from, message, hop });
      }
    }
    return found;
  }

  /** Instance that a call's INVITE was given to first. */
  instanceOf(callId: string): string | undefined {
    return this.deliveries(callId, 'INVITE')[0]?.instance;
  }

  /** Key digest that a call's first request was stamped with. */
  keyDigestOf(callId: string): string {
    const first = this.trace.hops.find(
      ({ message, from }) =>
        message?.isRequest === true && message.callId === callId && this.peers.has(from),
    );
    return viaParameter(first?.message?.topVia?.parameters ?? '', 'bekey') ?? '';
  }

  /** Who serves in place of an instance, as a peer that knows everything sees it. */
  successorOf(instance: string, keyDigest: string): string | undefined {
    const knowing = this.ready.find((peer) => peer.name !== instance);
    return knowing?.view.ring.successors(keyDigest, 3).find((name) => name !== instance);
  }

  /** Instance that has a call: it was given the first request, or began it. */
  homeOf(callId: string): string | undefined {
    const first = this.trace.hops.find(
      ({ message, leg }) => leg === 'application' && message?.callId === callId,
    );
    return first?.from.replace(/-app$/, '');
  }

  /** When an instance was disabled. */
  disabledAt(instance: string): number | undefined {
    return this.#disabledAt.get(instance);
  }

  /** When an instance left or died. */
  endedAt(instance: string): number | undefined {
    return this.#endedAt.get(instance);
  }

  /** Faults of the trace, and of the peers' own code. */
  faults(): string[] {
    const faults = audit({
      hops: this.trace.hops,
      peers: this.peers,
      endedAt: (instance) => this.#endedAt.get(instance),
      disabledAt: (instance) => this.#disabledAt.get(instance),
    }).map(({ callId, text }) => `${text}\n${this.trace.ofCall(callId)}`);
    for (const { name, defects } of this.peers.values()) {
      for (const defect of defects) faults.push(`${name}: ${inspect(defect)}`);
    }
    return faults;
  }
}
