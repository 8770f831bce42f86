import { gossipLimits } from '../config/defaults.ts';
import { endpointText, type Endpoint } from './address.ts';
import type { SwimContext } from './context.ts';
import type { StreamId } from './effect.ts';
import { isLive, type MemberRecord } from './member.ts';
import type { Membership } from './membership.ts';
import type { Ack, IndirectPing, Message, Nack, Ping } from './message.ts';
import type { Post } from './post.ts';
import { encodeStreamMessage } from './stream-codec.ts';
import type { Suspicions } from './suspicion.ts';
import type { Timer } from './timers.ts';

interface Probe {
  readonly seqNo: number;
  readonly target: MemberRecord;
  /** Relays asked; none while the direct ping has time. */
  relays: readonly MemberRecord[];
  /** Where from relays said that they live but got no answer either. */
  readonly nacks: Set<string>;
  /** Made because a relay was silent: its own silent relays are left in peace. */
  readonly isFollowUp: boolean;
  stream: StreamId | undefined;
  timer: Timer;
}

interface RelayedPing {
  readonly asker: Endpoint;
  readonly askedSeqNo: number;
  timer: Timer;
}

/**
 * A relay says "no answer" a little before the asker's own time is over, which is what the direct ping left of
 * the interval.
 */
const nackShare = 0.8;

/**
 * Finds out who is silent: one member each interval, first directly, then through relays and over a
 * stream. It also answers and relays the pings of others.
 */
export class Prober {
  readonly #context: SwimContext;
  readonly #membership: Membership;
  readonly #suspicions: Suspicions;
  readonly #post: Post;
  readonly #probes = new Map<number, Probe>();
  readonly #relayed = new Map<number, RelayedPing>();
  /** The probe of the last turn. */
  #turn: Probe | undefined;
  /** A turn that came while the probe of the last one had still time. */
  #isTurnDue = false;
  #seqNo: number;

  constructor(context: SwimContext, membership: Membership, suspicions: Suspicions, post: Post) {
    this.#context = context;
    this.#membership = membership;
    this.#suspicions = suspicions;
    this.#post = post;
    this.#seqNo = Math.floor(context.options.random() * 0xffff_ffff);
  }

  start(): void {
    const { timers, now, options } = this.#context;
    timers.schedule(now + options.random() * options.profile.probeIntervalMs, () => {
      this.#tick();
    });
  }

  /** Probes a member out of turn. */
  probeByName(name: string): void {
    const record = this.#context.roster.get(name);
    if (record === undefined || record === this.#context.roster.self || !isLive(record)) return;
    this.probe(record);
  }

  /** Probes a member out of turn, unless that is under way. */
  probe(record: MemberRecord): void {
    if (this.#running(record) === undefined) this.#probe(record);
  }

  #running(record: MemberRecord): Probe | undefined {
    for (const probe of this.#probes.values()) if (probe.target === record) return probe;
    return undefined;
  }

  ping(ping: Ping, from: Endpoint): void {
    const { options, roster, outbox } = this.#context;
    if (ping.node !== '' && ping.node !== options.name) {
      outbox.count('gossip_drops', 'not-for-us');
      return;
    }
    const ack: Ack = { kind: 'ack', seqNo: ping.seqNo, payload: new Uint8Array(0) };
    const asker = roster.get(ping.sourceNode);
    // The answer goes where the packet came from: an address inside it could name a victim.
    if (asker !== undefined && isAt(asker, from))
      this.#post.send(asker, this.#withAccusation(ack, asker));
    else this.#post.sendPlain(from, ack);
  }

  /** The answer to a ping over a stream, or undefined when another was meant. */
  streamPing(ping: Ping): Ack | undefined {
    if (ping.node !== '' && ping.node !== this.#context.options.name) return undefined;
    return { kind: 'ack', seqNo: ping.seqNo, payload: new Uint8Array(0) };
  }

  /** Pings for another, but only a member at its known address: we are nobody's open relay. */
  relay(request: IndirectPing, from: Endpoint): void {
    const { roster, outbox, timers, now, options } = this.#context;
    const target = roster.get(request.node);
    if (target === undefined || !isAt(target, request)) {
      outbox.count('gossip_drops', 'unknown-target');
      return;
    }
    const asker = roster.get(request.sourceNode);
    const isStranger = asker === undefined || !isAt(asker, from);
    // Whoever is no member, or did not say so, leaves room for the probes of members.
    const { relayedPingsMax } = gossipLimits;
    if (this.#relayed.size >= (isStranger ? relayedPingsMax / 2 : relayedPingsMax)) {
      outbox.count('gossip_drops', 'relays-full');
      return;
    }
    const seqNo = this.#nextSeqNo();
    const { probeTimeoutMs, probeIntervalMs } = options.profile;
    const nackMs = nackShare * Math.min(probeTimeoutMs, probeIntervalMs - probeTimeoutMs);
    const giveUp = (): void => void this.#relayed.delete(seqNo);
    const sayNo = (): void => {
      if (request.nack) this.#post.sendPlain(from, { kind: 'nack', seqNo: request.seqNo });
      // A late answer is still worth passing on.
      relayed.timer = timers.schedule(now + probeIntervalMs, giveUp);
    };
    const relayed: RelayedPing = {
      asker: from,
      askedSeqNo: request.seqNo,
      timer: timers.schedule(now + nackMs, sayNo),
    };
    this.#relayed.set(seqNo, relayed);
    this.#post.send(target, [this.#pingMessage(seqNo, target)]);
  }

  ack(ack: Ack): void {
    const relayed = this.#relayed.get(ack.seqNo);
    if (relayed !== undefined) {
      relayed.timer.cancel();
      this.#relayed.delete(ack.seqNo);
      this.#post.sendPlain(relayed.asker, { ...ack, seqNo: relayed.askedSeqNo });
      return;
    }
    const probe = this.#probes.get(ack.seqNo);
    if (probe === undefined) {
      this.#context.outbox.count('gossip_drops', 'late-ack');
      return;
    }
    probe.target.isDoubted = false;
    this.#suspicions.answered(probe.target);
    this.#end(probe);
    this.#context.health.add(-1);
    this.#takeDueTurn(probe);
  }

  nack(nack: Nack, from: Endpoint): void {
    const probe = this.#probes.get(nack.seqNo);
    if (probe !== undefined && probe.nacks.size < probe.relays.length) {
      probe.nacks.add(endpointText(from));
    }
  }

  /** Takes what a stream that we opened brought. False: it is none of ours. */
  streamMessage(stream: StreamId, ack: Ack): boolean {
    const probe = this.#byStream(stream);
    if (probe === undefined) return false;
    probe.stream = undefined;
    this.#context.outbox.add({ kind: 'closeStream', stream });
    if (ack.seqNo === probe.seqNo) this.ack(ack);
    return true;
  }

  streamClosed(stream: StreamId): boolean {
    const probe = this.#byStream(stream);
    if (probe === undefined) return false;
    probe.stream = undefined;
    return true;
  }

  #tick(): void {
    const { timers, now, options, isLeaving } = this.#context;
    if (isLeaving) return;
    timers.schedule(now + options.profile.probeIntervalMs, () => {
      this.#tick();
    });
    // A peer that doubts itself waits longer for an answer, and so probes more rarely.
    if (this.#turn === undefined) this.#takeTurn();
    else this.#isTurnDue = true;
  }

  #takeTurn(): void {
    const { roster, health } = this.#context;
    this.#isTurnDue = false;
    const target = roster.nextToProbe();
    // Two probes of one member at a time would count its silence twice.
    if (target !== undefined) this.#turn = this.#running(target) ?? this.#probe(target);
    // With nobody to listen to there is nothing to be wrong about.
    else health.add(-1);
  }

  /** The probe of the last turn is over. */
  #takeDueTurn(probe: Probe): void {
    if (probe !== this.#turn) return;
    this.#turn = undefined;
    if (this.#isTurnDue && !this.#context.isLeaving) this.#takeTurn();
  }

  #probe(target: MemberRecord, isFollowUp = false): Probe {
    const { timers, now, options, health } = this.#context;
    const { probeIntervalMs, probeTimeoutMs } = options.profile;
    const seqNo = this.#nextSeqNo();
    const dueAt = now + health.scale(probeIntervalMs);
    const timer = timers.schedule(now + health.scale(probeTimeoutMs), () => {
      this.#askOthers(probe, dueAt);
    });
    const rest = { relays: [], nacks: new Set<string>(), stream: undefined };
    const probe: Probe = { seqNo, target, isFollowUp, timer, ...rest };
    this.#probes.set(seqNo, probe);
    const ping = this.#pingMessage(seqNo, target);
    this.#post.send(target, this.#withAccusation(ping, target));
    return probe;
  }

  /**
   * The direct ping has no answer: the path or the datagram may be at fault, not the member. So the ping is
   * made once more, and goes round by relays and a stream.
   */
  #askOthers(probe: Probe, dueAt: number): void {
    const { roster, options, outbox, timers, header } = this.#context;
    const { target, seqNo } = probe;
    const relays = roster.pick(
      options.profile.relays,
      (record) => record !== target && record.state === 'alive',
    );
    probe.relays = relays;
    const ping = this.#pingMessage(seqNo, target);
    this.#post.send(target, this.#withAccusation(ping, target));
    for (const relay of relays) {
      this.#post.send(relay, [{ ...ping, kind: 'indirectPing', ...target.endpoint, nack: true }]);
    }
    if (options.profile.streamProbe) {
      probe.stream = this.#context.nextStream();
      const bytes = encodeStreamMessage(header, ping);
      outbox.add({ kind: 'openStream', stream: probe.stream, to: target.endpoint, bytes });
    }
    probe.timer = timers.schedule(dueAt, () => {
      this.#conclude(probe);
    });
  }

  #conclude(probe: Probe): void {
    this.#end(probe);
    // Before the health falls: whether the relays are at fault or we are shall show soon.
    this.#judge(probe);
    this.#doubtSilent(probe);
    this.#takeDueTurn(probe);
  }

  /** Relays that do not even say no: they are gone too, or our own ears are at fault. */
  #doubtSilent(probe: Probe): void {
    const { health } = this.#context;
    const silent = probe.relays.filter(({ endpoint }) => !probe.nacks.has(endpointText(endpoint)));
    const isAttributed = silent.length + probe.nacks.size === probe.relays.length;
    health.add(probe.relays.length === 0 ? 1 : probe.relays.length - probe.nacks.size);
    if (probe.nacks.size === 0 || !isAttributed || probe.isFollowUp) return;
    // Those that answered heard us, so it is worth looking at the others: members often fail together.
    for (const relay of silent)
      if (isLive(relay) && this.#running(relay) === undefined) this.#probe(relay, true);
  }

  #judge(probe: Probe): void {
    const { outbox, isLeaving } = this.#context;
    const { target } = probe;
    if (isLeaving || !isLive(target)) return;
    outbox.count('gossip_probes', 'failed');
    // Silent relays say more about the relays or about us than about the target: it gets one more try.
    const isSilent = probe.relays.length > 0 && probe.nacks.size === 0;
    if (isSilent && !target.isDoubted && target.state === 'alive') {
      target.isDoubted = true;
      this.#probe(target, probe.isFollowUp);
      return;
    }
    target.isDoubted = false;
    this.#membership.suspect(this.#accusation(target));
  }

  #end(probe: Probe): void {
    probe.timer.cancel();
    this.#probes.delete(probe.seqNo);
    if (probe.stream === undefined) return;
    this.#context.outbox.add({ kind: 'closeStream', stream: probe.stream });
    probe.stream = undefined;
  }

  #byStream(stream: StreamId): Probe | undefined {
    for (const probe of this.#probes.values()) if (probe.stream === stream) return probe;
    return undefined;
  }

  #pingMessage(seqNo: number, target: MemberRecord): Ping {
    const { options } = this.#context;
    return {
      kind: 'ping',
      seqNo,
      node: target.name,
      sourceAddress: options.endpoint.address,
      sourcePort: options.endpoint.port,
      sourceNode: options.name,
    };
  }

  /** Whoever is held for suspect or dead hears of it with each message, so that it can refute at once. */
  #withAccusation(message: Message, to: MemberRecord): readonly Message[] {
    if (!this.#context.options.profile.buddyRule) return [message];
    const accusation = this.#accusation(to);
    if (to.state === 'suspect') return [message, accusation];
    if (to.state === 'dead') return [message, { ...accusation, kind: 'dead' }];
    return [message];
  }

  #accusation(target: MemberRecord): Message & { readonly kind: 'suspect' } {
    const { name: node, incarnation } = target;
    return { kind: 'suspect', incarnation, node, from: this.#context.options.name };
  }

  #nextSeqNo(): number {
    this.#seqNo = (this.#seqNo + 1) >>> 0;
    return this.#seqNo;
  }
}

function isAt(record: MemberRecord, endpoint: Endpoint): boolean {
  return record.endpoint.address === endpoint.address && record.endpoint.port === endpoint.port;
}
