import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { ListenAddress, ServerTlsConfig } from '../../config/config.ts';
import type { acceptLimits } from '../../config/defaults.ts';
import { Handshake, type Source } from './handshake.ts';
import { plainAddress } from './plain-address.ts';
import type { Places, SourcePlaces } from './places.ts';
import { ProxyGate } from './proxy-gate.ts';
import { TlsCredentials } from './tls-credentials.ts';
import { TlsGate } from './tls-gate.ts';

export type AcceptLimits = Readonly<Record<keyof typeof acceptLimits, number>>;

/** Told what happens on the way in, to be counted and logged. */
export interface EntranceReport {
  /** A connection got no place, or its client was gone before it was looked at. */
  turnedAway(reason: 'limit' | 'source-limit' | 'gone'): void;
  /** A connection did not get past a gate. */
  failed(reason: string): void;
  /** A connection could not be accepted, e.g. for want of descriptors; it costs only itself. */
  notAccepted(error: Error): void;
  /** TLS files that changed were read again, or cannot be used: then what was loaded stays. */
  reloaded(fault: unknown): void;
}

export interface EntranceOptions {
  /** Port 0 takes any free one: see {@link Entrance.port}. */
  readonly listen: ListenAddress;
  /** Sources that must begin with a PROXY header; if there are any, all others are refused. */
  readonly proxyProtocol: readonly string[];
  readonly tls?: ServerTlsConfig;
  /** Authorities of the servers that are dialled with the same credentials. */
  readonly serverCa?: string;
  /** Names of protocols offered by ALPN (RFC 7301), the preferred one first; none: it is not spoken. */
  readonly protocols?: readonly string[];
  /** See `net.createServer`. */
  readonly sockets?: { readonly allowHalfOpen?: boolean; readonly noDelay?: boolean };
  readonly backlog?: number;
  readonly places: Places;
  readonly sources: SourcePlaces;
  readonly limits: AcceptLimits;
  readonly report: EntranceReport;
  readonly entered: (connection: Entered) => void;
}

/** A connection that passed all gates. It may be paused, with bytes of the client waiting in it. */
export interface Entered extends Source {
  /** The connection itself, or TLS on it. */
  readonly socket: Socket;
  /** What ALPN agreed on. */
  readonly protocol: string | undefined;
  /** Runs still if there were gates; whoever goes on with the connection ends it. */
  readonly handshake: Handshake | undefined;
}

/**
 * One TCP port: accepted connections get a place, if there is one, pass the gates that the
 * configuration asks for (PROXY header, TLS) and then are their protocol's.
 */
export class Entrance {
  readonly #options: EntranceOptions;
  readonly #server: Server;
  readonly #proxy: ProxyGate | undefined;
  readonly #credentials: TlsCredentials | undefined;
  readonly #handshakes = new Set<Handshake>();
  #tls: TlsGate | undefined;

  constructor(options: EntranceOptions) {
    this.#options = options;
    const { proxyProtocol, tls, serverCa, report } = options;
    if (proxyProtocol.length > 0) {
      this.#proxy = new ProxyGate(proxyProtocol, {
        failed: (reason) => report.failed(reason),
        passed: (handshake) => this.#known(handshake.socket, handshake, handshake),
      });
    }
    if (tls !== undefined) this.#credentials = new TlsCredentials(tls, serverCa);
    this.#server = createServer(options.sockets ?? {}, (socket) => this.#accept(socket));
  }

  /** Rejects when the address cannot be bound or the TLS files cannot be used. */
  async start(): Promise<void> {
    const { listen, backlog } = this.#options;
    if (this.#credentials !== undefined) await this.#createTls(this.#credentials);
    const listening = once(this.#server, 'listening');
    this.#server.listen({
      host: listen.address,
      port: listen.port,
      ...(backlog === undefined ? {} : { backlog }),
    });
    await listening;
    this.#server.on('error', (error) => this.#options.report.notAccepted(error));
  }

  /** The bound port; throws before {@link start} has resolved. */
  get port(): number {
    const address = this.#server.address() as AddressInfo | null;
    if (address === null) throw new Error('the listener is not bound');
    return address.port;
  }

  /** What it shows and believes; undefined without TLS. */
  get credentials(): TlsCredentials | undefined {
    return this.#credentials;
  }

  /** Reads TLS files that changed; connections keep what they were made with. Never rejects. */
  async reloadCertificates(): Promise<void> {
    if (this.#credentials === undefined) return;
    const { report } = this.#options;
    try {
      if (!(await this.#credentials.refresh())) return;
      this.#tls?.renew();
      report.reloaded(undefined);
    } catch (error) {
      report.reloaded(error);
    }
  }

  /** A handshake that goes on behind the gates, under the time limit of them all. */
  begin(socket: Socket, source: Source): Handshake {
    const { limits, report } = this.#options;
    const handshake = new Handshake(socket, source, limits.handshakeTimeoutMs, {
      expired: (stage) => {
        if (stage === 'tls') this.#tls?.expire();
        else report.failed(`${stage}-timeout`);
      },
      over: (one) => this.#handshakes.delete(one),
    });
    this.#handshakes.add(handshake);
    return handshake;
  }

  /**
   * Accepts nothing more and gives up handshakes; resolves when all its connections are closed,
   * which is for their protocol to bring about.
   */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const { socket } of this.#handshakes) socket.destroy();
    await closed;
  }

  async #createTls(credentials: TlsCredentials): Promise<void> {
    const { limits, report, entered, tls, protocols } = this.#options;
    await credentials.refresh();
    this.#tls = new TlsGate({
      credentials,
      clientCertificates: tls?.clientCertificates ?? 'none',
      protocols: protocols ?? [],
      timeoutMs: limits.handshakeTimeoutMs,
      failed: (reason) => report.failed(reason),
      passed: (handshake, socket) => {
        const { address, port } = handshake;
        const protocol = socket.alpnProtocol === false ? undefined : socket.alpnProtocol;
        entered({ socket, address, port, protocol: protocol ?? undefined, handshake });
      },
    });
  }

  #accept(socket: Socket): void {
    const { places, report } = this.#options;
    const { remoteAddress, remotePort } = socket;
    // Its faults are counted where it is read; while nobody reads it, they only close it.
    socket.on('error', () => undefined);
    if (remoteAddress === undefined || remotePort === undefined) {
      return this.#turnAway(socket, 'gone');
    }
    if (!places.admit(socket)) return this.#turnAway(socket, 'limit');
    const source = { address: plainAddress(remoteAddress), port: remotePort };
    if (this.#proxy === undefined) return this.#known(socket, source);
    if (this.#proxy.expects(source.address)) return this.#proxy.take(this.begin(socket, source));
    report.failed('proxy-source');
    socket.destroy();
  }

  /** The source is known: on to TLS, or in. */
  #known(socket: Socket, source: Source, begun?: Handshake): void {
    const { sources, entered } = this.#options;
    const { address, port } = source;
    if (!sources.admit(socket, address)) return this.#turnAway(socket, 'source-limit');
    if (this.#tls !== undefined) this.#tls.take(begun ?? this.begin(socket, source));
    else entered({ socket, address, port, protocol: undefined, handshake: begun });
  }

  #turnAway(socket: Socket, reason: Parameters<EntranceReport['turnedAway']>[0]): void {
    this.#options.report.turnedAway(reason);
    socket.destroy();
  }
}
