import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { isWildcard } from '../../config/address.ts';
import type { SipListenerConfig } from '../../config/config.ts';
import type { Arrival, ListenerNames } from '../../pipeline/arrival.ts';
import type { ConnectionTable } from './connection-table.ts';
import type { SipConnection } from './connection.ts';
import { Handshake } from './handshake.ts';
import { plainAddress } from './numeric-lookup.ts';
import { ProxyGate } from './proxy-gate.ts';
import { StreamConnection } from './stream-connection.ts';
import { TlsCredentials } from './tls-credentials.ts';
import { TlsGate } from './tls-gate.ts';
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
}

/** The far end of a connection. */
export interface Source {
  readonly address: string;
  readonly port: number;
}

/**
 * One TCP port for SIP, whatever is spoken on it: accepted connections pass the gates that the
 * configuration asks for (PROXY header, TLS, WebSocket upgrade) and then are flows.
 */
export class StreamListener {
  readonly #options: StreamListenerOptions;
  readonly #server: Server;
  readonly #proxy: ProxyGate | undefined;
  readonly #upgrade: UpgradeGate | undefined;
  readonly #credentials: TlsCredentials | undefined;
  #tls: TlsGate | undefined;
  #names: ListenerNames | undefined;

  constructor(options: StreamListenerOptions) {
    this.#options = options;
    const { listener, context } = options;
    const { counters, limits, connections } = context;
    if (listener.proxyProtocol.length > 0) {
      this.#proxy = new ProxyGate(listener.proxyProtocol, counters, (handshake) =>
        this.#known(handshake.socket, handshake, handshake),
      );
    }
    if (listener.tls !== undefined) {
      this.#credentials = new TlsCredentials(listener.tls, connections.serverCa);
    }
    if (listener.transport === 'ws' || listener.transport === 'wss') {
      this.#upgrade = new UpgradeGate({
        limits,
        counters,
        passed: (handshake, webSocket) => this.#keepWebSocket(handshake, webSocket),
      });
    }
    this.#server = createServer((socket) => this.#accept(socket));
    // A connection that cannot be accepted, e.g. for want of descriptors, costs only itself.
    this.#server.on('error', () => counters.count('sip_connections_lost', 'accept'));
  }

  /** Rejects when the address cannot be bound or the TLS files cannot be used. */
  async start(): Promise<void> {
    const { listener, names } = this.#options;
    if (this.#credentials !== undefined) await this.#createTls(this.#credentials);
    const listening = once(this.#server, 'listening');
    this.#server.listen(listener.port, listener.address);
    await listening;
    this.#names = names(this.port);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
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
    return this.#credentials;
  }

  /** Reads TLS files that changed. Files that cannot be used are logged, and what was loaded stays. */
  async reloadCertificates(): Promise<void> {
    if (this.#credentials === undefined) return;
    const { counters, log } = this.#options.context;
    const listener = this.names.own;
    try {
      if (!(await this.#credentials.refresh())) return;
      this.#tls?.renew();
      counters.count('sip_certificates', 'reloaded');
      log.info({ listener }, 'TLS certificates were read again');
    } catch (error) {
      counters.count('sip_certificates', 'broken');
      log.warn({ err: error, listener }, 'TLS files cannot be used; the old ones stay');
    }
  }

  /** Makes a connected TCP or TLS socket a flow. */
  keep(flow: string, socket: Socket, source: Source): SipConnection {
    const { context, table } = this.#options;
    const arrival = this.#arrival(flow, source);
    const connection = new StreamConnection({
      socket,
      transport: this.#credentials === undefined ? 'tcp' : 'tls',
      context,
      receive: (message) => context.receive(message, arrival),
      closed: () => table.forget(flow, connection),
    });
    table.keep(flow, connection);
    return connection;
  }

  /** Accepts nothing more; resolves when all its connections are closed. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }

  async #createTls(credentials: TlsCredentials): Promise<void> {
    const { counters, limits } = this.#options.context;
    await credentials.refresh();
    this.#tls = new TlsGate({
      credentials,
      clientCertificates: this.#options.listener.tls?.clientCertificates ?? 'none',
      timeoutMs: limits.handshakeTimeoutMs,
      counters,
      passed: (handshake, secured) => {
        if (this.#upgrade === undefined) this.#keepStream(secured, handshake, handshake);
        else this.#upgrade.take(handshake, secured);
      },
    });
  }

  #accept(socket: Socket): void {
    const { table, context } = this.#options;
    const { remoteAddress, remotePort } = socket;
    // Its faults are counted where it is read; while nobody reads it, they only close it.
    socket.on('error', () => undefined);
    if (remoteAddress === undefined || remotePort === undefined) return void socket.destroy();
    if (!table.admit(socket)) return this.#turnAway(socket, 'limit');
    const source = { address: plainAddress(remoteAddress), port: remotePort };
    if (this.#proxy !== undefined) {
      if (this.#proxy.expects(source.address)) return this.#proxy.take(this.#begin(socket, source));
      context.counters.count('sip_handshake_failures', 'proxy-source');
      return void socket.destroy();
    }
    this.#known(socket, source);
  }

  /** The source is known: on to TLS or the upgrade, if there are any. */
  #known(socket: Socket, source: Source, begun?: Handshake): void {
    const { table } = this.#options;
    if (!table.admitSource(socket, source.address)) return this.#turnAway(socket, 'source-limit');
    if (this.#tls === undefined && this.#upgrade === undefined) {
      return this.#keepStream(socket, source, begun);
    }
    const handshake = begun ?? this.#begin(socket, source);
    if (this.#tls !== undefined) this.#tls.take(handshake);
    else this.#upgrade?.take(handshake, socket);
  }

  #begin(socket: Socket, source: Source): Handshake {
    const { counters, limits } = this.#options.context;
    return new Handshake(socket, source, limits.handshakeTimeoutMs, (stage) => {
      if (stage === 'tls') this.#tls?.expire();
      else counters.count('sip_handshake_failures', `${stage}-timeout`);
    });
  }

  #turnAway(socket: Socket, reason: string): void {
    this.#options.context.counters.count('sip_connections_lost', reason);
    socket.destroy();
  }

  #keepStream(socket: Socket, source: Source, handshake?: Handshake): void {
    handshake?.done();
    this.keep(this.#options.table.nameFlow(this.flow), socket, source);
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
