import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { upstreamLimits } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import { plainAddress, type UpstreamAddresses } from './upstream-addresses.ts';

export interface UpstreamSipServerOptions {
  readonly local: { readonly address: string };
  readonly addresses: UpstreamAddresses;
  readonly counters: Counters;
  readonly accepted: (socket: Socket) => void;
}

/** The TCP port on which the application opens connections to its peer; strangers are cut off. */
export class UpstreamSipServer {
  readonly #options: UpstreamSipServerOptions;
  #server: Server | undefined;

  constructor(options: UpstreamSipServerOptions) {
    this.#options = options;
  }

  /** @returns the port. Rejects with the system's error when it cannot be bound. */
  async listen(port: number): Promise<number> {
    const { local, counters } = this.#options;
    const server = createServer((socket) => this.#accept(socket));
    server.maxConnections = upstreamLimits.connectionsMax;
    server.on('drop', () => counters.count('application_failures', 'tcp-limit'));
    server.listen(port, local.address);
    await once(server, 'listening');
    // A connection that cannot be accepted, e.g. for want of descriptors, costs only itself.
    server.on('error', () => counters.count('application_failures', 'tcp-accept'));
    this.#server = server;
    return (server.address() as AddressInfo).port;
  }

  /** Frees the port. Resolves when the last connection is closed, too: see to that first. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = once(server, 'close');
    server.close();
    await closed;
  }

  #accept(socket: Socket): void {
    const { addresses, counters, accepted } = this.#options;
    const address = plainAddress(socket.remoteAddress ?? '');
    if (addresses.isNode(address)) return accepted(socket);
    counters.count('sip_drops', 'not-the-application');
    socket.destroy();
  }
}
