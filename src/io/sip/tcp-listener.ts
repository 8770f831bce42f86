import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { sipSocketLimits } from '../../config/defaults.ts';
import type { Arrival } from '../../pipeline/arrival.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { ResponseTarget } from '../../pipeline/return-response.ts';
import { StreamConnection } from './stream-connection.ts';

export interface TcpListenerOptions {
  readonly address: string;
  /** 0: any free port. */
  readonly port: number;
  /** Begins the flow name of every connection. */
  readonly flow: string;
  readonly receive: (message: Buffer, arrival: Arrival) => void;
  readonly counters: Counters;
  readonly now: () => number;
}

/** One TCP port for SIP with its connections, each of them a flow. */
export class TcpListener {
  readonly #options: TcpListenerOptions;
  readonly #server: Server;
  readonly #connections = new Map<string, StreamConnection>();
  /** Begins anywhere, so that a flow named before a restart names nobody after it. */
  #lastConnection = randomInt(2 ** 40);
  #sweeper: NodeJS.Timeout | undefined;

  constructor(options: TcpListenerOptions) {
    this.#options = options;
    this.#server = createServer((socket) => this.#accept(socket));
    this.#server.maxConnections = sipSocketLimits.connectionsMax;
    this.#server.on('drop', () => options.counters.count('sip_connections_lost', 'limit'));
  }

  /** Rejects with the system's error when the address cannot be bound. */
  async start(): Promise<void> {
    this.#server.listen(this.#options.port, this.#options.address);
    await once(this.#server, 'listening');
    this.#sweeper = setInterval(() => {
      const now = this.#options.now();
      for (const connection of this.#connections.values()) connection.sweep(now);
    }, sipSocketLimits.sweepIntervalMs);
    this.#sweeper.unref();
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Sends on the flow; RFC 3261 section 18.2.2: if it is gone, on a new connection to the sender. */
  send(flow: string, target: ResponseTarget): void {
    if (this.#connections.get(flow)?.send(target.message) === true) return;
    this.#options.counters.count('sip_responses', 'flow-redialled');
    this.#dial(target);
  }

  async stop(): Promise<void> {
    clearInterval(this.#sweeper);
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const connection of this.#connections.values()) connection.close();
    await closed;
  }

  #accept(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy();
      return;
    }
    this.#keep(socket, remoteAddress, remotePort);
  }

  #keep(socket: Socket, address: string, port: number): StreamConnection {
    const { counters, now, receive } = this.#options;
    const flow = `${this.#options.flow}-${++this.#lastConnection}`;
    const arrival: Arrival = { transport: 'TCP', address, port, flow };
    const connection = new StreamConnection({
      socket,
      counters,
      now,
      receive: (message) => receive(message, arrival),
      closed: () => this.#connections.delete(flow),
    });
    this.#connections.set(flow, connection);
    return connection;
  }

  #dial(target: ResponseTarget): void {
    if (this.#connections.size >= sipSocketLimits.connectionsMax) {
      return this.#options.counters.count('sip_drops', 'connection-limit');
    }
    const socket = connect({ host: target.address, port: target.port });
    const failed = (): void => {
      this.#options.counters.count('sip_drops', 'flow-lost');
      socket.destroy();
    };
    socket.setTimeout(sipSocketLimits.connectTimeoutMs, failed);
    socket.once('error', failed);
    socket.once('connect', () => {
      socket.setTimeout(0);
      socket.off('error', failed);
      this.#keep(socket, target.address, target.port).send(target.message);
    });
  }
}
