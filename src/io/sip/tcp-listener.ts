import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { sipSocketLimits } from '../../config/defaults.ts';
import type { Arrival } from '../../pipeline/arrival.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { ResponseTarget } from '../../pipeline/return-response.ts';
import { plainAddress } from './numeric-lookup.ts';
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
  /** Connections on their way to clients, by the flow that was lost. */
  readonly #dials = new Map<string, Dial>();
  /** Begins anywhere, so that a flow named before a restart names nobody after it. */
  #lastConnection = randomInt(2 ** 40);
  #sweeper: NodeJS.Timeout | undefined;

  constructor(options: TcpListenerOptions) {
    this.#options = options;
    this.#server = createServer((socket) => this.#accept(socket));
    this.#server.maxConnections = sipSocketLimits.connectionsMax;
    this.#server.on('drop', () => options.counters.count('sip_connections_lost', 'limit'));
    // A connection that cannot be accepted, e.g. for want of descriptors, costs only itself.
    this.#server.on('error', () => options.counters.count('sip_connections_lost', 'accept'));
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

  /**
   * Sends on the flow. RFC 3261 section 18.2.2: if it is gone, on a new connection to the sender,
   * which takes the name of the flow over.
   */
  send(flow: string, target: ResponseTarget): void {
    const connection = this.#connections.get(flow);
    if (connection?.isOpen === true) {
      connection.send(target.message);
      return;
    }
    const dial = this.#dials.get(flow);
    if (dial === undefined) this.#dial(flow, target);
    else if (dial.waiting.length < sipSocketLimits.messagesPerDialMax) {
      dial.waiting.push(target.message);
    } else this.#options.counters.count('sip_drops', 'dial-limit');
  }

  async stop(): Promise<void> {
    clearInterval(this.#sweeper);
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const { socket } of this.#dials.values()) socket.destroy();
    for (const connection of this.#connections.values()) connection.close();
    await closed;
  }

  #accept(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy();
      return;
    }
    const flow = `${this.#options.flow}-${++this.#lastConnection}`;
    this.#keep(flow, socket, plainAddress(remoteAddress), remotePort);
  }

  #keep(flow: string, socket: Socket, address: string, port: number): StreamConnection {
    const { counters, now, receive } = this.#options;
    const arrival: Arrival = { transport: 'TCP', address, port, flow };
    const connection = new StreamConnection({
      socket,
      counters,
      now,
      receive: (message) => receive(message, arrival),
      closed: () => {
        if (this.#connections.get(flow) === connection) this.#connections.delete(flow);
      },
    });
    this.#connections.set(flow, connection);
    return connection;
  }

  #dial(flow: string, target: ResponseTarget): void {
    const { counters } = this.#options;
    const isFull = this.#connections.size >= sipSocketLimits.connectionsMax;
    if (isFull || this.#dials.size >= sipSocketLimits.dialsMax) {
      return counters.count('sip_drops', isFull ? 'connection-limit' : 'dial-limit');
    }
    counters.count('sip_responses', 'flow-redialled');
    const socket = connect({ host: target.address, port: target.port });
    const dial: Dial = { socket, waiting: [target.message] };
    this.#dials.set(flow, dial);
    const failed = (): void => {
      this.#dials.delete(flow);
      counters.count('sip_drops', 'flow-lost', dial.waiting.length);
    };
    socket.setTimeout(sipSocketLimits.connectTimeoutMs, () => socket.destroy());
    // The close that follows says it.
    socket.on('error', () => undefined);
    socket.once('close', failed);
    socket.once('connect', () => {
      socket.setTimeout(0);
      socket.off('close', failed);
      this.#dials.delete(flow);
      const connection = this.#keep(flow, socket, plainAddress(target.address), target.port);
      for (const message of dial.waiting) connection.send(message);
    });
  }
}

interface Dial {
  readonly socket: Socket;
  readonly waiting: Buffer[];
}
