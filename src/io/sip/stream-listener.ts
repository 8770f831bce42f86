import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { isWildcard } from '../../config/address.ts';
import type { SipListenerConfig } from '../../config/config.ts';
import type { Arrival, ListenerNames } from '../../pipeline/arrival.ts';
import {
  Entrance,
  type AcceptLimits,
  type EntranceReport,
  type Handshake,
  type Source,
  type TlsCredentials,
} from '../accept/index.ts';
import type { ConnectionTable } from './connection-table.ts';
import type { SipConnection } from './connection.ts';
import { StreamConnection } from './stream-connection.ts';
import type { TransportContext } from './transport-context.ts';
import { UpgradeGate } from './upgrade-gate.ts';
import { WebSocketConnection } from './web-socket-connection.ts';

export interface StreamListenerOptions {
  readonly listener: SipListenerConfig;
  /** Begins the flow name of every connection. */
  readonly flow: string;
  /** Its names, once the port is known. */
  readonly names: (port: number) => ListenerNames;
  readonly table: ConnectionTable;
  readonly context: TransportContext;
  readonly limits: AcceptLimits;
}

/**
 * One TCP port for SIP, whatever is spoken on it: accepted connections pass the gates that the
 * configuration asks for (PROXY header, TLS, WebSocket upgrade) and then are flows.
 */
export class StreamListener {
  readonly #options: StreamListenerOptions;
  readonly #entrance: Entrance;
  readonly #upgrade: UpgradeGate | undefined;
  #names: ListenerNames | undefined;

  constructor(options: StreamListenerOptions) {
    this.#options = options;
    const { listener, context, table, limits } = options;
    const { tls, transport, proxyProtocol } = listener;
    const { serverCa } = context.connections;
    this.#entrance = new Entrance({
      listen: listener,
      proxyProtocol,
      ...(tls === undefined ? {} : { tls }),
      ...(serverCa === undefined ? {} : { serverCa }),
      places: table.places,
      sources: table.sources,
      limits,
      report: this.#report(),
      entered: ({ socket, address, port, handshake }) => {
        const source = { address, port };
        if (this.#upgrade === undefined) {
          handshake?.done();
          this.keep(table.nameFlow(this.flow), socket, source);
        } else {
          this.#upgrade.take(handshake ?? this.#entrance.begin(socket, source), socket);
        }
      },
    });
    if (transport === 'ws' || transport === 'wss') {
      this.#upgrade = new UpgradeGate({
        limits: context.limits,
        counters: context.counters,
        passed: (handshake, webSocket) => this.#keepWebSocket(handshake, webSocket),
      });
    }
  }

  /** Rejects when the address cannot be bound or the TLS files cannot be used. */
  async start(): Promise<void> {
    await this.#entrance.start();
    this.#names = this.#options.names(this.port);
  }

  get port(): number {
    return this.#entrance.port;
  }

  get names(): ListenerNames {
    if (this.#names === undefined) throw new Error('the listener is not bound');
    return this.#names;
  }

  get flow(): string {
    return this.#options.flow;
  }

  /** Where connections that we dial under its names start; undefined: the system chooses. */
  get localAddress(): string | undefined {
    const { address } = this.#options.listener;
    return isWildcard(address) ? undefined : address;
  }

  /** What it shows and believes when it dials; undefined for a listener without TLS. */
  get credentials(): TlsCredentials | undefined {
    return this.#entrance.credentials;
  }

  /** Reads TLS files that changed. Files that cannot be used are logged, and what was loaded stays. */
  async reloadCertificates(): Promise<void> {
    await this.#entrance.reloadCertificates();
  }

  /** Makes a connected TCP or TLS socket a flow. */
  keep(flow: string, socket: Socket, source: Source): SipConnection {
    const { context, table } = this.#options;
    const arrival = this.#arrival(flow, source);
    const connection = new StreamConnection({
      socket,
      transport: this.credentials === undefined ? 'tcp' : 'tls',
      context,
      receive: (message) => context.receive(message, arrival),
      closed: () => table.forget(flow, connection),
    });
    table.keep(flow, connection);
    return connection;
  }

  /** Accepts nothing more; resolves when all its connections are closed. */
  async stop(): Promise<void> {
    await this.#entrance.stop();
  }

  #report(): EntranceReport {
    const { counters, log } = this.#options.context;
    return {
      turnedAway: (reason) => {
        if (reason !== 'gone') counters.count('sip_connections_lost', reason);
      },
      failed: (reason) => counters.count('sip_handshake_failures', reason),
      notAccepted: () => counters.count('sip_connections_lost', 'accept'),
      reloaded: (fault) => {
        const listener = this.names.own;
        counters.count('sip_certificates', fault === undefined ? 'reloaded' : 'broken');
        if (fault === undefined) log.info({ listener }, 'TLS certificates were read again');
        else log.warn({ err: fault, listener }, 'TLS files cannot be used; the old ones stay');
      },
    };
  }

  #keepWebSocket(handshake: Handshake, socket: WebSocket): void {
    handshake.done();
    const { context, table, listener } = this.#options;
    const flow = table.nameFlow(this.flow);
    const arrival = this.#arrival(flow, handshake);
    const connection = new WebSocketConnection({
      socket,
      transport: listener.transport === 'wss' ? 'wss' : 'ws',
      context,
      receive: (message) => context.receive(message, arrival),
      closed: () => table.forget(flow, connection),
    });
    table.keep(flow, connection);
  }

  #arrival(flow: string, { address, port }: Source): Arrival {
    const { names } = this;
    return { transport: names.transport, address, port, flow, listener: names };
  }
}
