import type { Arrival } from '../../pipeline/arrival.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { ResponseTarget } from '../../pipeline/return-response.ts';
import { TcpListener } from './tcp-listener.ts';
import { UdpListener } from './udp-listener.ts';

export interface SipListenerOptions {
  readonly transport: 'udp' | 'tcp';
  readonly address: string;
  readonly port: number;
}

export interface SipListenersOptions {
  readonly listeners: readonly SipListenerOptions[];
  readonly receive: (message: Buffer, arrival: Arrival) => void;
  readonly counters: Counters;
  readonly now: () => number;
}

/** A listener as it was bound. */
export interface BoundSipListener extends SipListenerOptions {
  readonly flow: string;
}

/**
 * All SIP sockets of a peer. A flow is named `u<listener>` or `t<listener>-<connection>`; the holder
 * of the flow answers on it.
 */
export class SipListeners {
  readonly #options: SipListenersOptions;
  readonly #udp = new Map<string, UdpListener>();
  readonly #tcp = new Map<string, TcpListener>();
  readonly #bound: BoundSipListener[] = [];

  constructor(options: SipListenersOptions) {
    this.#options = options;
  }

  /** Binds all. Rejects with the system's error for the first one that cannot be bound. */
  async start(): Promise<void> {
    for (const [index, listener] of this.#options.listeners.entries()) {
      this.#bound.push(await this.#bind(listener, index));
    }
  }

  /** In the order of the configuration, with the ports that were bound. */
  get bound(): readonly BoundSipListener[] {
    return this.#bound;
  }

  /** Sends on a flow; the empty flow stands for any UDP socket of the target's address family. */
  answer(flow: string, target: ResponseTarget): void {
    if (flow.startsWith('t')) {
      const listener = this.#tcp.get(flow.slice(0, flow.indexOf('-')));
      if (listener !== undefined) return listener.send(flow, target);
    } else {
      const listener = flow === '' ? this.#udpFor(target.address) : this.#udp.get(flow);
      if (listener !== undefined) return listener.send(target.message, target.port, target.address);
    }
    this.#options.counters.count('sip_drops', 'unknown-flow');
  }

  async stop(): Promise<void> {
    const all = [...this.#udp.values(), ...this.#tcp.values()];
    this.#udp.clear();
    this.#tcp.clear();
    await Promise.all(all.map((listener) => listener.stop()));
  }

  async #bind(listener: SipListenerOptions, index: number): Promise<BoundSipListener> {
    const { receive, counters, now } = this.#options;
    if (listener.transport === 'udp') {
      const flow = `u${index}`;
      const udp = new UdpListener({ ...listener, flow, receive, counters });
      await udp.start();
      this.#udp.set(flow, udp);
      return { ...listener, port: udp.port, flow };
    }
    const flow = `t${index}`;
    const tcp = new TcpListener({ ...listener, flow, receive, counters, now });
    await tcp.start();
    this.#tcp.set(flow, tcp);
    return { ...listener, port: tcp.port, flow };
  }

  #udpFor(address: string): UdpListener | undefined {
    const isV6 = address.includes(':');
    const udp = this.#bound.filter((listener) => listener.transport === 'udp');
    // A socket on all IPv6 addresses reaches IPv4 ones, too.
    const fitting =
      udp.find((listener) => listener.address.includes(':') === isV6) ??
      (isV6 ? undefined : udp[0]);
    return fitting === undefined ? undefined : this.#udp.get(fitting.flow);
  }
}
