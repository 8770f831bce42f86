import type { Logger } from 'pino';
import { parseHostPort } from './config/address.ts';
import { peerLimits } from './config/defaults.ts';
import type { Config } from './config/index.ts';
import type { Member } from './gossip/index.ts';
import { GossipAgent } from './io/gossip/agent.ts';
import type { LinkPeer, Links } from './io/link/index.ts';
import type { Counters } from './pipeline/counters.ts';
import {
  announcementTags,
  isLiving,
  readAnnouncement,
  viewOf,
  type Announcement,
  type ClusterView,
  type InstanceStatus,
} from './pipeline/view.ts';

/** What the cluster side needs of the rest of the peer. */
export interface ClusterSideParts {
  readonly config: Config;
  readonly log: Logger;
  readonly counters: Counters;
  /** Start of this process in seconds; a restart under the same name has a higher one. */
  readonly epoch: number;
  readonly links: () => Links;
  /** Where this peer and its application are reached; asked once all sockets are bound. */
  readonly places: () => Omit<Announcement, 'epoch' | 'status' | 'weight'>;
}

/** This peer among the others, put together: gossip, the view of the cluster, what the peer says of itself. */
export class ClusterSide {
  readonly #parts: ClusterSideParts;
  #status: InstanceStatus = 'joining';
  #view: ClusterView;
  #gossip: GossipAgent | undefined;
  /** Looks whether what this peer waits for while it joins has come. */
  #joining: (() => void) | undefined;
  /** Living peers that tell where their links are. */
  #peers: readonly LinkPeer[] = [];

  constructor(parts: ClusterSideParts) {
    this.#parts = parts;
    this.#view = viewOf(parts.config.name, [], performance.now());
  }

  get view(): ClusterView {
    return this.#view;
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

  /** Binds the port of gossip and begins to join. */
  async start(): Promise<void> {
    this.#gossip = this.#createGossip();
    await this.#gossip.start();
  }

  /**
   * Waits for another member where there are seeds, so that nothing is served by a ring of one that
   * is about to change; for ever where the peer must not serve alone. Then for the links to all of
   * them: without one, a call of theirs that comes here would go to a successor.
   */
  async joined(): Promise<void> {
    const { seeds, allowAlone } = this.#parts.config.gossip;
    if (allowAlone && seeds.length === 0) return;
    const isMet = (): boolean => this.#peers.length > 0;
    const isLinked = (): boolean =>
      isMet() && this.#peers.every(({ name }) => this.#parts.links().isUp(name));
    this.#membersChanged(this.members());
    if (!allowAlone) await this.#until(isMet);
    await Promise.race([this.#until(isLinked), passed(peerLimits.joinWaitMs)]);
  }

  /** Tells all others what becomes of this instance. */
  announce(status: InstanceStatus): void {
    this.#status = status;
    this.#gossip?.setTags(this.#tags());
    this.#membersChanged(this.members());
  }

  /** A link to that peer failed: gossip looks at once whether it lives. */
  peerFailed(peer: string): void {
    this.#gossip?.probeSoon(peer);
  }

  /** A link came up. */
  peerUp(): void {
    this.#joining?.();
  }

  /** Tells the others that this peer goes; settles when that is spread. */
  async leave(): Promise<void> {
    await this.#gossip?.leave();
  }

  async stop(): Promise<void> {
    await this.#gossip?.stop();
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

  #createGossip(): GossipAgent {
    const { config, epoch, counters, log } = this.#parts;
    const { name, cluster, gossip } = config;
    const advertise = gossip.advertise === undefined ? undefined : parseHostPort(gossip.advertise);
    return new GossipAgent({
      name,
      epoch,
      label: cluster.name,
      listen: gossip.listen,
      ...(advertise === undefined
        ? {}
        : { advertise: { address: advertise.host, port: advertise.port } }),
      seeds: gossip.seeds,
      profile: gossip.profile,
      keys: gossip.keys,
      allow: gossip.allow,
      tags: this.#tags(),
      counters,
      onChange: (members) => this.#membersChanged(members),
      log,
    });
  }

  #tags(): Record<string, string> {
    const { config, epoch, places } = this.#parts;
    return announcementTags({ ...places(), epoch, status: this.#status, weight: config.weight });
  }

  #membersChanged(members: readonly Member[]): void {
    const { config, links } = this.#parts;
    this.#view = viewOf(config.name, members, performance.now(), this.#view);
    const peers: LinkPeer[] = [];
    for (const member of members) {
      if (member.name === config.name || !isLiving(member)) continue;
      const announced = readAnnouncement(member.tags);
      if (announced === undefined) continue;
      peers.push({ name: member.name, epoch: announced.epoch, address: announced.link });
    }
    this.#peers = peers;
    links().setPeers(peers);
    this.#joining?.();
  }
}

function passed(ms: number): Promise<void> {
  const signal = AbortSignal.timeout(ms);
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
}
