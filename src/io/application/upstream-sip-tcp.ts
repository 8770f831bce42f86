import { connect, type Socket } from 'node:net';
import { sipSocketLimits, upstreamLimits } from '../../config/defaults.ts';
import { StreamFramer } from '../../sip/index.ts';
import { takeFromUpstream, type UpstreamSip, type UpstreamSipOptions } from './upstream-sip.ts';

/** TCP to the upstream server: one connection, dialled when needed, shared by all its dialogs. */
export class UpstreamSipTcp implements UpstreamSip {
  readonly transport = 'TCP';
  readonly #options: UpstreamSipOptions;
  #socket: Socket | undefined;
  /** Messages that wait for the connection. */
  #waiting: Buffer[] = [];
  #unreachableUntilMs = 0;

  constructor(options: UpstreamSipOptions) {
    this.#options = options;
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  /** Responses come back on the connection; the port only has to be a valid one (RFC 3261 section 18.2.2). */
  get localAddress(): string {
    const { address, port } = this.#options.local;
    const host = address.includes(':') ? `[${address}]` : address;
    return `${host}:${port === 0 ? 5060 : port}`;
  }

  deliver(message: Buffer): boolean {
    const { now, counters } = this.#options;
    if (now() < this.#unreachableUntilMs) return false;
    // A connection that the server has ended takes nothing more, though it is not closed yet.
    if (this.#socket?.writable === false) this.#socket = undefined;
    const socket = (this.#socket ??= this.#dial());
    if (socket.connecting) {
      if (this.#waiting.length >= upstreamLimits.waitingMessagesMax) return false;
      this.#waiting.push(message);
      return true;
    }
    if (socket.writableLength + message.length > sipSocketLimits.connectionBacklogBytesMax) {
      counters.count('application_failures', 'tcp-backlog');
      return false;
    }
    socket.write(message);
    return true;
  }

  stop(): Promise<void> {
    this.#socket?.destroy();
    return Promise.resolve();
  }

  #dial(): Socket {
    const { host, port, local, counters } = this.#options;
    const socket = connect({ host, port, localAddress: local.address });
    const framer = new StreamFramer();
    socket.setNoDelay(true);
    socket.setTimeout(sipSocketLimits.connectTimeoutMs, () => socket.destroy());
    socket.on('connect', () => {
      socket.setTimeout(0);
      for (const message of this.#waiting.splice(0)) socket.write(message);
    });
    socket.on('data', (chunk: Buffer) => {
      for (const frame of framer.push(chunk)) {
        if (frame.kind === 'message') takeFromUpstream(frame.bytes, this.#options);
        else if (frame.kind === 'ping') socket.write('\r\n');
        else {
          counters.count('application_failures', `tcp-${frame.cause}`);
          socket.destroy();
        }
      }
    });
    socket.on('error', () => counters.count('application_failures', 'tcp-unreachable'));
    socket.on('close', () => this.#closed(socket));
    return socket;
  }

  /** What waited gets its answer now; the next request dials again, after a pause if nobody was there. */
  #closed(socket: Socket): void {
    // Its successor, dialled meanwhile, takes over what waits.
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    const lost = this.#waiting.splice(0);
    if (lost.length > 0)
      this.#unreachableUntilMs = this.#options.now() + upstreamLimits.unreachableMs;
    for (const message of lost) this.#options.refused(message);
  }
}
