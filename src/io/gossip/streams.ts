import { connect, type Socket } from 'node:net';
import { gossipLimits } from '../../config/defaults.ts';
import type { Endpoint, StreamDecoder, StreamId, SwimInput } from '../../gossip/index.ts';
import type { Counters } from '../../pipeline/counters.ts';
import { NetworkSet } from '../../pipeline/network.ts';
import { SourcePlaces } from '../accept/index.ts';
import type { Border } from './border.ts';

export interface GossipStreamsOptions {
  readonly border: Border;
  /** A stream that is not done after this long is closed. */
  readonly timeoutMs: number;
  readonly counters: Counters;
  /** Whether a living member has this address, as a socket reports it. */
  readonly isMember: (address: string) => boolean;
  /** Takes messages and ends of streams. */
  readonly onInput: (input: SwimInput) => void;
}

/** Streams of one direction: those that others open leave room for ours. */
interface Side {
  count: number;
  /** What waits for the rest of a message, or to be read by the other side. */
  waitingBytes: number;
}

interface OpenStream {
  readonly id: StreamId;
  readonly side: Side;
  readonly socket: Socket;
  /** None once its message was delivered, which it would keep. */
  decoder: StreamDecoder | undefined;
  readonly deadline: NodeJS.Timeout;
  bytes: number;
  /** Its part of those of its side. */
  waitingBytes: number;
  isDelivered: boolean;
}

/** The TCP side of gossip: short streams with one message each way, bounded in number, size and time. */
export class GossipStreams {
  readonly #options: GossipStreamsOptions;
  readonly #places = new SourcePlaces(gossipLimits.streamsPerSourceMax, new NetworkSet([]));
  readonly #streams = new Map<StreamId, OpenStream>();
  #nextAccepted = 1;
  readonly #opened: Side = { count: 0, waitingBytes: 0 };
  readonly #accepted: Side = { count: 0, waitingBytes: 0 };

  constructor(options: GossipStreamsOptions) {
    this.#options = options;
  }

  /** Connects, writes `bytes` and reads one message. Failure comes back as `streamClosed`. */
  open(id: StreamId, to: Endpoint, bytes: Uint8Array): void {
    if (this.#opened.count >= gossipLimits.streamsMax) {
      this.#drop('streams-full');
      this.#options.onInput({ kind: 'streamClosed', stream: id });
      return;
    }
    const socket = connect({ host: to.address, port: to.port, noDelay: true });
    this.#watch(id, socket, 'opened');
    socket.write(this.#seal(bytes, 'opened'));
  }

  /** Takes a connection that another member opened. */
  accept(socket: Socket): void {
    if (!this.#admits(socket)) {
      socket.destroy();
      return;
    }
    const id = this.#nextAccepted;
    this.#nextAccepted += 2;
    this.#watch(id, socket, 'accepted');
  }

  /** Writes the answer and ends the stream. */
  answer(id: StreamId, bytes: Uint8Array): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    const sealed = this.#seal(bytes, 'accepted');
    if (this.#waitsFor(stream, sealed.length)) stream.socket.end(sealed);
  }

  close(id: StreamId): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#forget(stream);
    stream.socket.destroy();
  }

  closeAll(): void {
    for (const id of [...this.#streams.keys()]) this.close(id);
  }

  #seal(bytes: Uint8Array, side: 'opened' | 'accepted'): Uint8Array {
    const sealed = this.#options.border.sealStream(bytes, side);
    this.#options.counters.count('gossip_bytes_out', 'stream', sealed.length);
    return sealed;
  }

  #admits(socket: Socket): boolean {
    const { remoteAddress } = socket;
    if (remoteAddress === undefined) {
      // Gone before it was looked at.
      this.#drop('stream-ended');
      return false;
    }
    const { border, isMember } = this.#options;
    if (!border.admitsStream(remoteAddress, isMember)) return false;
    if (this.#accepted.count >= gossipLimits.streamsMax) {
      this.#drop('streams-full');
      return false;
    }
    if (this.#places.admit(socket, remoteAddress)) return true;
    this.#drop('source-streams-full');
    return false;
  }

  #watch(id: StreamId, socket: Socket, side: 'opened' | 'accepted'): void {
    const stream: OpenStream = {
      id,
      side: side === 'opened' ? this.#opened : this.#accepted,
      socket,
      decoder: this.#options.border.streamDecoder(side),
      deadline: setTimeout(() => {
        this.#fail(stream, 'stream-timeout');
      }, this.#options.timeoutMs),
      bytes: 0,
      waitingBytes: 0,
      isDelivered: false,
    };
    this.#streams.set(id, stream);
    stream.side.count++;
    socket.on('data', (chunk) => {
      this.#read(stream, chunk);
    });
    socket.on('end', () => {
      if (!stream.isDelivered) this.#fail(stream, 'stream-ended');
      // An accepted stream that its opener ended is not ended by us before the answer is out.
    });
    socket.on('error', () => {
      this.#fail(stream, 'stream-error');
    });
    socket.on('close', () => {
      this.#end(stream);
    });
  }

  #read(stream: OpenStream, chunk: Buffer): void {
    if (!this.#streams.has(stream.id)) return;
    stream.bytes += chunk.length;
    this.#options.counters.count('gossip_bytes_in', 'stream', chunk.length);
    if (stream.bytes > gossipLimits.streamBytesMax) {
      this.#fail(stream, 'stream-bytes');
      return;
    }
    if (stream.decoder === undefined) return;
    if (!this.#waitsFor(stream, chunk.length)) return;
    const result = stream.decoder.push(chunk);
    if (!result.ok) {
      this.#fail(stream, result.fault);
      return;
    }
    if (result.value === undefined) return;
    stream.isDelivered = true;
    stream.decoder = undefined;
    this.#release(stream);
    this.#options.onInput({ kind: 'streamMessage', stream: stream.id, message: result.value });
  }

  /** Counts bytes that wait. False: there is no room for them, and the stream is over. */
  #waitsFor(stream: OpenStream, bytes: number): boolean {
    stream.waitingBytes += bytes;
    stream.side.waitingBytes += bytes;
    if (stream.side.waitingBytes <= gossipLimits.streamsBytesMax) return true;
    this.#fail(stream, 'streams-bytes');
    return false;
  }

  #fail(stream: OpenStream, reason: string): void {
    if (!this.#streams.has(stream.id)) return;
    this.#drop(reason);
    this.#end(stream);
    stream.socket.destroy();
  }

  /** The stream is over; the machine hears of it unless it had its message. */
  #end(stream: OpenStream): void {
    if (!this.#forget(stream)) return;
    if (!stream.isDelivered) this.#options.onInput({ kind: 'streamClosed', stream: stream.id });
  }

  #forget(stream: OpenStream): boolean {
    clearTimeout(stream.deadline);
    this.#release(stream);
    if (!this.#streams.delete(stream.id)) return false;
    stream.side.count--;
    return true;
  }

  #release(stream: OpenStream): void {
    stream.side.waitingBytes -= stream.waitingBytes;
    stream.waitingBytes = 0;
  }

  #drop(reason: string): void {
    this.#options.counters.count('gossip_drops', reason);
  }
}
