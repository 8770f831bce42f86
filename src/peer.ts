import type { Logger } from 'pino';
import { AdminServer, type PeerStatus } from './admin/index.ts';
import { formatHostPort, parseHostPort } from './config/address.ts';
import { peerLimits } from './config/defaults.ts';
import { applicationAddresses, type Config, type SipListenerConfig } from './config/index.ts';
import { formatRuleError, type NumberResolver } from './dcr/index.ts';
import { createApplication as createDemo } from './demo/conference.ts';
import type { Member } from './gossip/index.ts';
import type { Application } from './io/application/application.ts';
import { EmbeddedApplicationHost } from './io/application/embedded.ts';
import { systemTime } from './io/application/system-time.ts';
import { UpstreamApplication } from './io/application/upstream.ts';
import { createEnumResolver, type EnumResolver } from './io/dns/index.ts';
import { GossipAgent } from './io/gossip/agent.ts';
import { GrpcLinks, type LinkPeer } from './io/link/index.ts';
import { BufferCollector } from './io/memory/buffer-collector.ts';
import { loadRules } from './io/rules/index.ts';
import { HttpSide } from './peer-http.ts';
import { SipSide } from './peer-sip.ts';
import { Counters } from './pipeline/counters.ts';
import { KeyDeriver } from './pipeline/key.ts';
import { Stamper } from './pipeline/stamp.ts';
import { uriReader } from './pipeline/subjects.ts';
import {
  announcementTags,
  isLiving,
  memberStatus,
  readAnnouncement,
  viewOf,
  type ClusterView,
  type InstanceStatus,
} from './pipeline/view.ts';

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
 */
export async function startPeer(config: Config, log: Logger): Promise<RunningPeer> {
  const peer = new Peer(config, log);
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
  readonly #counters = new Counters();
  readonly #buffers = new BufferCollector();
  readonly #stamper: Stamper;
  /** What was started, to be stopped in reverse order. */
  readonly #closers: (() => Promise<void>)[] = [];
  /** Stops what carries exchanges under way, before all others. */
  #stopCarriers: (() => Promise<void>) | undefined;
  /** Start of this process in seconds; a restart under the same name has a higher one. */
  readonly #epoch = Math.floor(Date.now() / 1000);
  readonly #numbers: EnumResolver | undefined;
  readonly #links: GrpcLinks;
  readonly #sip: SipSide;
  readonly #http: HttpSide;
  readonly #application: Application;
  #keys = new KeyDeriver(undefined);
  #status: InstanceStatus = 'joining';
  #view: ClusterView;
  #gossip: GossipAgent | undefined;
  #addresses: PeerAddresses | undefined;
  #endDrain: (() => void) | undefined;
  /** Looks whether what this peer waits for while it joins has come. */
  #joining: (() => void) | undefined;
  /** Living peers that tell where their links are. */
  #peers: readonly LinkPeer[] = [];

  constructor(config: Config, log: Logger) {
    this.#config = config;
    this.#log = log;
    this.#stamper = new Stamper(config.stamps.keys);
    this.#view = viewOf(config.name, [], performance.now());
    const { enum: numbers } = config.rules;
    this.#numbers = numbers && createEnumResolver(numbers, this.#counters);
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
    await this.#loadRules();
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
    this.#gossip = this.#createGossip();
    await this.#run(this.#gossip);
    this.#addresses = this.#boundAddresses(adminAddress);
    await this.#joined();
    // An operator may have drained it, or somebody stopped it, while it waited for others.
    if (this.#status === 'joining') this.#announce('ready');
  }

  /**
   * Waits for another member where there are seeds, so that nothing is served by a ring of one that
   * is about to change; for ever where the peer must not serve alone. Then for the links to all of
   * them: without one, a call of theirs that comes here would go to a successor.
   */
  async #joined(): Promise<void> {
    const { seeds, allowAlone } = this.#config.gossip;
    if (allowAlone && seeds.length === 0) return;
    const isMet = (): boolean => this.#peers.length > 0;
    const isLinked = (): boolean =>
      isMet() && this.#peers.every(({ name }) => this.#links.isUp(name));
    this.#membersChanged(this.#gossip?.members() ?? []);
    if (!allowAlone) await this.#until(isMet);
    await Promise.race([this.#until(isLinked), passed(peerLimits.joinWaitMs)]);
  }

  /** Resolves when it holds; looked at whenever members or links change. */
  #until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#joining = () => {
        if (holds()) resolve();
      };
      this.#joining();
    });
  }

  async drain(): Promise<void> {
    this.#beginDrain();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#config.drainTimeoutMs);
      this.#endDrain = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #beginDrain(): void {
    this.#announce('draining');
    this.#http.drain();
  }

  async stop(): Promise<void> {
    this.#endDrain?.();
    this.#announce('disabled');
    // Others close their links to a peer that left, with all that runs on them: leaving comes after.
    const stopCarriers = this.#stopCarriers;
    this.#stopCarriers = undefined;
    if (stopCarriers !== undefined) await this.#close(stopCarriers);
    await this.#gossip?.leave();
    for (const close of this.#closers.splice(0).reverse()) await this.#close(close);
    this.#numbers?.close();
  }

  async #close(close: () => Promise<void>): Promise<void> {
    await close().catch((error: unknown) => this.#log.warn({ err: error }, 'not closed cleanly'));
  }

  async #run(part: { start(): Promise<void>; stop(): Promise<void> }): Promise<void> {
    this.#closers.push(() => part.stop());
    await part.start();
  }

  async #loadRules(): Promise<void> {
    const { file } = this.#config.rules;
    if (file === undefined) return;
    const numbers: NumberResolver = this.#numbers ?? { resolve: (number) => number };
    const loaded = await loadRules(file, { uris: uriReader, numbers }, (fault) => {
      this.#counters.count('rule_faults', 'plugin');
      this.#log.warn({ err: fault }, 'the rule plug-in failed; the fallback key was used');
    });
    if (!loaded.ok) throw new Error(loaded.errors.map(formatRuleError).join('\n'));
    this.#keys = new KeyDeriver(loaded.rules);
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
        http: (request, envelope, response) =>
          this.#application.serveHttp(request, envelope, response),
      },
      counters: this.#counters,
      log: this.#log,
      onPeerFailed: (peer) => this.#gossip?.probeSoon(peer),
      onPeerUp: () => this.#joining?.(),
      onBodyBytes: this.#buffers.passed,
    });
  }

  #createSipSide(): SipSide {
    return new SipSide({
      config: this.#config,
      log: this.#log,
      counters: this.#counters,
      stamper: this.#stamper,
      keys: () => this.#keys,
      view: () => this.#view,
      status: () => this.#status,
      links: () => this.#links,
      application: () => this.#application,
      numberKnown: (number) => this.#numbers?.whenKnown(number) ?? Promise.resolve(),
    });
  }

  #createHttpSide(): HttpSide {
    return new HttpSide({
      config: this.#config,
      log: this.#log,
      counters: this.#counters,
      stamper: this.#stamper,
      keys: () => this.#keys,
      view: () => this.#view,
      links: () => this.#links,
      application: () => this.#application,
      numberKnown: (number) => this.#numbers?.whenKnown(number) ?? Promise.resolve(),
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

  #createGossip(): GossipAgent {
    const { name, cluster, gossip } = this.#config;
    const advertise = gossip.advertise === undefined ? undefined : parseHostPort(gossip.advertise);
    return new GossipAgent({
      name,
      epoch: this.#epoch,
      label: cluster.name,
      listen: gossip.listen,
      ...(advertise === undefined
        ? {}
        : { advertise: { address: advertise.host, port: advertise.port } }),
      seeds: gossip.seeds,
      profile: gossip.profile,
      tags: this.#tags(),
      counters: this.#counters,
      onChange: (members) => this.#membersChanged(members),
      log: this.#log,
    });
  }

  #announce(status: InstanceStatus): void {
    this.#status = status;
    this.#gossip?.setTags(this.#tags());
    this.#membersChanged(this.#gossip?.members() ?? []);
  }

  #tags(): Record<string, string> {
    const { link, weight, application, http } = this.#config;
    const { upstream, listeners } = this.#sip;
    const sip = application.kind === 'upstream' ? application.sip : undefined;
    return announcementTags({
      epoch: this.#epoch,
      status: this.#status,
      weight,
      link: link.advertise ?? formatHostPort(this.#links.address, this.#links.port),
      sipInternal: upstream?.localAddress ?? listeners.bound[0]?.names.own ?? 'localhost:5060',
      sipTransport: upstream?.transport ?? 'UDP',
      applications: sip === undefined ? [] : applicationAddresses(sip),
      ...(http.jvmRoute === undefined ? {} : { jvmRoute: http.jvmRoute }),
    });
  }

  #membersChanged(members: readonly Member[]): void {
    this.#view = viewOf(this.#config.name, members, performance.now(), this.#view);
    const peers: LinkPeer[] = [];
    for (const member of members) {
      if (member.name === this.#config.name || !isLiving(member)) continue;
      const announced = readAnnouncement(member.tags);
      if (announced === undefined) continue;
      peers.push({ name: member.name, epoch: announced.epoch, address: announced.link });
    }
    this.#peers = peers;
    this.#links.setPeers(peers);
    this.#joining?.();
  }

  #createAdmin(): AdminServer {
    const { admin } = this.#config;
    const source = {
      status: () => this.#peerStatus(),
      counters: this.#counters,
      drain: () => {
        this.#beginDrain();
      },
    };
    return new AdminServer(admin, source, (message) => this.#log.info(message));
  }

  #peerStatus(): PeerStatus {
    const { name } = this.#config;
    const { version, members } = this.#view.ring;
    const state = this.#status === 'disabled' ? 'draining' : this.#status;
    return {
      name,
      state,
      members: (this.#gossip?.members() ?? []).map(memberStatus),
      ring: { version, members },
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
      gossip: formatHostPort(gossip.listen.address, this.#gossip?.port ?? gossip.listen.port),
      link: formatHostPort(this.#links.address, this.#links.port),
    };
  }
}

function passed(ms: number): Promise<void> {
  const signal = AbortSignal.timeout(ms);
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
}
