import { gossipLimits } from '../../../src/config/defaults.ts';
import type { Endpoint, StreamDecoder, StreamId } from '../../../src/gossip/index.ts';
import type { Clock } from '../clock.ts';
import { passes, transitMs, type Path } from './path.ts';
import type { SimulatedPeer } from './peer.ts';

/** Linux's first wait for an answer to SYN; it doubles. */
const synTimeoutMs = 1_000;
/** Linux's least retransmission time-out; it doubles too. */
const retransmissionMs = 200;
const segmentBytes = 1_448;
/** Segments of the first flight; each flight that arrives doubles the next. */
const firstFlight = 10;
/** So many segments behind a lost one make the sender repeat it at once. */
const duplicateAcks = 3;

export interface Roads {
  readonly clock: Clock;
  readonly random: () => number;
  readonly streamTimeoutMs: number;
  /** The process at this address, or the last one that was there. */
  at(endpoint: Endpoint): SimulatedPeer | undefined;
  path(from: SimulatedPeer, to: SimulatedPeer): Path;
}

interface End {
  readonly peer: SimulatedPeer;
  readonly id: StreamId;
  readonly decoder: StreamDecoder;
  isDelivered: boolean;
}

export interface Connection {
  readonly opener: End;
  accepted: End | undefined;
}

/** TCP as far as gossip feels it: connecting, refusal, lost segments and their time-outs. */
export class Streams {
  readonly #roads: Roads;

  constructor(roads: Roads) {
    this.#roads = roads;
  }

  open(peer: SimulatedPeer, id: StreamId, to: Endpoint, plain: Uint8Array): void {
    if (peer.streams.size >= gossipLimits.streamsMax) {
      peer.addCount('gossip_drops:streams-full');
      peer.input({ kind: 'streamClosed', stream: id });
      return;
    }
    const bytes = peer.seal.sealStream(plain, 'opened');
    peer.sentBytes += bytes.length;
    const opener = { peer, id, decoder: peer.seal.streamDecoder('opened'), isDelivered: false };
    const connection: Connection = { opener, accepted: undefined };
    this.#hold(connection, opener);
    this.#connect(connection, to, bytes, synTimeoutMs);
  }

  /** Writes the answer and ends the stream. */
  answer(peer: SimulatedPeer, id: StreamId, plain: Uint8Array): void {
    const connection = peer.streams.get(id);
    if (connection?.accepted === undefined) return;
    const bytes = peer.seal.sealStream(plain, 'accepted');
    peer.sentBytes += bytes.length;
    const { opener } = connection;
    this.#forget(connection.accepted);
    this.#carry(connection, connection.accepted, opener, bytes);
  }

  close(peer: SimulatedPeer, id: StreamId): void {
    const connection = peer.streams.get(id);
    if (connection === undefined) return;
    const end = connection.opener.peer === peer ? connection.opener : connection.accepted!;
    this.#forget(end);
    this.#tellOther(connection, end);
  }

  /** The process ended; its system says so to the others unless it is gone too. */
  closeAll(peer: SimulatedPeer): void {
    for (const id of [...peer.streams.keys()]) this.close(peer, id);
  }

  #hold(connection: Connection, end: End): void {
    end.peer.streams.set(end.id, connection);
    end.peer.after(this.#roads.streamTimeoutMs, () => {
      this.#fail(connection, end, 'stream-timeout');
    });
  }

  #forget({ peer, id }: End): void {
    peer.streams.delete(id);
  }

  /** SYN and its answer; then what the opener has to say. */
  #connect(connection: Connection, to: Endpoint, bytes: Uint8Array, timeoutMs: number): void {
    const { clock, random } = this.#roads;
    const { opener } = connection;
    if (!this.#isOpen(opener)) return;
    const target = this.#roads.at(to);
    const again = (): void => {
      this.#connect(connection, to, bytes, timeoutMs * 2);
    };
    if (target === undefined || target.life === 'host-down') {
      clock.after(timeoutMs, again);
      return;
    }
    const there = this.#roads.path(opener.peer, target);
    const back = this.#roads.path(target, opener.peer);
    if (isBlocked(there) || !passes(there, random) || !passes(back, random)) {
      clock.after(timeoutMs, again);
      return;
    }
    const roundTripMs = transitMs(there, random) + transitMs(back, random);
    clock.after(roundTripMs, () => {
      if (!target.isRunning) {
        opener.peer.arrive(0, () => {
          this.#fail(connection, opener, 'stream-error');
        });
        return;
      }
      const id = target.nextAccepted;
      target.nextAccepted += 2;
      const decoder = target.seal.streamDecoder('accepted');
      const accepted = { peer: target, id, decoder, isDelivered: false };
      this.#carry(connection, opener, accepted, bytes);
    });
  }

  /** Brings all bytes of one side to the other, flight by flight. */
  #carry(connection: Connection, from: End, to: End, bytes: Uint8Array): void {
    const { clock, random } = this.#roads;
    const segments = Math.max(1, Math.ceil(bytes.length / segmentBytes));
    const flights = Math.ceil(Math.log2(segments / firstFlight + 1));
    const send = (left: number, timeoutMs: number): void => {
      if (from.peer.life === 'host-down') return;
      const path = this.#roads.path(from.peer, to.peer);
      let lost = 0;
      for (let i = 0; i < left; i++) if (isBlocked(path) || !passes(path, random)) lost++;
      const transit = transitMs(path, random);
      if (lost === 0) {
        clock.after(transit + 2 * transit * (flights - 1), () => {
          to.peer.arrive(0, () => {
            this.#read(connection, to, bytes);
          });
        });
        return;
      }
      const isSeen = left - lost >= duplicateAcks;
      const waitMs = isSeen ? 2 * transit : timeoutMs;
      clock.after(waitMs, () => {
        send(lost, isSeen ? timeoutMs : timeoutMs * 2);
      });
    };
    send(segments, retransmissionMs);
  }

  /** The shell reads, here in two pieces cut at random. */
  #read(connection: Connection, end: End, bytes: Uint8Array): void {
    const { peer, id } = end;
    if (end !== connection.opener && !this.#accept(connection, end)) return;
    if (!this.#isOpen(end)) return;
    const middle = Math.floor(this.#roads.random() * bytes.length);
    for (const piece of [bytes.subarray(0, middle), bytes.subarray(middle)]) {
      const result = end.decoder.push(piece);
      if (!result.ok) {
        this.#fail(connection, end, result.fault);
        return;
      }
      if (result.value !== undefined) {
        end.isDelivered = true;
        peer.input({ kind: 'streamMessage', stream: id, message: result.value });
        return;
      }
    }
  }

  #accept(connection: Connection, end: End): boolean {
    if (!this.#isOpen(connection.opener)) return false;
    if (end.peer.streams.size >= gossipLimits.streamsMax) {
      end.peer.addCount('gossip_drops:streams-full');
      this.#tellOther(connection, end);
      return false;
    }
    connection.accepted = end;
    this.#hold(connection, end);
    return true;
  }

  #fail(connection: Connection, end: End, reason: string): void {
    if (!this.#isOpen(end)) return;
    end.peer.addCount(`gossip_drops:${reason}`);
    this.#forget(end);
    this.#tellOther(connection, end);
    if (!end.isDelivered) end.peer.input({ kind: 'streamClosed', stream: end.id });
  }

  /** The end of one side reaches the other, if the way is open. */
  #tellOther(connection: Connection, end: End): void {
    const { clock, random } = this.#roads;
    const other = end === connection.opener ? connection.accepted : connection.opener;
    if (other === undefined || end.peer.life === 'host-down') return;
    const path = this.#roads.path(end.peer, other.peer);
    if (path.isCut || isBlocked(path)) return;
    clock.after(transitMs(path, random), () => {
      other.peer.arrive(0, () => {
        if (!other.isDelivered) this.#fail(connection, other, 'stream-ended');
      });
    });
  }

  #isOpen({ peer, id }: End): boolean {
    return peer.streams.has(id);
  }
}

function isBlocked(path: Path): boolean {
  return path.refuses === 'streams';
}
