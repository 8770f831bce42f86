import type { Logger } from 'pino';
import {
  AdminServer,
  instancesPages,
  keyPages,
  policyPages,
  rulesPages,
  statePages,
  withLinks,
  type PeerStatus,
  type Route,
} from './admin/index.ts';
import { formatHostPort } from './config/address.ts';
import { peerLimits } from './config/defaults.ts';
import { applicationAddresses, type Config, type SipListenerConfig } from './config/index.ts';
import { createApplication as createDemo } from './demo/conference.ts';
import type { Application } from './io/application/application.ts';
import { EmbeddedApplicationHost } from './io/application/embedded.ts';
import { systemTime } from './io/application/system-time.ts';
import { UpstreamApplication } from './io/application/upstream.ts';
import { GrpcLinks } from './io/link/index.ts';
import { BufferCollector } from './io/memory/buffer-collector.ts';
import { ClusterSide, type LivingMember, type SharedState } from './peer-cluster.ts';
import { HttpSide } from './peer-http.ts';
import { Life } from './peer-life.ts';
import { RulesSide } from './peer-rules.ts';
import { SipSide } from './peer-sip.ts';
import { StateSide } from './peer-state.ts';
import { Counters } from './pipeline/counters.ts';
import { Dialogs } from './pipeline/dialogs.ts';
import { compareRings } from './pipeline/relayed.ts';
import { Stamper } from './pipeline/stamp.ts';
import { memberStatus, type Announcement } from './pipeline/view.ts';

/** Where a running peer listens, as `host:port`. */
export interface PeerAddresses {
  readonly name: string;
  /** The first listener of each transport. */
  readonly sip: Readonly<Partial<Record<SipListenerConfig['transport'], string>>>;
  readonly http?: string;
  readonly admin: string;
  readonly gossip: string;
  readonly link: string;
}

export interface RunningPeer {
  readonly addresses: PeerAddresses;
  /** Sends new sessions elsewhere and serves running ones for the configured time. */
  drain(): Promise<void>;
  /** Leaves the cluster and closes everything. */
  stop(): Promise<void>;
}

/**
 * Starts a peer: the one place that knows every room. Rejects with a message for the operator when
 * a port is occupied or the rules or the application cannot be loaded; nothing is left running then.
 *
 * @param signal aborts the start, as long as it lasts: rejects with the signal's reason once the peer
 *   has left those whom it has met and has closed everything
 */
export async function startPeer(
  config: Config,
  log: Logger,
  signal?: AbortSignal,
): Promise<RunningPeer> {
  const peer = new Peer(config, log, signal);
  try {
    await peer.start();
  } catch (error) {
    await peer.stop();
    throw error;
  }
  return peer;
}

class Peer implements RunningPeer {
  readonly #config: Config;
  readonly #log: Logger;
  /** Aborts the start. */
  readonly #signal: AbortSignal | undefined;
  readonly #counters = new Counters();
  readonly #buffers = new BufferCollector();
  readonly #stamper: Stamper;
  /** What was started, to be stopped in reverse order. */
  readonly #closers: (() => Promise<void>)[] = [];
  /** Stops what carries exchanges under way, before all others. */
  #stopCarriers: (() => Promise<void>) | undefined;
  /** Start of this process in seconds; a restart under the same name has a higher one. */
  readonly #epoch = Math.floor(Date.now() / 1000);
  readonly #state: StateSide;
  readonly #rules: RulesSide;
  readonly #cluster: ClusterSide;
  readonly #links: GrpcLinks;
  readonly #sip: SipSide;
  readonly #http: HttpSide;
  readonly #application: Application;
  readonly #life: Life;
  readonly #dialogs: Dialogs;
  #addresses: PeerAddresses | undefined;

  constructor(config: Config, log: Logger, signal: AbortSignal | undefined) {
    this.#config = config;
    this.#log = log;
    this.#signal = signal;
    this.#stamper = new Stamper(config.stamps.keys);
    this.#state = this.#createStateSide();
    this.#rules = new RulesSide({
      config,
      log,
      counters: this.#counters,
      onReplaced: () => this.#cluster.unsettle(),
    });
    this.#cluster = this.#createClusterSide();
    this.#dialogs = new Dialogs(() => this.#counters.count('dialogs_forgotten', 'calls-full'));
    this.#life = this.#createLife();
    this.#sip = this.#createSipSide();
    this.#http = this.#createHttpSide();
    this.#links = this.#createLinks();
    this.#application = this.#createApplication();
  }

  get addresses(): PeerAddresses {
    if (this.#addresses === undefined) throw new Error('the peer has not started');
    return this.#addresses;
  }

  /** Binds everything, joins the cluster, then says that it is ready. */
  async start(): Promise<void> {
    await this.#rules.start();
    await this.#run(this.#state);
    await this.#run(this.#application);
    await this.#run(this.#sip);
    await this.#links.start();
    this.#stopCarriers = async () => {
      const served = this.#http.stop();
      // What clients have begun to send is for other peers now: the links stand as long as it may come.
      await Promise.all([served, this.#links.stop(peerLimits.linkStopMs, served)]);
    };
    await this.#http.start();
    const admin = this.#createAdmin();
    this.#closers.push(() => admin.stop());
    const adminAddress = await admin.start();
    await this.#run(this.#cluster);
    this.#addresses = this.#boundAddresses(adminAddress);
    // Others may let this peer wait for ever.
    await unless(this.#signal, this.#cluster.joined());
    this.#life.joined();
  }

  async drain(): Promise<void> {
    await this.#life.drained();
    // Exchanges that clients have through this peer end in their own time; SIP is relayed meanwhile.
    await this.#http.stop(this.#life.leftMs);
  }

  async stop(): Promise<void> {
    this.#life.end();
    // Others close their links to a peer that left, with all that runs on them: leaving comes after.
    const stopCarriers = this.#stopCarriers;
    this.#stopCarriers = undefined;
    if (stopCarriers !== undefined) await this.#close(stopCarriers);
    await this.#cluster.leave();
    for (const close of this.#closers.splice(0).reverse()) await this.#close(close);
    this.#rules.close();
  }

  async #close(close: () => Promise<void>): Promise<void> {
    await close().catch((error: unknown) => this.#log.warn({ err: error }, 'not closed cleanly'));
  }

  async #run(part: { start(): Promise<void>; stop(): Promise<void> }): Promise<void> {
    this.#signal?.throwIfAborted();
    this.#closers.push(() => part.stop());
    await part.start();
  }

  #createLinks(): GrpcLinks {
    const { name, cluster, link } = this.#config;
    return new GrpcLinks({
      self: { name, epoch: this.#epoch },
      cluster: cluster.name,
      listen: link.listen,
      ...(link.tls === undefined ? {} : { tls: link.tls }),
      insecure: link.insecure,
      handler: {
        ...this.#sip.handler,
        http: (request, envelope, response) => {
          const opinion = compareRings(envelope, this.#cluster.view, this.#counters, 'http');
          if (opinion === 'unknown') this.#cluster.otherRingSeen();
          return this.#application.serveHttp(request, envelope, response);
        },
      },
      counters: this.#counters,
      log: this.#log,
      onPeerFailed: (peer) => this.#cluster.peerFailed(peer),
      onPeerUp: () => this.#cluster.peerUp(),
      onBodyBytes: this.#buffers.passed,
    });
  }

  #createSipSide(): SipSide {
    return new SipSide({
      config: this.#config,
      log: this.#log,
      counters: this.#counters,
      stamper: this.#stamper,
      keys: () => this.#rules.keys,
      algorithm: () => this.#state.policy.algorithm ?? this.#config.sip.algorithm,
      view: () => this.#cluster.view,
      otherRingSeen: () => this.#cluster.otherRingSeen(),
      isUnready: () => this.#cluster.minority === 'unready' || this.#rules.status().isOverdue,
      isJoining: () => !this.#life.hasJoined,
      isEnding: () => this.#life.isEnding,
      dialogs: this.#dialogs,
      links: () => this.#links,
      application: () => this.#application,
      numberKnown: (number) => this.#rules.numberKnown(number),
    });
  }

  #createHttpSide(): HttpSide {
    return new HttpSide({
      config: this.#config,
      log: this.#log,
      counters: this.#counters,
      stamper: this.#stamper,
      keys: () => this.#rules.keys,
      view: () => this.#cluster.view,
      links: () => this.#links,
      application: () => this.#application,
      numberKnown: (number) => this.#rules.numberKnown(number),
      onBodyBytes: this.#buffers.passed,
    });
  }

  #createApplication(): Application {
    const { application } = this.#config;
    if (application.kind === 'embedded') return this.#createEmbedded(application.module);
    return new UpstreamApplication({
      sip: this.#sip.upstream,
      http: this.#http.upstream,
      counters: this.#counters,
    });
  }

  #createEmbedded(module: string): Application {
    return new EmbeddedApplicationHost({
      instance: this.#config.name,
      module: module === 'demo' ? createDemo : module,
      outlet: { sipResponse: (message) => this.#sip.receiveResponse(message) },
      counters: this.#counters,
      log: (level, message) => this.#log[level](message),
      clock: systemTime,
      schedule: systemTime.schedule,
    });
  }

  #createLife(): Life {
    return new Life({
      config: this.#config,
      log: this.#log,
      dialogs: this.#dialogs,
      exchanges: () => this.#application.exchanges,
      served: () => this.#dialogs.requests,
      now: () => performance.now(),
      announce: (status) => this.#cluster.announce(status),
      turnAway: (isLeaving) => this.#http.turnAway(isLeaving),
    });
  }

  #createClusterSide(): ClusterSide {
    return new ClusterSide({
      config: this.#config,
      log: this.#log,
      counters: this.#counters,
      epoch: this.#epoch,
      links: () => this.#links,
      shared: this.#shared(),
      places: () => this.#places(),
    });
  }

  #createStateSide(): StateSide {
    return new StateSide({
      config: this.#config,
      log: this.#log,
      counters: this.#counters,
      random: Math.random,
      hasJoined: () => this.#life.hasJoined,
      gossip: () => this.#cluster,
      onFlags: (flags) => this.#life.order(flags ?? { status: 'enabled' }),
      onRules: (rules) => this.#rules.take(rules?.text),
      onPolicy: () => this.#cluster.unsettle(),
    });
  }

  #shared(): SharedState {
    const state = this.#state;
    return {
      bytes: () => state.bytes,
      isCaughtUp: () => state.isCaughtUp,
      weight: () => state.flags?.weight,
      received: (bytes) => state.received(bytes),
      membersChanged: (living) => this.#livingChanged(living),
    };
  }

  #livingChanged(living: readonly LivingMember[]): void {
    const states = living.flatMap(({ name, announced: { stateDigest: digest } }) =>
      name === this.#config.name || digest === undefined ? [] : [{ name, digest }],
    );
    this.#state.membersChanged(states);
    const ready = living.filter(({ announced }) => announced.status === 'ready');
    this.#rules.membersChanged(
      ready.map(({ name, announced: { epoch, rulesDigest: rules } }) => ({ name, epoch, rules })),
    );
  }

  /** Where this peer and its application are reached. */
  #places(): Omit<Announcement, 'epoch' | 'status' | 'weight' | 'share'> {
    const { link, application, http } = this.#config;
    const { upstream, listeners } = this.#sip;
    const sip = application.kind === 'upstream' ? application.sip : undefined;
    return {
      link: link.advertise ?? formatHostPort(this.#links.address, this.#links.port),
      sipInternal: upstream?.localAddress ?? listeners.bound[0]?.names.own ?? 'localhost:5060',
      sipTransport: upstream?.transport ?? 'UDP',
      applications: sip === undefined ? [] : applicationAddresses(sip),
      ...(http.jvmRoute === undefined ? {} : { jvmRoute: http.jvmRoute }),
      stateDigest: this.#state.announced,
      rulesDigest: this.#rules.digest,
    };
  }

  #createAdmin(): AdminServer {
    const { admin } = this.#config;
    const audit = (message: string): void => this.#log.info(message);
    const source = {
      status: () => this.#peerStatus(),
      counters: this.#counters,
      drain: () => {
        this.#life.drain();
      },
      undrain: () => {
        this.#life.undrain();
      },
      routes: this.#pages(audit),
    };
    return new AdminServer(admin, source, audit);
  }

  #pages(audit: (message: string) => void): readonly Route[] {
    const members = (): PeerStatus['members'] => this.#cluster.members().map(memberStatus);
    return [
      ...keyPages(this.#cluster.keys, audit),
      ...rulesPages(this.#state, this.#rules, audit),
      ...instancesPages(this.#state, members, audit),
      ...policyPages(this.#state, audit),
      ...statePages(this.#state),
    ];
  }

  #peerStatus(): PeerStatus {
    const { name } = this.#config;
    const { version, members } = this.#cluster.view.ring;
    const seen = this.#cluster.members().map(memberStatus);
    const drain = this.#life.progress();
    const { minority } = this.#cluster;
    return {
      name,
      state: this.#life.status,
      ...(drain === undefined ? {} : { drain }),
      calls: this.#dialogs.size,
      members: withLinks(seen, name, (peer) => this.#links.isUp(peer)),
      ring: { version, members },
      clusterState: this.#state.status,
      health: this.#cluster.health,
      rules: this.#rules.status(),
      ...(minority === undefined ? {} : { minority }),
      addresses: { ...this.#addresses },
    };
  }

  #boundAddresses(admin: string): PeerAddresses {
    const { name, gossip } = this.#config;
    const { address: http } = this.#http;
    const sip: Partial<Record<SipListenerConfig['transport'], string>> = {};
    for (const { transport, address, port } of this.#sip.listeners.bound) {
      sip[transport] ??= formatHostPort(address, port);
    }
    return {
      name,
      sip,
      ...(http === undefined ? {} : { http }),
      admin,
      gossip: formatHostPort(gossip.listen.address, this.#cluster.port),
      link: formatHostPort(this.#links.address, this.#links.port),
    };
  }
}

/** Settles as the promise does, or rejects with the signal's reason before. */
async function unless<T>(signal: AbortSignal | undefined, promise: Promise<T>): Promise<T> {
  if (signal === undefined) return promise;
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
