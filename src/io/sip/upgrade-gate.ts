import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { sipLimits } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { Handshake } from '../accept/index.ts';
import type { SipSocketLimits } from './transport-context.ts';

/** As much as a stream may carry, in one frame. */
const messageBytesMax =
  sipLimits.headerBytesMax + sipLimits.ownHeaderBytesMax + sipLimits.bodyBytesMax;

const subprotocol = 'sip';

export interface UpgradeGateOptions {
  readonly limits: SipSocketLimits;
  readonly counters: Counters;
  readonly passed: (handshake: Handshake, webSocket: WebSocket) => void;
}

/**
 * Brings accepted connections through the WebSocket handshake (RFC 6455, RFC 7118 section 4.1). Any
 * path is served. `Origin` is not looked at: a peer knows no site whose pages alone may call, and
 * whether a user may is for the application to ask (RFC 7118 section 9.1).
 */
export class UpgradeGate {
  readonly #options: UpgradeGateOptions;
  /** Never bound: it is given connections that were accepted elsewhere. */
  readonly #server: Server;
  readonly #webSockets: WebSocketServer;
  readonly #pending = new WeakMap<object, Handshake>();

  constructor(options: UpgradeGateOptions) {
    this.#options = options;
    const { limits } = options;
    this.#webSockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: messageBytesMax,
      // Each piece costs more memory than the bytes in it.
      maxFragments: limits.webSocketPiecesMax,
      maxBufferedChunks: limits.webSocketPiecesMax,
      handleProtocols: () => subprotocol,
    });
    this.#webSockets.on('wsClientError', (_error, socket) => {
      this.#refuse(socket, 400, 'upgrade-malformed');
    });
    // The time limit is that of the whole handshake: Node's own run on servers alone that are bound.
    this.#server = createServer({ maxHeaderSize: limits.upgradeHeadBytesMax });
    this.#server.maxHeadersCount = limits.upgradeHeaderCountMax;
    this.#server.on('upgrade', (request, socket, head) => {
      this.#upgrade(request, socket, head);
    });
    for (const event of ['request', 'checkContinue', 'checkExpectation', 'connect']) {
      this.#server.on(event, (request: IncomingMessage) => {
        this.#refuse(request.socket, 426, 'upgrade-missing');
      });
    }
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      const { code = '' } = error;
      const status = code === 'HPE_HEADER_OVERFLOW' ? 431 : 400;
      this.#refuse(socket, status, code.startsWith('HPE_') ? 'upgrade-malformed' : 'upgrade-reset');
    });
  }

  /** @param socket the connection itself, or TLS on it */
  take(handshake: Handshake, socket: Socket): void {
    handshake.stage = 'upgrade';
    this.#pending.set(socket, handshake);
    this.#server.emit('connection', socket);
    // It may have been paused behind a PROXY header.
    socket.resume();
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const handshake = this.#pending.get(socket);
    if (handshake === undefined) return void socket.destroy();
    // RFC 6455 section 4.1: at least HTTP/1.1.
    if (request.httpVersion === '1.0') return this.#refuse(socket, 400, 'upgrade-malformed');
    if (!offersSip(request)) return this.#refuse(socket, 400, 'upgrade-subprotocol');
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#options.passed(handshake, webSocket);
    });
  }

  #refuse(socket: Duplex, status: 400 | 426 | 431, reason: string): void {
    // What a client sends behind the request that was refused is refused with it.
    if (!this.#pending.delete(socket)) return;
    this.#options.counters.count('sip_handshake_failures', reason);
    if (!socket.writable) return void socket.destroy();
    // The client may go on sending; it is not listened to any more.
    socket.end(refusals[status], () => socket.destroy());
  }
}

const refusals = {
  400: refusal('400 Bad Request'),
  426: refusal('426 Upgrade Required', 'Upgrade: websocket\r\n'),
  431: refusal('431 Request Header Fields Too Large'),
};

function refusal(status: string, extra = ''): string {
  const connection = extra === '' ? 'close' : 'close, Upgrade';
  return `HTTP/1.1 ${status}\r\n${extra}Connection: ${connection}\r\nContent-Length: 0\r\n\r\n`;
}

function offersSip(request: IncomingMessage): boolean {
  const offered = request.headers['sec-websocket-protocol'] ?? '';
  return offered.split(',').some((name) => name.trim() === subprotocol);
}
