import type { Logger } from 'pino';
import type { KeySource } from './admin/index.ts';
import { parseHostPort } from './config/address.ts';
import { peerLimits } from './config/defaults.ts';
import { findsOthers, type Config } from './config/index.ts';
import { keyId, type KeyAnswers, type KeyOperation, type Member } from './gossip/index.ts';
import { Alarm } from './io/alarm.ts';
import { createDiscovery, type Discovery } from './io/discovery/index.ts';
import { GossipAgent } from './io/gossip/agent.ts';
import type { LinkPeer, Links } from './io/link/index.ts';
import { KeyringFile } from './io/state/index.ts';
import type { Counters } from './pipeline/counters.ts';
import {
  announcementTags,
  isLiving,
  readAnnouncement,
  type Announcement,
  type ClusterView,
  type InstanceStatus,
} from './pipeline/view.ts';
import { ViewKeeper } from './pipeline/view-keeper.ts';
import { joinsRunningCluster, Quorum, RampUp } from './ring/index.ts';

/** A living member and what it says of itself. */
export interface LivingMember {
  readonly name: string;
  readonly announced: Announcement;
}

/** What all peers share, as far as gossip has to do with it. */
export interface SharedState {
  /** What full syncs bring to others. */
  bytes(): Uint8Array;
  /** Whether no living member announces a state that this peer has not taken in. */
  isCaughtUp(): boolean;
  /** What operators say of this instance's share; undefined: what the configuration does. */
  weight(): number | undefined;
  /** A full sync brought the state of another peer. */
  received(bytes: Uint8Array): void;
  /** @param living this peer among them */
  membersChanged(living: readonly LivingMember[]): void;
}

/** What the cluster side needs of the rest of the peer. */
export interface ClusterSideParts {
  readonly config: Config;
  readonly log: Logger;
  readonly counters: Counters;
  /** Start of this process in seconds; a restart under the same name has a higher one. */
  readonly epoch: number;
  readonly links: () => Links;
  readonly shared: SharedState;
  /** Where this peer and its application are reached; asked once all sockets are bound. */
  readonly places: () => Omit<Announcement, 'epoch' | 'status' | 'weight' | 'share'>;
}

/** This peer among the others, put together: gossip, the view of the cluster, what the peer says of itself. */
export class ClusterSide {
  readonly #parts: ClusterSideParts;
  #status: InstanceStatus = 'joining';
  readonly #keeper: ViewKeeper;
  readonly #keyFile: KeyringFile | undefined;
  readonly #ringAlarm: Alarm;
  readonly #rampUp: RampUp;
  readonly #rampAlarm: Alarm;
  readonly #quorum = new Quorum();
  #isMinority = false;
  /** When a minority that is over ends at the latest, whatever links are still down. */
  readonly #healAlarm: Alarm;
  #healedAtMs = Infinity;
  #gossip: GossipAgent | undefined;
  #discovery: Discovery | undefined;
  /** Looks whether what this peer waits for while it joins has come. */
  #joining: (() => void) | undefined;
  /** Living peers that tell where their links are. */
  #peers: readonly LinkPeer[] = [];

  constructor(parts: ClusterSideParts) {
    this.#parts = parts;
    const { name, rampUp, dataDir: folder, gossip } = parts.config;
    const { counters, log } = parts;
    this.#keeper = new ViewKeeper(name, now());
    this.#keyFile =
      folder === undefined
        ? undefined
        : new KeyringFile({ folder, configured: gossip.keys, counters, log });
    this.#ringAlarm = new Alarm(() => this.#keeper.catchUp(now()), now);
    this.#rampUp = new RampUp(rampUp);
    this.#rampAlarm = new Alarm(() => this.announce(this.#status), now);
    this.#healAlarm = new Alarm(() => this.#judgeMinority(), now);
  }

  get view(): ClusterView {
    return this.#keeper.view;
  }

  /** While this peer sees less than half of its cluster: what it does about it. */
  get minority(): Config['cluster']['minority'] | undefined {
    return this.#isMinority ? this.#parts.config.cluster.minority : undefined;
  }

  /** What this peer says of its instance. */
  get status(): InstanceStatus {
    return this.#status;
  }

  /** Port of gossip; that of the configuration until it is bound. */
  get port(): number {
    return this.#gossip?.port ?? this.#parts.config.gossip.listen.port;
  }

  members(): readonly Member[] {
    return this.#gossip?.members() ?? [];
  }

  /** How far this peer trusts what it hears of the others. */
  get health(): number {
    return this.#gossip?.health ?? 0;
  }

  /** The keys of gossip, for an operator. */
  get keys(): KeySource {
    const ask = (operation: KeyOperation): Promise<KeyAnswers> =>
      this.#gossip?.rotateKeys(operation) ?? Promise.resolve({ answers: new Map(), of: 0 });
    return {
      list: () => this.#gossip?.keys?.list(),
      secretOf: (id) => this.#gossip?.keys?.secretOf(id),
      idOf: keyId,
      ask: () => ask({ kind: 'list' }),
      change: (kind, key) => ask({ kind, key }),
    };
  }

  /**
   * Binds the port of gossip and begins to join, by seeds and by those that are found. Whoever holds
   * `dataDir` for this process has taken it by then.
   */
  async start(): Promise<void> {
    this.#gossip = this.#createGossip(await this.#keysToUse());
    this.#gossip.setUserState(this.#parts.shared.bytes());
    await this.#gossip.start();
    this.#discovery = this.#createDiscovery(this.#gossip);
    this.#discovery.start();
  }

  /**
   * Waits for another member where there are seeds or ways to find some, so that nothing is served by
   * a ring of one that is about to change; for ever where the peer must not serve alone. Then for the
   * links to all of them: without one, a call of theirs that comes here would go to a successor.
   */
  async joined(): Promise<void> {
    const { seeds, discovery, allowAlone } = this.#parts.config.gossip;
    if (allowAlone && seeds.length === 0 && !findsOthers(discovery)) return;
    const isMet = (): boolean => this.#peers.length > 0;
    const isReady = (): boolean => isMet() && this.#isLinked() && this.#parts.shared.isCaughtUp();
    this.#membersChanged(this.members());
    if (!allowAlone) await this.#until(isMet);
    await Promise.race([this.#until(isReady), passed(peerLimits.joinWaitMs)]);
    if (this.#parts.shared.isCaughtUp()) return;
    this.#parts.counters.count('cluster_state', 'not-caught-up');
    this.#parts.log.warn(
      {},
      'other members have a newer state of the cluster, which did not come yet',
    );
  }

  /** Tells the others that what they share has changed here. */
  shareState(): void {
    if (this.#gossip === undefined) return;
    this.#gossip.setUserState(this.#parts.shared.bytes());
    this.announce(this.#status);
  }

  /** Exchanges all with a member at once. */
  syncWith(name: string): void {
    this.#gossip?.syncWith(name);
  }

  /** Peers may decide differently for a while: the rules, or how they are used, have changed. */
  unsettle(): void {
    this.#keeper.unsettle(now());
  }

  /** Tells all others what becomes of this instance. */
  announce(status: InstanceStatus): void {
    if (status !== this.#status) this.#beginShare(status);
    this.#status = status;
    this.#gossip?.setTags(this.#tags());
    this.#membersChanged(this.members());
    this.#rampAlarm.set(this.#rampUp.nextMs(now()));
  }

  /** An instance that comes to a running cluster gets its share in steps. */
  #beginShare(status: InstanceStatus): void {
    this.#rampUp.end();
    if (status !== 'ready') return;
    const epochs = this.members()
      .filter((member) => member.name !== this.#parts.config.name && isLiving(member))
      .map(({ tags }) => readAnnouncement(tags))
      .filter((announced) => announced?.status === 'ready')
      .map((announced) => announced!.epoch);
    if (joinsRunningCluster(epochs, Date.now() / 1_000)) this.#rampUp.begin(now());
  }

  /** A link to that peer failed: gossip looks at once whether it lives. */
  peerFailed(peer: string): void {
    this.#gossip?.probeSoon(peer);
  }

  /** Another peer decided by a ring that is not known here. */
  otherRingSeen(): void {
    this.#keeper.otherRingSeen(now());
  }

  /** A link came up. */
  peerUp(): void {
    this.#joining?.();
    this.#judgeMinority();
  }

  /** Tells the others that this peer goes; settles when that is spread. */
  async leave(): Promise<void> {
    await Promise.all([this.#discovery?.stop(), this.#gossip?.leave()]);
  }

  async stop(): Promise<void> {
    this.#ringAlarm.set(Infinity);
    this.#rampAlarm.set(Infinity);
    this.#healAlarm.set(Infinity);
    await this.#gossip?.stop();
    await this.#keyFile?.close();
  }

  /** The configured keys, or what operators made of them while the peer ran before. */
  async #keysToUse(): Promise<readonly Uint8Array[]> {
    const { config, log } = this.#parts;
    const configured = config.gossip.keys;
    const kept = (await this.#keyFile?.load()) ?? { kind: 'none' };
    if (kept.kind === 'none') return configured;
    const [keptIds, configuredIds] = [kept.keys.map(keyId), configured.map(keyId)];
    const fields = { kept: keptIds, configured: configuredIds };
    // The configuration may have followed, as it should.
    const isSame = keptIds.join() === configuredIds.join();
    if (kept.kind === 'outdated') {
      if (!isSame)
        log.warn(fields, 'gossip.keys was edited: keys changed at run time are forgotten');
      return configured;
    }
    if (!isSame) log.info(fields, 'gossip uses keys changed at run time, not those of gossip.keys');
    return kept.keys;
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

  #createGossip(keys: readonly Uint8Array[]): GossipAgent {
    const { config, epoch, counters, log } = this.#parts;
    const { name, cluster, gossip } = config;
    const keyFile = this.#keyFile;
    const advertise = gossip.advertise === undefined ? undefined : parseHostPort(gossip.advertise);
    return new GossipAgent({
      name,
      epoch,
      label: gossip.label ? cluster.name : '',
      listen: gossip.listen,
      ...(advertise === undefined
        ? {}
        : { advertise: { address: advertise.host, port: advertise.port } }),
      seeds: gossip.seeds,
      profile: gossip.profile,
      keys,
      ...(keyFile === undefined ? {} : { keepKeys: (changed) => keyFile.save(changed) }),
      allow: gossip.allow,
      tags: this.#tags(),
      counters,
      onChange: (members) => this.#membersChanged(members),
      onUserState: (bytes) => {
        this.#parts.shared.received(bytes);
        this.#joining?.();
      },
      log,
    });
  }

  /** Where gossip is reached is known once its port is bound. */
  #createDiscovery(gossip: GossipAgent): Discovery {
    const { config, epoch, counters, log } = this.#parts;
    const [{ address, port }] = gossip.members() as [Member];
    return createDiscovery({
      config: config.gossip.discovery,
      cluster: config.cluster.name,
      self: { name: config.name, epoch, endpoint: { address, port } },
      onSeeds: (seeds) => gossip.setSeeds(seeds),
      counters,
      log,
    });
  }

  #tags(): Record<string, string> {
    const { config, epoch, places, shared } = this.#parts;
    const share = this.#rampUp.share(now());
    return announcementTags({
      ...places(),
      epoch,
      status: this.#status,
      weight: shared.weight() ?? config.weight,
      ...(share === 1 ? {} : { share }),
    });
  }

  #membersChanged(members: readonly Member[]): void {
    const { config, links, shared } = this.#parts;
    this.#keeper.membersChanged(members, now());
    this.#ringAlarm.set(this.#keeper.dueMs);
    const living = livingOf(members);
    this.#peers = living
      .filter(({ name }) => name !== config.name)
      .map(({ name, announced: { epoch, link } }) => ({ name, epoch, address: link }));
    links().setPeers(this.#peers);
    shared.membersChanged(living);
    this.#countMembers(members);
    this.#joining?.();
  }

  /** Members of other kinds, such as observers, have no part in a majority. */
  #countMembers(members: readonly Member[]): void {
    const peers = members.filter(({ tags }) => readAnnouncement(tags) !== undefined);
    this.#quorum.update(peers, now());
    this.#judgeMinority();
  }

  /** A minority is over when the others are back and linked: until then calls of theirs would go astray. */
  #judgeMinority(): void {
    const { isMinority, inSight, size } = this.#quorum;
    const { config, log } = this.#parts;
    if (isMinority || !this.#isMinority) this.#healedAtMs = Infinity;
    else if (this.#healedAtMs === Infinity) this.#healedAtMs = now();
    const waitsUntilMs = this.#healedAtMs + peerLimits.joinWaitMs;
    const isWaiting = waitsUntilMs !== Infinity && now() < waitsUntilMs && !this.#isLinked();
    this.#healAlarm.set(isWaiting ? waitsUntilMs : Infinity);
    if (isWaiting || isMinority === this.#isMinority) return;
    this.#isMinority = isMinority;
    const seen = { inSight, size, minority: config.cluster.minority };
    if (isMinority) log.warn(seen, 'less than half of the cluster is in sight');
    else log.info(seen, 'at least half of the cluster is in sight again');
  }

  /** There is a link to every other peer that nobody suspects. */
  #isLinked(): boolean {
    const { doubts } = this.view;
    return this.#peers.every(
      ({ name }) => doubts.get(name) === Infinity || this.#parts.links().isUp(name),
    );
  }
}

/** Those that are peers; observers of another kind announce nothing. */
function livingOf(members: readonly Member[]): LivingMember[] {
  return members.filter(isLiving).flatMap(({ name, tags }) => {
    const announced = readAnnouncement(tags);
    return announced === undefined ? [] : [{ name, announced }];
  });
}

/** Milliseconds that never run backwards. */
const now = (): number => performance.now();

function passed(ms: number): Promise<void> {
  const signal = AbortSignal.timeout(ms);
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
}
