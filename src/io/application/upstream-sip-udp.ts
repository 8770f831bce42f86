import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { sipSocketLimits, upstreamLimits } from '../../config/defaults.ts';
import { takeFromUpstream, type UpstreamSip, type UpstreamSipOptions } from './upstream-sip.ts';

/**
 * UDP to the upstream server on a connected socket: cheaper to send on, and the only kind that is
 * told when nobody listens there (ICMP port unreachable).
 */
export class UpstreamSipUdp implements UpstreamSip {
  readonly transport = 'UDP';
  readonly #options: UpstreamSipOptions;
  readonly #socket: Socket;
  #unreachableUntilMs = 0;
  readonly #failed = (error: Error | null): void => {
    if (error === null) return;
    // Only what says that nobody is there may turn the next requests away.
    if ('code' in error && error.code === 'EMSGSIZE') {
      return this.#options.counters.count('application_failures', 'udp-too-large');
    }
    this.#options.counters.count('application_failures', 'udp-unreachable');
    this.#unreachableUntilMs = this.#options.now() + upstreamLimits.unreachableMs;
  };

  constructor(options: UpstreamSipOptions) {
    this.#options = options;
    this.#socket = createSocket({
      type: isIPv6(options.local.address) ? 'udp6' : 'udp4',
      recvBufferSize: sipSocketLimits.udpReceiveBufferBytes,
      sendBufferSize: sipSocketLimits.udpSendBufferBytes,
    });
  }

  async start(): Promise<void> {
    const { local, host, port } = this.#options;
    this.#socket.bind(local.port, local.address);
    await once(this.#socket, 'listening');
    this.#socket.connect(port, host);
    await once(this.#socket, 'connect');
    this.#socket.on('error', this.#failed);
    this.#socket.on('message', (message) => takeFromUpstream(message, this.#options));
  }

  get localAddress(): string {
    const { address, port } = this.#socket.address();
    return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  }

  deliver(message: Buffer): boolean {
    if (this.#unreachableUntilMs !== 0) {
      if (this.#options.now() < this.#unreachableUntilMs) return false;
      this.#unreachableUntilMs = 0;
    }
    if (message.length > sipSocketLimits.datagramBytesMax) {
      this.#options.counters.count('application_failures', 'udp-too-large');
      this.#options.refused(message);
      return true;
    }
    this.#socket.send(message, this.#failed);
    return true;
  }

  stop(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}
