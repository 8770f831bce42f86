import { gossipLimits } from '../config/defaults.ts';
import { Accusers } from './accusers.ts';
import { isUnspecified } from './address.ts';
import { encodeMessage, ourVersions } from './codec.ts';
import type { SwimContext } from './context.ts';
import { isLive, snapshot, supersedes, type MemberRecord } from './member.ts';
import type { Alive, Dead, MemberState, RemoteState, Suspect } from './message.ts';
import type { Suspicions } from './suspicion.ts';
import { decodeTags, encodeTags, type Tags } from './tags.ts';

/** Who says that a member lives: gossip, a full sync, or the full sync by which a lone peer joins. */
type Source = 'news' | 'sync' | 'join';

/**
 * Merges what is heard of members into the roster, tells it on, and defends this peer's own good name.
 * Per member the state is the greatest (incarnation, state) heard and the address and metadata those of
 * the greatest "alive" heard, so order and repetition of news do not matter.
 */
export class Membership {
  readonly #context: SwimContext;
  readonly #suspicions: Suspicions;
  readonly #accusers = new Accusers();
  #conflictAnsweredAt = -Infinity;

  constructor(context: SwimContext, suspicions: Suspicions) {
    this.#context = context;
    this.#suspicions = suspicions;
  }

  alive(news: Alive): void {
    this.#hearAlive(news, 'news');
  }

  #hearAlive(news: Alive, source: Source): void {
    const { roster, outbox, options, now } = this.#context;
    if (!isUsable(news)) {
      outbox.count('gossip_drops', 'bad-alive');
      return;
    }
    // Nothing of it would be heard: it would come and go for ever.
    if (options.isAllowed?.(news.address) === false) {
      outbox.count('gossip_drops', 'not-allowed');
      return;
    }
    if (news.node === options.name) {
      this.#aliveSelf(news);
      return;
    }
    if (news.incarnation > gossipLimits.incarnationMax) {
      outbox.count('gossip_drops', 'bad-incarnation');
      return;
    }
    const known = roster.get(news.node);
    if (known === undefined) {
      if (roster.size >= gossipLimits.membersMax) {
        outbox.count('gossip_drops', 'members-full');
        return;
      }
      const record = newRecord(news, now);
      roster.add(record);
      this.#tellLearnt(record, source);
      outbox.event({ kind: 'join', member: snapshot(record) });
      return;
    }
    this.#aliveKnown(known, news, source);
  }

  suspect(news: Suspect): void {
    const { roster, outbox, options } = this.#context;
    const record = roster.get(news.node);
    if (record === undefined || !this.#isValidAccusation(news)) {
      outbox.count('gossip_drops', record === undefined ? 'unknown-member' : 'bad-accuser');
      return;
    }
    if (news.node === options.name) {
      this.#accused(news.incarnation);
      return;
    }
    if (!this.#isRefutable(news)) return;
    if (record.state === 'suspect' && news.incarnation === record.incarnation) {
      if (!this.#suspicions.confirm(record, news.from)) return;
      this.#countAccuser(news.from);
      // It shortens the suspicion elsewhere too.
      this.#tell(news);
      return;
    }
    if (!supersedes(news.incarnation, 'suspect', record)) return;
    this.#enter(record, news.incarnation, 'suspect');
    this.#suspicions.start(record, news.from);
    this.#countAccuser(news.from);
    this.#tell(news);
    outbox.event({ kind: 'suspect', member: snapshot(record), by: news.from });
  }

  dead(news: Dead): void {
    const { roster, outbox, options } = this.#context;
    const record = roster.get(news.node);
    const hasLeft = news.from === news.node;
    if (record === undefined || (!hasLeft && !this.#isValidAccusation(news))) {
      outbox.count('gossip_drops', record === undefined ? 'unknown-member' : 'bad-accuser');
      return;
    }
    if (news.node === options.name) {
      this.#accused(news.incarnation);
      return;
    }
    if (!this.#isRefutable(news)) return;
    const state = hasLeft ? 'left' : 'dead';
    if (!supersedes(news.incarnation, state, record)) return;
    this.#enter(record, news.incarnation, state);
    this.#tell(news);
    const member = snapshot(record);
    outbox.event(hasLeft ? { kind: 'leave', member } : { kind: 'fail', member, by: news.from });
  }

  /** What proves an accusation to be old, if we know it. */
  refutation(news: Suspect | Dead): Alive | undefined {
    const record = this.#context.roster.get(news.node);
    if (record?.state !== 'alive' || record.incarnation <= news.incarnation) return undefined;
    return aliveMessage(record);
  }

  /**
   * Merges a full sync. A death that was not told as news is only taken as a suspicion. A peer that was alone
   * has nobody to tell what it learns: who told it knows.
   */
  mergeAll(states: readonly RemoteState[]): void {
    const self = this.#context.options.name;
    const source = this.#context.roster.isAlone() ? 'join' : 'sync';
    for (const state of states) {
      const { name: node, incarnation } = state;
      if (state.state === 'alive') this.#hearAlive({ kind: 'alive', node, ...state }, source);
      else if (node === self) this.#accused(incarnation);
      else if (state.state === 'left') this.dead({ kind: 'dead', incarnation, node, from: node });
      else this.suspect({ kind: 'suspect', incarnation, node, from: self });
    }
  }

  /**
   * Tells on what we kept to ourselves and the answer to our full sync lacked: it came while the sync was
   * under way.
   */
  tellMissing(states: readonly RemoteState[]): void {
    const told = new Map(states.map(({ name, incarnation }) => [name, incarnation]));
    for (const record of this.#context.roster.all()) {
      if (record.state !== 'alive' || !record.isUntold) continue;
      if (record.incarnation > (told.get(record.name) ?? -1)) this.#tellAlive(record);
    }
  }

  /** Everything known, for a full sync. */
  remoteStates(): readonly RemoteState[] {
    return Array.from(this.#context.roster.all(), (record) => (record.told ??= told(record)));
  }

  /** Tells that this peer is here. */
  announce(): void {
    this.#tellAlive(this.#context.roster.self);
  }

  /** Changes what this peer says of itself. Throws when the tags do not fit. */
  setTags(tags: Tags): void {
    const { roster, outbox, isLeaving } = this.#context;
    const meta = encodeTags(tags);
    if (isLeaving || Buffer.compare(meta, roster.self.meta) === 0) return;
    roster.self.meta = meta;
    roster.self.tags = decodeTags(meta);
    roster.self.incarnation++;
    roster.self.contentIncarnation = roster.self.incarnation;
    roster.self.told = undefined;
    this.#tellAlive(roster.self);
    outbox.event({ kind: 'update', member: snapshot(roster.self) });
  }

  /** Tells that this peer goes; `onSpread` runs once that was told often enough. */
  leave(onSpread: () => void): void {
    const { roster, options, outbox, news } = this.#context;
    const { self } = roster;
    this.#enter(self, self.incarnation, 'left');
    const { name, incarnation } = { name: options.name, incarnation: self.incarnation };
    const bytes = encodeMessage({ kind: 'dead', incarnation, node: name, from: name });
    news.put(name, bytes, false, onSpread);
    outbox.event({ kind: 'leave', member: snapshot(self) });
  }

  /** Forgets members that are gone for long. */
  forget(): void {
    const { roster, now } = this.#context;
    if (roster.liveCount() === roster.size) return;
    for (const record of [...roster.all()]) {
      if (record === roster.self || isLive(record)) continue;
      const keptMs =
        record.state === 'left' ? gossipLimits.forgetLeftMs : gossipLimits.forgetFailedMs;
      if (now - record.stateSince >= keptMs) roster.remove(record);
    }
  }

  #aliveKnown(record: MemberRecord, news: Alive, source: Source): void {
    if (news.incarnation <= record.contentIncarnation) {
      if (record.isUntold && news.incarnation === record.incarnation)
        this.#heardAgain(record, source);
      return;
    }
    const { outbox } = this.#context;
    const wasLive = isLive(record);
    record.endpoint = { address: news.address, port: news.port };
    record.meta = news.meta;
    record.tags = decodeTags(news.meta);
    record.versions = news.versions;
    record.contentIncarnation = news.incarnation;
    record.told = undefined;
    if (news.incarnation > record.incarnation) {
      this.#enter(record, news.incarnation, 'alive');
      // An older graver word must not be replaced in the queue, so only this case is told on.
      this.#tellLearnt(record, source);
    }
    const kind = !wasLive && isLive(record) ? 'join' : 'update';
    outbox.event({ kind, member: snapshot(record) });
  }

  /** Someone says that we live: an echo, our past before a restart, or a twin. */
  #aliveSelf(news: Alive): void {
    const { roster, outbox, now } = this.#context;
    const { self } = roster;
    if (news.incarnation < self.incarnation) return;
    const isElsewhere = news.address !== self.endpoint.address || news.port !== self.endpoint.port;
    const isSame = !isElsewhere && Buffer.compare(news.meta, self.meta) === 0;
    if (news.incarnation === self.incarnation && isSame) return;
    if (isElsewhere) {
      // Two living twins would outbid each other for ever at the speed of gossip.
      if (now - this.#conflictAnsweredAt < gossipLimits.conflictIntervalMs) return;
      this.#conflictAnsweredAt = now;
      outbox.event({ kind: 'conflict', member: snapshot(newRecord(news, now)) });
    }
    this.#refute(news.incarnation);
  }

  /** Someone says that we are suspect, dead or gone. */
  #accused(incarnation: number): void {
    const { roster, health, isLeaving } = this.#context;
    if (incarnation < roster.self.incarnation || isLeaving) return;
    // Others did not hear us in time: that may well be our own fault.
    health.add(1);
    this.#refute(incarnation);
  }

  /** Only this peer itself raises its incarnation, above its own and above the accused one. */
  #refute(accused: number): void {
    const { roster, outbox, isLeaving } = this.#context;
    if (isLeaving) return;
    if (accused >= gossipLimits.incarnationMax) {
      outbox.count('gossip_drops', 'bad-incarnation');
      return;
    }
    roster.self.incarnation = Math.max(roster.self.incarnation, accused) + 1;
    roster.self.contentIncarnation = roster.self.incarnation;
    roster.self.told = undefined;
    outbox.count('gossip_refutations', 'refuted');
    this.#tellAlive(roster.self);
  }

  /** Nobody could ever live again whose last incarnation was taken. */
  #isRefutable(news: Suspect | Dead): boolean {
    if (news.incarnation < gossipLimits.incarnationMax) return true;
    this.#context.outbox.count('gossip_drops', 'bad-incarnation');
    return false;
  }

  /**
   * An accuser must be another than the accused, and a member. Who accuses ourselves may be one that we have
   * not heard of yet: to refute harms nobody, to stay silent could be our end.
   */
  #isValidAccusation({ from, node }: Suspect | Dead): boolean {
    if (from === node || from === '') return false;
    return node === this.#context.options.name || this.#context.roster.get(from) !== undefined;
  }

  /** A suspicion that nobody refuted in its time becomes a death. */
  condemn(record: MemberRecord): void {
    const { options, isLeaving } = this.#context;
    if (isLeaving) return;
    const { incarnation, name } = record;
    this.dead({ kind: 'dead', incarnation, node: name, from: options.name });
  }

  #countAccuser(name: string): void {
    this.#context.outbox.count('gossip_accusations', this.#accusers.label(name));
  }

  #enter(record: MemberRecord, incarnation: number, state: MemberState): void {
    record.suspicion?.timer.cancel();
    record.suspicion = undefined;
    record.incarnation = incarnation;
    record.isDoubted = false;
    record.isUntold = false;
    record.told = undefined;
    if (record.state === state) return;
    this.#context.roster.setState(record, state);
    record.stateSince = this.#context.now;
  }

  #tell(message: Suspect | Dead): void {
    this.#context.news.put(message.node, encodeMessage(message), false);
  }

  /** What we kept to ourselves is still told by others, so it is news to somebody. A sync proves that it is old. */
  #heardAgain(record: MemberRecord, source: Source): void {
    if (source === 'news') this.#tellAlive(record);
    else if (source === 'sync') record.isUntold = false;
  }

  #tellLearnt(record: MemberRecord, source: Source): void {
    if (source === 'join') record.isUntold = true;
    else this.#tellAlive(record);
  }

  #tellAlive(record: MemberRecord): void {
    record.isUntold = false;
    this.#context.news.put(record.name, encodeMessage(aliveMessage(record)), true);
  }
}

function aliveMessage(record: MemberRecord): Alive {
  const { address, port } = record.endpoint;
  const { name: node, incarnation, meta, versions } = record;
  return { kind: 'alive', incarnation, node, address, port, meta, versions };
}

function told(record: MemberRecord): RemoteState {
  return {
    name: record.name,
    address: record.endpoint.address,
    port: record.endpoint.port,
    meta: record.meta,
    incarnation: record.incarnation,
    state: record.state,
    versions: record.versions,
  };
}

function newRecord(news: Alive, now: number): MemberRecord {
  return {
    name: news.node,
    endpoint: { address: news.address, port: news.port },
    meta: news.meta,
    tags: decodeTags(news.meta),
    versions: news.versions,
    told: undefined,
    contentIncarnation: news.incarnation,
    incarnation: news.incarnation,
    state: 'alive',
    stateSince: now,
    suspicion: undefined,
    isDoubted: false,
    isUntold: false,
  };
}

/** A member needs a name, a place to reach it and a protocol in common. */
function isUsable(news: Alive): boolean {
  if (news.node === '' || news.port === 0) return false;
  if (news.address === '' || isUnspecified(news.address)) return false;
  const [min, max] = news.versions;
  if (min === undefined || max === undefined) return true;
  return min <= ourVersions[1]! && max >= ourVersions[0]!;
}
