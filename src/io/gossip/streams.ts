import { connect, type Socket } from 'node:net';
import { gossipLimits } from '../../config/defaults.ts';
import {
  labelHeader,
  StreamDecoder,
  type Endpoint,
  type StreamId,
  type SwimInput,
} from '../../gossip/index.ts';
import type { Counters } from '../../pipeline/counters.ts';

export interface GossipStreamsOptions {
  readonly label: string;
  /** A stream that is not done after this long is closed. */
  readonly timeoutMs: number;
  readonly counters: Counters;
  /** Takes messages and ends of streams. */
  readonly onInput: (input: SwimInput) => void;
}

interface OpenStream {
  readonly id: StreamId;
  readonly socket: Socket;
  readonly decoder: StreamDecoder;
  readonly deadline: NodeJS.Timeout;
  bytes: number;
  isDelivered: boolean;
}

/** The TCP side of gossip: short streams with one message each way, bounded in number, size and time. */
export class GossipStreams {
  readonly #options: GossipStreamsOptions;
  readonly #header: Uint8Array;
  readonly #streams = new Map<StreamId, OpenStream>();
  #nextAccepted = 1;

  constructor(options: GossipStreamsOptions) {
    this.#options = options;
    this.#header = labelHeader(options.label);
  }

  /** Connects, writes `bytes` and reads one message. Failure comes back as `streamClosed`. */
  open(id: StreamId, to: Endpoint, bytes: Uint8Array): void {
    if (this.#streams.size >= gossipLimits.streamsMax) {
      this.#drop('streams-full');
      this.#options.onInput({ kind: 'streamClosed', stream: id });
      return;
    }
    const socket = connect({ host: to.address, port: to.port, noDelay: true });
    this.#watch(id, socket, 'opened');
    socket.write(bytes);
  }

  /** Takes a connection that another member opened. */
  accept(socket: Socket): void {
    if (this.#streams.size >= gossipLimits.streamsMax) {
      this.#drop('streams-full');
      socket.destroy();
      return;
    }
    const id = this.#nextAccepted;
    this.#nextAccepted += 2;
    this.#watch(id, socket, 'accepted');
  }

  /** Writes the answer and ends the stream. */
  answer(id: StreamId, bytes: Uint8Array): void {
    this.#streams.get(id)?.socket.end(bytes);
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

  #watch(id: StreamId, socket: Socket, side: 'opened' | 'accepted'): void {
    const stream: OpenStream = {
      id,
      socket,
      decoder: new StreamDecoder(this.#header, side),
      deadline: setTimeout(() => {
        this.#fail(stream, 'stream-timeout');
      }, this.#options.timeoutMs),
      bytes: 0,
      isDelivered: false,
    };
    this.#streams.set(id, stream);
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
    if (stream.bytes > gossipLimits.streamBytesMax) {
      this.#fail(stream, 'stream-bytes');
      return;
    }
    if (stream.isDelivered) return;
    const result = stream.decoder.push(chunk);
    if (!result.ok) {
      this.#fail(stream, result.fault);
      return;
    }
    if (result.value === undefined) return;
    stream.isDelivered = true;
    this.#options.onInput({ kind: 'streamMessage', stream: stream.id, message: result.value });
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
    return this.#streams.delete(stream.id);
  }

  #drop(reason: string): void {
    this.#options.counters.count('gossip_drops', reason);
  }
}
