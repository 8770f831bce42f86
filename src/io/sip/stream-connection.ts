import type { Socket } from 'node:net';
import { StreamFramer, type StreamFrame } from '../../sip/index.ts';
import { ConnectionAge } from './connection-age.ts';
import type { SipConnection } from './connection.ts';
import type { TransportContext } from './transport-context.ts';

export interface StreamConnectionOptions {
  /** A connected TCP or TLS socket; paused or not. */
  readonly socket: Socket;
  /** Under which its messages are counted. */
  readonly transport: 'tcp' | 'tls';
  readonly context: TransportContext;
  readonly receive: (message: Buffer) => void;
  readonly closed: () => void;
}

const pong = Buffer.from('\r\n');

/** A lone CRLF, which some clients send to keep a connection alive, begins no message. */
const lineBreakBytes = 2;

/** One TCP or TLS connection: cuts messages, answers keep-alives, bounds what waits. */
export class StreamConnection implements SipConnection {
  readonly #options: StreamConnectionOptions;
  readonly #framer = new StreamFramer();
  readonly #age: ConnectionAge;
  /** When the message that is not complete yet began. */
  #partialSinceMs: number | undefined;
  /** Our side has ended; the next sweep does not wait for the other side any more. */
  #isEnding = false;

  constructor(options: StreamConnectionOptions) {
    this.#options = options;
    const { socket, context, closed } = options;
    this.#age = new ConnectionAge(context);
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', () => context.counters.count('sip_connections_lost', 'error'));
    socket.on('close', closed);
    socket.resume();
  }

  get isOpen(): boolean {
    const { socket } = this.#options;
    return !this.#isEnding && !socket.destroyed && socket.writable;
  }

  send(message: Buffer): boolean {
    if (!this.#write(message)) return false;
    this.#age.message();
    return true;
  }

  sweep(nowMs: number): void {
    const { socket, context } = this.#options;
    if (this.#isEnding) {
      socket.destroy();
      return;
    }
    const partialMs = this.#partialSinceMs === undefined ? 0 : nowMs - this.#partialSinceMs;
    if (partialMs > context.limits.partialMessageMs) {
      context.counters.count('sip_connections_lost', 'partial-message');
      socket.destroy();
      return;
    }
    const overdue = this.#age.overdue(nowMs);
    if (overdue === undefined) return;
    context.counters.count('sip_connections_lost', overdue);
    this.end();
  }

  end(): void {
    this.#isEnding = true;
    this.#options.socket.end();
  }

  #write(bytes: Buffer): boolean {
    const { socket, context } = this.#options;
    if (!this.isOpen) return false;
    if (socket.writableLength + bytes.length > context.limits.connectionBacklogBytesMax) {
      context.counters.count('sip_connections_lost', 'slow-reader');
      socket.destroy();
      return false;
    }
    socket.write(bytes);
    return true;
  }

  #take(chunk: Buffer): void {
    const nowMs = this.#age.active();
    const frames = this.#framer.push(chunk);
    // What is left after a whole frame began with this chunk.
    if (frames.length > 0) this.#partialSinceMs = undefined;
    if (this.#framer.pendingBytes <= lineBreakBytes) this.#partialSinceMs = undefined;
    else this.#partialSinceMs ??= nowMs;
    for (const frame of frames) this.#handle(frame);
  }

  #handle(frame: StreamFrame): void {
    const { transport, context, receive } = this.#options;
    switch (frame.kind) {
      case 'message':
        context.counters.count('sip_received', transport);
        this.#age.message();
        return receive(frame.bytes);
      case 'ping':
        context.counters.count('sip_received', 'keep-alive');
        this.#write(pong);
        return;
      case 'fault':
        context.counters.count('sip_drops', frame.cause);
        // The head may still tell whom to answer; what follows it cannot be cut any more.
        if (frame.bytes.length > 0) receive(frame.bytes);
        this.end();
    }
  }
}
