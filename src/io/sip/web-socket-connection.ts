import { isUtf8 } from 'node:buffer';
import { WebSocket } from 'ws';
import { ConnectionAge } from './connection-age.ts';
import type { SipConnection } from './connection.ts';
import type { TransportContext } from './transport-context.ts';

export interface WebSocketConnectionOptions {
  readonly socket: WebSocket;
  /** Under which its messages are counted. */
  readonly transport: 'ws' | 'wss';
  readonly context: TransportContext;
  readonly receive: (message: Buffer) => void;
  readonly closed: () => void;
}

const pong = Buffer.from('\r\n');
/** RFC 6455 section 7.4.1: the endpoint goes away. */
const goingAway = 1001;
const CR = 13;
const LF = 10;

/**
 * One WebSocket with the subprotocol `sip`: a frame, text or binary, is one message (RFC 7118
 * section 5). The answer to a ping counts as traffic, so a client that lives is not idle: nobody
 * could reach it once its connection is gone.
 */
export class WebSocketConnection implements SipConnection {
  readonly #options: WebSocketConnectionOptions;
  readonly #age: ConnectionAge;
  #heardMs: number;
  #pingedMs: number | undefined;
  /** Answers to pings that the system has not taken yet: each costs far more than its bytes. */
  #pongsWaiting = 0;
  /** We said goodbye; the next sweep does not wait for the other side any more. */
  #isEnding = false;

  constructor(options: WebSocketConnectionOptions) {
    this.#options = options;
    const { socket, context, closed } = options;
    this.#age = new ConnectionAge(context);
    this.#heardMs = context.now();
    socket.on('message', (data: Buffer) => this.#take(data));
    socket.on('ping', () => this.#heard());
    socket.on('pong', () => {
      context.counters.count('sip_received', 'pong');
      this.#heard();
    });
    // A frame that is too large, malformed or no UTF-8 text closes the connection by itself.
    socket.on('error', () => context.counters.count('sip_connections_lost', 'error'));
    socket.on('close', closed);
  }

  get isOpen(): boolean {
    return !this.#isEnding && this.#options.socket.readyState === WebSocket.OPEN;
  }

  send(message: Buffer): boolean {
    if (!this.#write(message)) return false;
    this.#age.message();
    return true;
  }

  /** Who says goodbye on a WebSocket takes nothing more (RFC 6455 section 5.5.1). */
  answerLast(): boolean {
    return false;
  }

  sweep(nowMs: number): void {
    const { socket, context } = this.#options;
    const { limits, counters } = context;
    if (this.#isEnding) return socket.terminate();
    if (this.#pingedMs !== undefined && nowMs - this.#pingedMs > limits.webSocketPongMs) {
      counters.count('sip_connections_lost', 'no-pong');
      return socket.terminate();
    }
    const overdue = this.#age.overdue(nowMs);
    if (overdue !== undefined) {
      counters.count('sip_connections_lost', overdue);
      return this.end();
    }
    if (this.#pingedMs === undefined && nowMs - this.#heardMs > limits.webSocketPingMs) {
      this.#pingedMs = nowMs;
      if (this.isOpen) socket.ping();
    }
  }

  end(): void {
    this.#isEnding = true;
    this.#options.socket.close(goingAway);
  }

  #pong(): void {
    const { counters, limits } = this.#options.context;
    if (this.#pongsWaiting >= limits.pongsWaitingMax) return counters.count('sip_drops', 'pong');
    if (this.#write(pong, this.#ponged)) this.#pongsWaiting++;
  }

  readonly #ponged = (): void => {
    this.#pongsWaiting--;
  };

  #write(bytes: Buffer, written?: () => void): boolean {
    const { socket, context } = this.#options;
    if (!this.isOpen) return false;
    if (socket.bufferedAmount + bytes.length > context.limits.connectionBacklogBytesMax) {
      context.counters.count('sip_connections_lost', 'slow-reader');
      socket.terminate();
      return false;
    }
    // Browsers hand text over as a string; what is no UTF-8 must not be sent as text (RFC 6455 section 5.6).
    socket.send(bytes, { binary: !isUtf8(bytes) }, written);
    return true;
  }

  #heard(): void {
    this.#heardMs = this.#age.active();
    this.#pingedMs = undefined;
  }

  #take(data: Buffer): void {
    const { transport, context, receive } = this.#options;
    this.#heard();
    if (isLineBreaks(data)) {
      context.counters.count('sip_received', 'keep-alive');
      // RFC 5626 section 3.5.1: a double CRLF asks for one.
      return data.length >= 4 ? this.#pong() : undefined;
    }
    // Nothing could answer it any more, and the client knows that we are going.
    if (this.#isEnding) return context.counters.count('sip_drops', 'connection-ending');
    context.counters.count('sip_received', transport);
    this.#age.message();
    receive(data);
  }
}

function isLineBreaks(data: Buffer): boolean {
  return data.length <= 4 && data.every((byte) => byte === CR || byte === LF);
}
