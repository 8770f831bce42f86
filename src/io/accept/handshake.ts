import type { Socket } from 'node:net';

export type HandshakeStage = 'proxy' | 'tls' | 'upgrade';

/** The far end of a connection. */
export interface Source {
  /** IPv6 without brackets, in the form of the operating system; a mapped IPv4 address as IPv4. */
  readonly address: string;
  readonly port: number;
}

export interface HandshakeEvents {
  /** The time limit is reached; the socket is closed then. */
  expired(stage: HandshakeStage): void;
  /** Nothing is left to do: it is done, or the connection is closed. May be told twice. */
  over(handshake: Handshake): void;
}

/** An accepted connection on its way to the first byte of its protocol. All stages share one time limit. */
export class Handshake {
  readonly socket: Socket;
  stage: HandshakeStage = 'proxy';
  /** The client's, once a PROXY header told it. */
  address: string;
  port: number;
  readonly #timer: NodeJS.Timeout;
  readonly #events: HandshakeEvents;

  constructor(socket: Socket, source: Source, timeoutMs: number, events: HandshakeEvents) {
    this.socket = socket;
    this.address = source.address;
    this.port = source.port;
    this.#events = events;
    this.#timer = setTimeout(() => {
      events.expired(this.stage);
      socket.destroy();
    }, timeoutMs);
    socket.once('close', () => this.done());
  }

  done(): void {
    clearTimeout(this.#timer);
    this.#events.over(this);
  }
}
