import { KeyDeriver } from '../../src/pipeline/key.ts';
import { Counters } from '../../src/pipeline/counters.ts';
import type { Envelope } from '../../src/pipeline/envelope.ts';
import { sipNames, type Arrival, type ListenerNames } from '../../src/pipeline/arrival.ts';
import { Pipeline } from '../../src/pipeline/pipeline.ts';
import type { PipelineOptions, PipelinePorts } from '../../src/pipeline/ports.ts';
import type { SipTarget } from '../../src/pipeline/sip-target.ts';
import { Stamper } from '../../src/pipeline/stamp.ts';
import { ViewKeeper } from '../../src/pipeline/view-keeper.ts';
import { isLiving, type ClusterView, type InstanceStatus } from '../../src/pipeline/view.ts';
import type { Rules } from '../../src/dcr/index.ts';
import type { Member } from '../../src/gossip/index.ts';
import type { TransactionMemory } from '../../src/sip/index.ts';
import type { Clock } from './clock.ts';
import type { LinkEnd, SimulatedLinks } from './links.ts';
import type { Addresses, SimulatedMembership } from './membership.ts';
import type { Host, Network } from './network.ts';
import type { Trace } from './trace.ts';
import { UserAgent } from './user-agent.ts';

/** What all peers of a simulation share. */
export interface World {
  readonly clock: Clock;
  readonly trace: Trace;
  readonly network: Network;
  readonly links: SimulatedLinks;
  readonly membership: SimulatedMembership;
  readonly random: () => number;
}

export interface PeerOptions {
  readonly name: string;
  /** Number of the peer: the last part of its addresses. */
  readonly number: number;
  readonly publicAddress: string;
  readonly algorithm: ReturnType<PipelineOptions['algorithm']>;
  readonly viaNamesSprayer: boolean;
  readonly rules: Rules | undefined;
  readonly memory: TransactionMemory;
}

const stampKeys = [{ id: 'k1', secret: Buffer.alloc(32, 7) }];

/**
 * A whole peer but for its sockets: the pipeline of the project with ports that lead into the
 * simulation, and an upstream application beside it.
 */
export class SimulatedPeer implements Host, LinkEnd {
  readonly name: string;
  readonly counters: Counters = new Counters();
  readonly defects: unknown[] = [];
  readonly memory: TransactionMemory;
  readonly application: UserAgent;
  /** `ip:port` of its listener. */
  readonly address: string;
  readonly addresses: Addresses;
  isRunning = true;
  status: InstanceStatus = 'joining';
  readonly #world: World;
  readonly #listener: ListenerNames;
  readonly #internal: ListenerNames;
  readonly #publicAddress: string;
  readonly #pipeline: Pipeline;
  readonly #keeper: ViewKeeper;
  #keys: KeyDeriver;

  constructor(options: PeerOptions, world: World) {
    const { name, number, publicAddress } = options;
    this.name = name;
    this.#world = world;
    this.memory = options.memory;
    this.address = `10.0.0.${number}:5060`;
    this.addresses = { internal: `10.0.1.${number}:5070`, application: `10.0.1.${number}:5080` };
    this.#publicAddress = publicAddress;
    const shared = { transport: 'UDP', isV6: false } as const;
    this.#listener = { ...shared, type: 'default', advertised: publicAddress, own: this.address };
    const { internal } = this.addresses;
    this.#internal = { ...shared, type: 'internal', advertised: internal, own: internal };
    this.#keeper = new ViewKeeper(name, world.clock.nowMs);
    this.#keys = new KeyDeriver(options.rules);
    this.#pipeline = this.#createPipeline(options);
    this.application = this.#createApplication();
  }

  get view(): ClusterView {
    return this.#keeper.view;
  }

  get appName(): string {
    return `${this.name}-app`;
  }

  // --- life

  announce(status: InstanceStatus): void {
    this.status = status;
    this.#world.membership.announce(this.name, status, this.addresses);
  }

  /** Peer and application cease at once. */
  stop(): void {
    this.isRunning = false;
    this.application.stop();
  }

  membersChanged(members: readonly Member[]): void {
    const others = members.filter((member) => isLiving(member) && member.name !== this.name);
    this.#world.links.setPeers(
      this.name,
      others.map(({ name }) => name),
    );
    this.#keeper.membersChanged(members, this.#world.clock.nowMs);
    this.#followLater();
  }

  /** The ring follows when its batch is due. */
  #followLater(): void {
    const { clock } = this.#world;
    if (this.#keeper.dueMs === Infinity) return;
    clock.at(this.#keeper.dueMs, () => {
      if (this.#keeper.dueMs <= clock.nowMs) this.#keeper.catchUp(clock.nowMs);
    });
  }

  replaceRules(rules: Rules | undefined): void {
    this.#keys = new KeyDeriver(rules);
    this.#keeper.unsettle(this.#world.clock.nowMs);
  }

  // --- from outside

  isListening(): boolean {
    return this.isRunning && this.status !== 'joining';
  }

  receive(bytes: Buffer, from: string): void {
    const [address = '', port] = from.split(':');
    const source = { transport: 'UDP', address, port: Number(port) } as const;
    this.#pipeline.receive(bytes, { ...source, flow: 'u0', listener: this.#listener });
  }

  // --- from links

  sipRequest(message: Buffer, envelope: Envelope): void {
    this.#pipeline.receiveRelayed(message, envelope);
  }

  sipResponse(message: Buffer): void {
    this.#pipeline.receiveResponse(message);
  }

  toApplication(message: Buffer): void {
    this.#giveToApplication(message);
  }

  toFlow(message: Buffer, flow: string, target: SipTarget | undefined): void {
    if (!this.#sendOnFlow(flow, target, message)) this.#pipeline.flowGone(message);
  }

  note: LinkEnd['note'] = (transaction, assignment) =>
    this.#pipeline.noteArrived(transaction, assignment);

  ask: LinkEnd['ask'] = (transaction, claim) => this.#pipeline.questionArrived(transaction, claim);

  // --- making

  #createPipeline(options: PeerOptions): Pipeline {
    const { name, algorithm, viaNamesSprayer, publicAddress } = options;
    return new Pipeline({
      names: sipNames(name, publicAddress, [], [this.#listener, this.#internal]),
      stamper: new Stamper(stampKeys),
      counters: this.counters,
      onInvalidStamp: 'ignore',
      algorithm: () => algorithm,
      viaNamesSprayer,
      keys: () => this.#keys,
      view: () => this.view,
      otherRingSeen: () => this.#keeper.otherRingSeen(this.#world.clock.nowMs),
      memory: this.memory,
      now: () => this.#world.clock.nowMs,
      ports: this.#ports(),
    });
  }

  #ports(): PipelinePorts {
    const { links, network, clock } = this.#world;
    const { name } = this;
    return {
      deliver: (message, envelope) => {
        if (envelope.instance === name) return this.#giveToApplication(message, envelope);
        return links.sendSipRequest(name, envelope.instance, message, envelope);
      },
      isSilent: () => false,
      relayResponse: (peer, message) => links.sendSipResponse(name, peer, message),
      deliverResponse: (instance, message) => {
        if (instance === name) return this.#giveToApplication(message);
        return links.sendToApplication(name, instance, message);
      },
      answer: (flow, { message, address, port }) => {
        if (flow.startsWith('a')) this.#giveToApplication(message);
        else network.send(this.#publicAddress, `${address}:${port}`, message, name);
      },
      sendOnFlow: (flow, target, message) => this.#sendOnFlow(flow, target, message),
      relayToFlow: (peer, flow, target, message) =>
        links.sendToFlow(name, peer, flow, target, message),
      resolve: ({ host, port }, _seed, found) =>
        found([{ transport: 'UDP', address: host, port: port ?? 5060, serverName: host }]),
      send: ({ address, port }, message) =>
        network.send(this.address, `${address}:${port}`, message, name),
      note: (peer, transaction, assignment) => links.sendNote(name, peer, transaction, assignment),
      ask: (questions, answered) =>
        links.ask(name, questions, (assignment) => {
          if (this.isRunning) answered(assignment);
        }),
      numberKnown: () => Promise.reject(new Error(`no ENUM in a simulation at ${clock.nowMs}`)),
      defect: (error) => this.defects.push(error),
    };
  }

  #sendOnFlow(flow: string, target: SipTarget | undefined, message: Buffer): boolean {
    if (flow.startsWith('a')) return this.#giveToApplication(message);
    if (target === undefined) return false;
    const to = `${target.address}:${target.port}`;
    this.#world.network.send(this.address, to, message, this.name);
    return true;
  }

  /** The datagrams between a peer and its application lose nothing, both being on one host. */
  #giveToApplication(message: Buffer, envelope?: Envelope): boolean {
    const { trace, clock } = this.#world;
    const hop = trace.sip('application', this.name, this.appName, message, envelope);
    clock.after(0.2, () => {
      if (this.isRunning) this.application.receive(Buffer.from(message));
      else hop.fate = 'lost';
    });
    return true;
  }

  #createApplication(): UserAgent {
    const { clock, random, trace } = this.#world;
    const [address = '', port] = this.addresses.application.split(':');
    const arrival: Arrival = {
      transport: 'UDP',
      address,
      port: Number(port),
      flow: 'a0',
      listener: this.#internal,
    };
    const take = (bytes: Buffer): void => {
      const hop = trace.sip('application', this.appName, this.name, bytes);
      clock.after(0.2, () => {
        if (!this.isRunning) hop.fate = 'lost';
        else if (hop.message?.isRequest === true) this.#pipeline.receive(bytes, arrival);
        else this.#pipeline.receiveResponse(bytes);
      });
    };
    return new UserAgent({
      name: this.appName,
      address: this.addresses.application,
      clock,
      random,
      proxy: this.addresses.internal,
      sendRequest: take,
      sendResponse: take,
    });
  }
}
