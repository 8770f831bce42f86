import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { sipSocketLimits } from '../../config/defaults.ts';
import type { Arrival } from '../../pipeline/arrival.ts';
import type { Counters } from '../../pipeline/counters.ts';
import { mappedAddress, numericLookup, plainAddress } from './numeric-lookup.ts';

export interface UdpListenerOptions {
  readonly address: string;
  /** 0: any free port. */
  readonly port: number;
  /** Name of the flow of every message that comes in here. */
  readonly flow: string;
  readonly receive: (message: Buffer, arrival: Arrival) => void;
  readonly counters: Counters;
}

/** One UDP socket for SIP: a datagram is a message, an answer leaves from the port it came to. */
export class UdpListener {
  readonly #options: UdpListenerOptions;
  readonly #socket: Socket;
  readonly #isV6: boolean;
  readonly #sent = (error: Error | null): void => {
    if (error !== null) this.#options.counters.count('sip_send_failures', 'udp');
  };

  constructor(options: UdpListenerOptions) {
    this.#options = options;
    this.#isV6 = isIPv6(options.address);
    this.#socket = createSocket({
      type: this.#isV6 ? 'udp6' : 'udp4',
      lookup: numericLookup,
      recvBufferSize: sipSocketLimits.udpReceiveBufferBytes,
      sendBufferSize: sipSocketLimits.udpSendBufferBytes,
    });
  }

  /** Rejects with the system's error when the address cannot be bound. */
  async start(): Promise<void> {
    const { address, port, flow, receive, counters } = this.#options;
    // The numeric lookup answers at once, so the event comes before `bind` returns.
    const listening = once(this.#socket, 'listening');
    this.#socket.bind(port, address);
    try {
      await listening;
    } catch (error) {
      this.#socket.close();
      throw error;
    }
    const received = counters.counter('sip_received', 'udp');
    this.#socket.on('message', (message, source) => {
      // No answer can go to port 0, and the system would throw at it.
      if (source.port === 0) return counters.count('sip_drops', 'source-port-0');
      received.value++;
      const address = this.#isV6 ? plainAddress(source.address) : source.address;
      receive(message, { transport: 'UDP', address, port: source.port, flow });
    });
    this.#socket.on('error', () => counters.count('sip_send_failures', 'udp-socket'));
  }

  get port(): number {
    return this.#socket.address().port;
  }

  send(message: Buffer, port: number, address: string): void {
    this.#socket.send(message, port, this.#isV6 ? mappedAddress(address) : address, this.#sent);
  }

  stop(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}
