import type { Socket } from 'node:net';
import { sipSocketLimits } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import { StreamFramer, type StreamFrame } from '../../sip/index.ts';

export interface StreamConnectionOptions {
  readonly socket: Socket;
  readonly counters: Counters;
  readonly now: () => number;
  readonly receive: (message: Buffer) => void;
  readonly closed: () => void;
}

const pong = Buffer.from('\r\n');

/** A lone CRLF, which some clients send to keep a connection alive, begins no message. */
const lineBreakBytes = 2;

/** One TCP connection that carries SIP: cuts messages, answers keep-alives, bounds what waits. */
export class StreamConnection {
  readonly #options: StreamConnectionOptions;
  readonly #framer = new StreamFramer();
  #activeMs: number;
  /** When the message that is not complete yet began. */
  #partialSinceMs: number | undefined;
  /** Our side has ended; the next sweep does not wait for the other side any more. */
  #isEnding = false;

  constructor(options: StreamConnectionOptions) {
    this.#options = options;
    this.#activeMs = options.now();
    const { socket, counters, closed } = options;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', () => counters.count('sip_connections_lost', 'error'));
    socket.on('close', closed);
  }

  /** Whether it takes messages still. */
  get isOpen(): boolean {
    const { socket } = this.#options;
    return !this.#isEnding && !socket.destroyed && socket.writable;
  }

  /** False: the connection is gone or its backlog is full, in which case it is cut off. */
  send(message: Buffer): boolean {
    const { socket, counters } = this.#options;
    if (!this.isOpen) return false;
    if (socket.writableLength + message.length > sipSocketLimits.connectionBacklogBytesMax) {
      counters.count('sip_connections_lost', 'slow-reader');
      socket.destroy();
      return false;
    }
    socket.write(message);
    this.#activeMs = this.#options.now();
    return true;
  }

  /** Closes what has been idle or in the middle of a message for too long. */
  sweep(nowMs: number): void {
    const { socket, counters } = this.#options;
    if (this.#isEnding) return this.close();
    const partialMs = this.#partialSinceMs === undefined ? 0 : nowMs - this.#partialSinceMs;
    if (partialMs > sipSocketLimits.partialMessageMs) {
      counters.count('sip_connections_lost', 'partial-message');
      socket.destroy();
    } else if (nowMs - this.#activeMs > sipSocketLimits.connectionIdleMs) {
      counters.count('sip_connections_lost', 'idle');
      this.#end();
    }
  }

  close(): void {
    this.#options.socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#activeMs = this.#options.now();
    const frames = this.#framer.push(chunk);
    // What is left after a whole frame began with this chunk.
    if (frames.length > 0) this.#partialSinceMs = undefined;
    if (this.#framer.pendingBytes <= lineBreakBytes) this.#partialSinceMs = undefined;
    else this.#partialSinceMs ??= this.#activeMs;
    for (const frame of frames) this.#handle(frame);
  }

  #handle(frame: StreamFrame): void {
    const { counters, receive } = this.#options;
    switch (frame.kind) {
      case 'message':
        counters.count('sip_received', 'tcp');
        return receive(frame.bytes);
      case 'ping':
        counters.count('sip_received', 'keep-alive');
        this.send(pong);
        return;
      case 'fault':
        counters.count('sip_drops', frame.cause);
        // The head may still tell whom to answer; what follows it cannot be cut any more.
        if (frame.cause !== 'header-too-large') receive(frame.bytes);
        this.#end();
    }
  }

  #end(): void {
    this.#isEnding = true;
    this.#options.socket.end();
  }
}
