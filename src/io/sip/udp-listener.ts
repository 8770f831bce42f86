import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import type { SipListenerConfig } from '../../config/config.ts';
import type { ListenerNames } from '../../pipeline/arrival.ts';
import type { Counter } from '../../pipeline/counters.ts';
import { answerStun } from '../../sip/index.ts';
import { plainAddress } from '../accept/index.ts';
import { mappedAddress, numericLookup } from './numeric-lookup.ts';
import type { TransportContext } from './transport-context.ts';

export interface UdpListenerOptions {
  readonly listener: SipListenerConfig;
  /** Name of the flow of every message that comes in here. */
  readonly flow: string;
  /** Its names, once the port is known. */
  readonly names: (port: number) => ListenerNames;
  readonly context: TransportContext;
}

/** First bytes below this begin no SIP message; those of STUN do (RFC 5389 section 6). */
const stunBound = 0x40;

/** One UDP socket for SIP: a datagram is a message, an answer leaves from the port it came to. */
export class UdpListener {
  readonly #options: UdpListenerOptions;
  readonly #socket: Socket;
  readonly #isV6: boolean;
  readonly #received: Counter;
  #names: ListenerNames | undefined;

  constructor(options: UdpListenerOptions) {
    this.#options = options;
    const { listener, context } = options;
    this.#isV6 = isIPv6(listener.address);
    this.#received = context.counters.counter('sip_received', 'udp');
    this.#socket = createSocket({
      type: this.#isV6 ? 'udp6' : 'udp4',
      lookup: numericLookup,
      recvBufferSize: context.limits.udpReceiveBufferBytes,
      sendBufferSize: context.limits.udpSendBufferBytes,
    });
  }

  /** Rejects with the system's error when the address cannot be bound. */
  async start(): Promise<void> {
    const { listener, context, names } = this.#options;
    // The numeric lookup answers at once, so the event comes before `bind` returns.
    const listening = once(this.#socket, 'listening');
    this.#socket.bind(listener.port, listener.address);
    try {
      await listening;
    } catch (error) {
      this.#socket.close();
      throw error;
    }
    const bound = names(this.port);
    this.#names = bound;
    this.#socket.on('message', (message, source) => this.#receive(message, source, bound));
    this.#socket.on('error', () => context.counters.count('sip_send_failures', 'udp-socket'));
  }

  get port(): number {
    return this.#socket.address().port;
  }

  get names(): ListenerNames {
    if (this.#names === undefined) throw new Error('the listener is not bound');
    return this.#names;
  }

  /** @param failed called later when the system refuses to send */
  send(message: Buffer, port: number, address: string, failed?: () => void): void {
    if (port === 0) return this.#refuse(failed);
    this.#socket.send(
      message,
      port,
      this.#isV6 ? mappedAddress(address) : address,
      failed === undefined ? this.#sent : (error) => this.#sentOr(error, failed),
    );
  }

  stop(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }

  /** One for all that nobody asks after, rather than one a message. */
  readonly #sent = (error: Error | null): void => {
    if (error !== null) this.#options.context.counters.count('sip_send_failures', 'udp');
  };

  /** Nothing can be sent to port 0, and Node would throw at it; a URI may name it all the same. */
  #refuse(failed: (() => void) | undefined): void {
    this.#options.context.counters.count('sip_send_failures', 'udp');
    if (failed !== undefined) queueMicrotask(failed);
  }

  #sentOr(error: Error | null, failed: () => void): void {
    this.#sent(error);
    if (error !== null) failed();
  }

  #receive(message: Buffer, source: RemoteInfo, listener: ListenerNames): void {
    const { flow, context } = this.#options;
    const { port } = source;
    // No answer can go to port 0, and the system would throw at it.
    if (port === 0) return context.counters.count('sip_drops', 'source-port-0');
    const address = this.#isV6 ? plainAddress(source.address) : source.address;
    if (message.length > 0 && message[0]! < stunBound) {
      const answer = answerStun(message, address, port);
      if (answer !== undefined) {
        context.counters.count('sip_received', 'stun');
        return this.send(answer, port, address);
      }
    }
    this.#received.value++;
    context.receive(message, { transport: 'UDP', address, port, flow, listener });
  }
}
