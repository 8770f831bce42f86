import type { Socket } from 'node:net';
import { sipSocketLimits, upstreamLimits } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import { StreamFramer, type StreamFrame } from '../../sip/index.ts';

export interface UpstreamSipConnectionOptions {
  readonly socket: Socket;
  readonly counters: Counters;
  readonly now: () => number;
  readonly receive: (message: Buffer) => void;
  readonly closed: () => void;
}

const pong = Buffer.from('\r\n');

/** A lone CRLF, which some servers send to keep a connection alive, begins no message. */
const lineBreakBytes = 2;

/** One TCP connection with the application: cuts messages, answers keep-alives, bounds what waits. */
export class UpstreamSipConnection {
  readonly #options: UpstreamSipConnectionOptions;
  readonly #framer = new StreamFramer();
  #activeMs: number;
  /** When the message that is not complete yet began. */
  #partialSinceMs: number | undefined;

  constructor(options: UpstreamSipConnectionOptions) {
    this.#options = options;
    this.#activeMs = options.now();
    const { socket, counters, closed } = options;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', () => counters.count('application_failures', 'tcp-broken'));
    socket.on('close', closed);
  }

  /** Whether it takes messages still: one that the server has ended does not. */
  get isOpen(): boolean {
    return this.#options.socket.writable;
  }

  /** False: it is closed, or the server is too slow to take more. */
  send(message: Buffer): boolean {
    const { socket, counters, now } = this.#options;
    if (!this.isOpen) return false;
    if (socket.writableLength + message.length > sipSocketLimits.connectionBacklogBytesMax) {
      counters.count('application_failures', 'tcp-backlog');
      return false;
    }
    socket.write(message);
    this.#activeMs = now();
    return true;
  }

  /** Closes what has been idle or in the middle of a message for too long. */
  sweep(nowMs: number): void {
    const partialMs = this.#partialSinceMs === undefined ? 0 : nowMs - this.#partialSinceMs;
    if (partialMs > sipSocketLimits.partialMessageMs) this.#cut('tcp-partial-message');
    else if (nowMs - this.#activeMs > upstreamLimits.connectionIdleMs) this.#cut('tcp-idle');
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
    switch (frame.kind) {
      case 'message':
        return this.#options.receive(frame.bytes);
      case 'ping':
        this.send(pong);
        return;
      case 'fault':
        this.#cut(`tcp-${frame.cause}`);
    }
  }

  #cut(reason: string): void {
    this.#options.counters.count('application_failures', reason);
    this.#options.socket.destroy();
  }
}
