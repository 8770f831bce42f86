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

/** Answers a ping; between messages it is nothing (RFC 3261 section 7.5). */
const pong = Buffer.from('\r\n');
const A = 65;
const S = 83;
const slash = 47;
const space = 32;
/** First digit of the lowest final status. */
const two = 50;

/** A lone CRLF, which some clients send to keep a connection alive, begins no message. */
const lineBreakBytes = 2;

/**
 * One TCP or TLS connection: cuts messages, answers keep-alives, bounds what waits. A far side that
 * ended its own direction while its requests wait still gets their answers. It may as well have
 * closed altogether, which shows only when something is written: line breaks are, from time to time.
 */
export class StreamConnection implements SipConnection {
  readonly #options: StreamConnectionOptions;
  readonly #framer = new StreamFramer();
  readonly #age: ConnectionAge;
  /** When the message that is not complete yet began. */
  #partialSinceMs: number | undefined;
  /** Requests that no final response has gone to; those that are never answered stay counted. */
  #unanswered = 0;
  /** The far side sends nothing more and waits for answers. */
  #isHalfClosed = false;
  /** Answers to pings that the system has not taken yet: each costs far more than its bytes. */
  #pongsWaiting = 0;
  #probeTimer: NodeJS.Timeout | undefined;
  /** Our side has ended; the next sweep does not wait for the other side any more. */
  #isEnding = false;

  constructor(options: StreamConnectionOptions) {
    this.#options = options;
    const { socket, context, closed } = options;
    this.#age = new ConnectionAge(context);
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', () => context.counters.count('sip_connections_lost', 'error'));
    socket.on('close', () => {
      clearTimeout(this.#probeTimer);
      closed();
    });
    socket.allowHalfOpen = true;
    socket.on('end', () => this.#farEnded());
    socket.resume();
  }

  get isOpen(): boolean {
    const { socket } = this.#options;
    return !this.#isHalfClosed && !this.#isEnding && !socket.destroyed && socket.writable;
  }

  send(message: Buffer): boolean {
    if (!this.isOpen || !this.#write(message)) return false;
    this.#sent(message);
    return true;
  }

  answerLast(message: Buffer, lost: () => void): boolean {
    if (!this.#isHalfClosed || this.#isEnding) return false;
    const isWritten = this.#write(message, (error) => {
      if (error) lost();
    });
    if (isWritten) this.#sent(message);
    return isWritten;
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
    if (overdue === undefined) {
      if (this.#isHalfClosed) this.#write(pong);
      return;
    }
    context.counters.count('sip_connections_lost', overdue);
    this.end();
  }

  end(): void {
    this.#isEnding = true;
    this.#options.socket.end();
  }

  #farEnded(): void {
    if (this.#isEnding) return;
    if (this.#unanswered === 0) return this.end();
    this.#isHalfClosed = true;
    // The first one is answered by a reset where nobody listens any more, the second finds that out.
    this.#write(pong);
    const { halfCloseProbeMs } = this.#options.context.limits;
    this.#probeTimer = setTimeout(() => this.#write(pong), halfCloseProbeMs);
    this.#probeTimer.unref();
  }

  #sent(message: Buffer): void {
    this.#age.message();
    if (this.#unanswered > 0 && isFinalResponse(message)) this.#unanswered--;
    if (this.#isHalfClosed && this.#unanswered === 0) this.end();
  }

  #pong(): void {
    const { counters, limits } = this.#options.context;
    if (this.#pongsWaiting >= limits.pongsWaitingMax) return counters.count('sip_drops', 'pong');
    if (this.#write(pong, this.#ponged)) this.#pongsWaiting++;
  }

  readonly #ponged = (): void => {
    this.#pongsWaiting--;
  };

  #write(bytes: Buffer, written?: (error: Error | null | undefined) => void): boolean {
    const { socket, context } = this.#options;
    if (this.#isEnding || socket.destroyed || !socket.writable) return false;
    if (socket.writableLength + bytes.length > context.limits.connectionBacklogBytesMax) {
      context.counters.count('sip_connections_lost', 'slow-reader');
      socket.destroy();
      return false;
    }
    socket.write(bytes, written);
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
        if (awaitsAnswer(frame.bytes)) this.#unanswered++;
        return receive(frame.bytes);
      case 'ping':
        context.counters.count('sip_received', 'keep-alive');
        return this.#pong();
      case 'fault':
        context.counters.count('sip_drops', frame.cause);
        // The head may still tell whom to answer; what follows it cannot be cut any more.
        if (frame.bytes.length > 0) receive(frame.bytes);
        this.end();
    }
  }
}

/** `SIP/2.0 2..` and above. */
function isFinalResponse(message: Buffer): boolean {
  return isResponse(message) && message[8]! >= two;
}

function isResponse(message: Buffer): boolean {
  return message[0] === S && message[3] === slash;
}

/** A request other than ACK. */
function awaitsAnswer(message: Buffer): boolean {
  const isAck = message[0] === A && message[3] === space;
  return !isAck && !isResponse(message);
}
