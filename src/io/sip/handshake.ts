import type { Socket } from 'node:net';

export type HandshakeStage = 'proxy' | 'tls' | 'upgrade';

/** An accepted connection on its way to its first SIP byte. All stages share one time limit. */
export class Handshake {
  readonly socket: Socket;
  stage: HandshakeStage = 'proxy';
  /** The client's, once a PROXY header told it. */
  address: string;
  port: number;
  readonly #timer: NodeJS.Timeout;

  /** @param expired called when the limit is reached; the socket is closed then */
  constructor(
    socket: Socket,
    source: { readonly address: string; readonly port: number },
    timeoutMs: number,
    expired: (stage: HandshakeStage) => void,
  ) {
    this.socket = socket;
    this.address = source.address;
    this.port = source.port;
    this.#timer = setTimeout(() => {
      expired(this.stage);
      socket.destroy();
    }, timeoutMs);
    socket.once('close', () => this.done());
  }

  done(): void {
    clearTimeout(this.#timer);
  }
}
