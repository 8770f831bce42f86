import { gossipLimits } from '../config/defaults.ts';
import type { Endpoint } from './address.ts';
import { encodeMessage } from './codec.ts';
import type { SwimContext } from './context.ts';
import type { MemberRecord } from './member.ts';
import { packetKind, type Message, type PacketKind } from './message.ts';
import { compoundHasRoom, encodePacket, packetBytes } from './packet.ts';

/** Version of the protocol from which packets carry a checksum. */
const checksumVersion = 5;

/**
 * How often one member sends one piece of news among `count` members: memberlist's mult x ceil(log10(N + 1)),
 * and half a power of ten earlier more. Each member hears a piece about as often as one member sends it, by
 * chance, so with 8 of them among 40 every hundredth piece would pass somebody over, who then waits for a full
 * sync. Nobody needs to be told twice by the same member for that.
 */
export function newsSendsMax(mult: number, count: number): number {
  const magnitude = Math.log10(count + 1);
  const wanted = mult * Math.ceil(magnitude + 0.5);
  return Math.max(mult * Math.ceil(magnitude), Math.min(count - 1, wanted));
}

/** Makes packets: messages first, then as much news as the packet holds. */
export class Post {
  readonly #context: SwimContext;

  constructor(context: SwimContext) {
    this.#context = context;
  }

  /** Sends messages to a member, and news with them. */
  send(to: MemberRecord, messages: readonly Message[]): void {
    const bytes = messages.map(encodeMessage);
    const checksum = (to.versions[1] ?? 0) >= checksumVersion;
    const kind = packetKind(messages);
    const news = this.#takeNews(to, kind, bytes, checksum);
    this.#emit(to.endpoint, [...bytes, ...news], checksum, kind);
  }

  /** Sends one message without news: the receiver may be a stranger, who shall get no more than asked. */
  sendPlain(to: Endpoint, message: Message): void {
    this.#emit(to, [encodeMessage(message)], false, packetKind([message]));
  }

  /** Sends as many of the messages as one packet holds, without news. */
  sendSome(to: MemberRecord, messages: readonly Message[]): void {
    const checksum = (to.versions[1] ?? 0) >= checksumVersion;
    const bytes: Uint8Array[] = [];
    for (const message of messages) {
      const next = encodeMessage(message);
      if (!this.#hasRoom([...bytes, next], checksum)) break;
      bytes.push(next);
    }
    this.#emit(to.endpoint, bytes, checksum, packetKind(messages));
  }

  /** Sends only news. False: there is none. */
  sendNews(to: MemberRecord): boolean {
    const checksum = (to.versions[1] ?? 0) >= checksumVersion;
    const news = this.#takeNews(to, 'news', [], checksum);
    if (news.length === 0) return false;
    this.#emit(to.endpoint, news, checksum, 'news');
    return true;
  }

  #takeNews(
    to: MemberRecord,
    kind: PacketKind,
    first: readonly Uint8Array[],
    checksum: boolean,
  ): readonly Uint8Array[] {
    const { news, roster, options } = this.#context;
    const all = [...first];
    const limit = newsSendsMax(options.profile.retransmitMult, roster.size);
    const sendsMax = this.#isLikelyHeard(to, kind) ? limit : Infinity;
    return news.take((bytes) => {
      if (!this.#hasRoom([...all, bytes], checksum)) return false;
      all.push(bytes);
      return true;
    }, sendsMax);
  }

  /**
   * Whether news to this member counts among the few sends of a piece. A suspect gets it all the same, for it
   * may only be slow, and so does who is pinged; but most whom a small side of a partition turns to hear
   * nothing, and the others of that side would never learn what was spent on those.
   */
  #isLikelyHeard(to: MemberRecord, kind: PacketKind): boolean {
    // Whether a ping is heard is what it is to find out: gossip's rounds come to who lives anyway.
    if (kind === 'ping') return false;
    return to.state === 'alive' || !this.#context.roster.hasAlive();
  }

  #hasRoom(messages: readonly Uint8Array[], checksum: boolean): boolean {
    const { header, options } = this.#context;
    const bytesMax = gossipLimits.packetBytesMax - (options.packetOverheadBytes ?? 0);
    const sizes = messages.map((bytes) => bytes.length);
    return compoundHasRoom(sizes.length - 1) && packetBytes(header, sizes, checksum) <= bytesMax;
  }

  #emit(to: Endpoint, messages: readonly Uint8Array[], checksum: boolean, kind: PacketKind): void {
    const { outbox, header } = this.#context;
    const bytes = encodePacket(header, messages, checksum);
    outbox.add({ kind: 'send', to, bytes });
    outbox.count('gossip_packets_out', kind);
    outbox.count('gossip_bytes_out', kind, bytes.length);
  }
}
