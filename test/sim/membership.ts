import { announcementTags, type InstanceStatus } from '../../src/pipeline/view.ts';
import type { Member } from '../../src/gossip/index.ts';
import type { Clock } from './clock.ts';

/** `ip:port` where an instance is reached inside the cluster. */
export interface Addresses {
  /** Of the peer, for its application's responses. */
  readonly internal: string;
  readonly application: string;
}

/** Who is told of news. */
export interface Listener {
  readonly name: string;
  readonly addresses: Addresses;
  readonly isRunning: boolean;
  membersChanged(members: readonly Member[]): void;
}

export interface MembershipOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** News takes a time up to this for each peer. */
  readonly newsMsMax: number;
}

/** What gossip brings about: each peer learns of each change at its own time, in any order of peers. */
export class SimulatedMembership {
  readonly #options: MembershipOptions;
  readonly #listeners: Listener[] = [];
  /** What each listener knows. */
  readonly #known = new Map<Listener, Map<string, Member>>();
  readonly #truth = new Map<string, Member>();

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  /** The first peers, all ready, know each other from the beginning. */
  found(listeners: readonly Listener[]): void {
    for (const { name, addresses } of listeners) {
      this.#truth.set(name, memberOf(name, 'alive', tagsOf(name, 'ready', addresses), 1));
    }
    for (const listener of listeners) this.join(listener);
  }

  /** A new peer knows at once what is true now, as after a full sync with a seed. */
  join(listener: Listener): void {
    this.#listeners.push(listener);
    this.#known.set(listener, new Map(this.#truth));
    listener.membersChanged([...this.#truth.values()]);
  }

  /** A peer says of itself what it is; itself it hears at once. */
  announce(name: string, status: InstanceStatus, addresses: Addresses): void {
    const tags = tagsOf(name, status, addresses);
    this.#tell(memberOf(name, 'alive', tags, this.#next(name)), 0);
  }

  /** @param delayMs how long it takes until somebody notices */
  end(name: string, state: 'dead' | 'left', delayMs = 0): void {
    const tags = this.#truth.get(name)?.tags ?? {};
    this.#tell(memberOf(name, state, tags, this.#next(name)), delayMs);
  }

  /** @param doubters who hears of it; default: all */
  suspect(name: string, doubters?: readonly string[]): void {
    const known = this.#truth.get(name)!;
    if (known.state === 'alive') this.#tell({ ...known, state: 'suspect' }, 0, doubters);
  }

  /** The accused says with a higher incarnation that it lives, if anybody may still believe it. */
  refute(name: string): void {
    const { tags, state } = this.#truth.get(name)!;
    if (state === 'suspect') this.#tell(memberOf(name, 'alive', tags, this.#next(name)), 0);
  }

  #next(name: string): number {
    return (this.#truth.get(name)?.incarnation ?? 0) + 1;
  }

  #tell(member: Member, delayMs: number, hearers?: readonly string[]): void {
    const { clock, random, newsMsMax } = this.#options;
    this.#truth.set(member.name, member);
    for (const listener of this.#listeners) {
      const isSelf = listener.name === member.name;
      if (isSelf && member.state !== 'suspect') this.#learn(listener, member);
      else if (isSelf || hearers?.includes(listener.name) === false) continue;
      else clock.after(delayMs + random() * newsMsMax, () => this.#learn(listener, member));
    }
  }

  #learn(listener: Listener, member: Member): void {
    const known = this.#known.get(listener)!;
    const old = known.get(member.name);
    if (!listener.isRunning || (old !== undefined && !isNews(member, old))) return;
    known.set(member.name, member);
    listener.membersChanged([...known.values()]);
  }
}

/** A suspicion needs no higher incarnation than what it doubts. */
function isNews(member: Member, old: Member): boolean {
  if (member.incarnation !== old.incarnation) return member.incarnation > old.incarnation;
  return member.state === 'suspect' && old.state === 'alive';
}

function memberOf(
  name: string,
  state: Member['state'],
  tags: Member['tags'],
  incarnation: number,
): Member {
  return { name, address: name, port: 7946, tags, state, incarnation };
}

function tagsOf(name: string, status: InstanceStatus, addresses: Addresses): Member['tags'] {
  return announcementTags({
    epoch: 1,
    status,
    weight: 1,
    link: `${name}:7000`,
    sipInternal: addresses.internal,
    sipTransport: 'UDP',
    applications: [addresses.application],
  });
}
