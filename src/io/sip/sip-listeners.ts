import type { Logger } from 'pino';
import { isWildcard } from '../../config/address.ts';
import type { SipConnectionsConfig, SipListenerConfig } from '../../config/config.ts';
import { acceptLimits, sipSocketLimits } from '../../config/defaults.ts';
import type { Arrival, ListenerNames, SipTransport } from '../../pipeline/arrival.ts';
import type { Counters } from '../../pipeline/counters.ts';
import { NetworkSet } from '../../pipeline/network.ts';
import type { ResponseTarget } from '../../pipeline/return-response.ts';
import type { SipTarget } from '../../pipeline/sip-target.ts';
import type { AcceptLimits } from '../accept/index.ts';
import { ConnectionTable } from './connection-table.ts';
import { Dialler } from './dialler.ts';
import { flowLetters, listenerNames } from './listener-names.ts';
import { StreamListener } from './stream-listener.ts';
import type { SipSocketLimits, TransportContext } from './transport-context.ts';
import { UdpListener } from './udp-listener.ts';

export interface SipListenersOptions {
  readonly listeners: readonly SipListenerConfig[];
  /** The sprayer's `host:port`. */
  readonly publicAddress?: string;
  readonly connections: SipConnectionsConfig;
  /** Addresses and networks that may have any number of connections, e.g. a sprayer's. */
  readonly unlimitedSources?: readonly string[];
  readonly receive: (message: Buffer, arrival: Arrival) => void;
  readonly counters: Counters;
  /** Milliseconds that never run backwards. */
  readonly now: () => number;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  /** Other limits than `sipSocketLimits` and `acceptLimits`. */
  readonly limits?: Partial<SipSocketLimits & AcceptLimits>;
}

/** A listener as it was bound. */
export interface BoundSipListener extends SipListenerConfig {
  /** `u0` is the flow itself; of a stream it is followed by `-` and the connection. */
  readonly flow: string;
  readonly names: ListenerNames;
}

/**
 * All SIP sockets of a peer towards clients and other servers. A flow is named by a letter of the
 * transport (`u` UDP, `t` TCP, `s` TLS, `w` WS, `x` WSS), the index of the listener and, but for UDP,
 * `-` and a number of the connection; the holder of the flow answers on it.
 */
export class SipListeners {
  readonly #options: SipListenersOptions;
  readonly #context: TransportContext;
  readonly #acceptLimits: AcceptLimits;
  readonly #table: ConnectionTable;
  readonly #dialler: Dialler;
  readonly #udp = new Map<string, UdpListener>();
  readonly #streams = new Map<string, StreamListener>();
  readonly #bound: BoundSipListener[] = [];
  #certificateTimer: NodeJS.Timeout | undefined;

  constructor(options: SipListenersOptions) {
    this.#options = options;
    const { receive, counters, now, log, connections } = options;
    const limits = { ...sipSocketLimits, ...options.limits };
    this.#acceptLimits = { ...acceptLimits, ...options.limits };
    const unlimited = new NetworkSet(options.unlimitedSources ?? []);
    this.#context = { receive, counters, now, log, connections, unlimited, limits };
    this.#table = new ConnectionTable(this.#context);
    this.#dialler = new Dialler(this.#context, this.#table);
  }

  /** Binds all. Rejects for the first one that cannot be bound or whose TLS files cannot be used. */
  async start(): Promise<void> {
    this.#table.start();
    for (const [index, listener] of this.#options.listeners.entries()) {
      this.#bound.push(await this.#bind(listener, index));
    }
    this.#certificateTimer = setInterval(
      () => void this.reloadCertificates(),
      this.#acceptLimits.certificateRefreshMs,
    );
    this.#certificateTimer.unref();
  }

  /** In the order of the configuration, with the ports that were bound. */
  get bound(): readonly BoundSipListener[] {
    return this.#bound;
  }

  /** Streams and WebSockets at present, those in their handshake included. */
  get connectionCount(): number {
    return this.#table.places.size;
  }

  /**
   * Sends a response on a flow; the empty flow stands for any UDP socket of the target's address
   * family. RFC 3261 section 18.2.2: a lost TCP or TLS connection is dialled again, and the new one
   * takes the name of the flow over. A WebSocket client cannot be dialled (RFC 7118 section 5.2.4).
   */
  answer(flow: string, target: ResponseTarget): void {
    const { counters } = this.#context;
    const { message, address, port } = target;
    if (isUdp(flow)) {
      const udp = flow === '' ? this.#udpTo(address) : this.#udp.get(flow);
      if (udp === undefined) return counters.count('sip_drops', 'unknown-flow');
      return udp.send(message, port, address);
    }
    const connection = this.#table.get(flow);
    if (connection?.isOpen === true) {
      connection.send(message);
      return;
    }
    const redial = (): void => this.#redial(flow, target);
    if (connection?.answerLast(message, redial) !== true) redial();
  }

  /** RFC 3261 section 18.2.2: dials the sender of a request whose connection is lost. */
  #redial(flow: string, { message, address, port }: ResponseTarget): void {
    const { counters } = this.#context;
    const listener = this.#streams.get(flow.slice(0, flow.indexOf('-')));
    if (listener === undefined) return counters.count('sip_drops', 'unknown-flow');
    const { transport } = listener.names;
    if (transport === 'WS' || transport === 'WSS') return counters.count('sip_drops', 'flow-lost');
    counters.count('sip_responses', 'flow-redialled');
    this.#dialler.redial(listener, flow, { address, port, serverName: address }, message);
  }

  /**
   * Sends a request on a flow that a client opened.
   *
   * @param target where to on a UDP socket; a stream needs none
   * @returns false: the flow is gone
   */
  sendOnFlow(flow: string, target: SipTarget | undefined, message: Buffer): boolean {
    if (!isUdp(flow)) return this.#table.get(flow)?.send(message) ?? false;
    const udp = this.#udp.get(flow);
    if (udp === undefined || target === undefined) return false;
    udp.send(message, target.port, target.address);
    return true;
  }

  /**
   * Sends a request to a target: a datagram, or on a connection that this peer dialled (see
   * {@link Dialler}). `failed` is called, never before this returns, when nothing could be sent.
   */
  send(target: SipTarget, message: Buffer, failed: () => void): void {
    const bound = this.#leavingBy(target.transport, target.address);
    const stream = bound && this.#streams.get(bound.flow);
    if (stream !== undefined) return this.#dialler.send(stream, target, message, failed);
    const udp = bound && this.#udp.get(bound.flow);
    if (udp !== undefined) return udp.send(message, target.port, target.address, failed);
    this.#context.counters.count('sip_drops', 'no-listener-for-target');
    queueMicrotask(failed);
  }

  /** Names under which a request to this target leaves; undefined: it cannot be sent from here. */
  names(target: SipTarget): ListenerNames | undefined {
    return this.#leavingBy(target.transport, target.address)?.names;
  }

  /** Reads the TLS files that changed; connections keep what they were made with. Never rejects. */
  async reloadCertificates(): Promise<void> {
    await Promise.all([...this.#streams.values()].map((stream) => stream.reloadCertificates()));
  }

  /** Ends connections in good order (WebSockets with 1001) and closes everything. */
  async stop(): Promise<void> {
    clearInterval(this.#certificateTimer);
    this.#dialler.stop();
    const all = [...this.#udp.values(), ...this.#streams.values()];
    this.#udp.clear();
    this.#streams.clear();
    await Promise.all([...all.map((listener) => listener.stop()), this.#table.stop()]);
  }

  async #bind(listener: SipListenerConfig, index: number): Promise<BoundSipListener> {
    const context = this.#context;
    const flow = `${flowLetters[listener.transport]}${index}`;
    const names = (port: number): ListenerNames =>
      listenerNames(listener, port, this.#options.publicAddress);
    if (listener.transport === 'udp') {
      const udp = new UdpListener({ listener, flow, names, context });
      await udp.start();
      this.#udp.set(flow, udp);
      return { ...listener, port: udp.port, flow, names: udp.names };
    }
    const stream = new StreamListener({
      listener,
      flow,
      names,
      table: this.#table,
      context,
      limits: this.#acceptLimits,
    });
    await stream.start();
    this.#streams.set(flow, stream);
    return { ...listener, port: stream.port, flow, names: stream.names };
  }

  #udpTo(address: string): UdpListener | undefined {
    const bound = this.#leavingBy('UDP', address);
    return bound && this.#udp.get(bound.flow);
  }

  /** The first listener of the transport and address family that is not for applications alone. */
  #leavingBy(transport: SipTransport, address: string): BoundSipListener | undefined {
    if (transport === 'WS' || transport === 'WSS') return undefined;
    const isV6 = address.includes(':');
    const fitting = this.#bound.filter(
      ({ type, names }) => type !== 'internal' && names.transport === transport,
    );
    // A socket on all IPv6 addresses reaches IPv4 ones, too.
    return (
      fitting.find(({ names }) => names.isV6 === isV6) ??
      (isV6 ? undefined : fitting.find((listener) => isWildcard(listener.address)))
    );
  }
}

function isUdp(flow: string): boolean {
  return flow === '' || flow.startsWith('u');
}
