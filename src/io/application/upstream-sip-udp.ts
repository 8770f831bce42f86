import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { sipSocketLimits } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { ResponseTarget } from '../../pipeline/return-response.ts';
import { mappedAddress, plainAddress, type UpstreamAddresses } from './upstream-addresses.ts';
import type { Reachability } from './upstream-reachability.ts';
import { isResponse } from './upstream-sip.ts';

export interface UpstreamSipUdpOptions {
  readonly port: number;
  readonly local: { readonly address: string };
  readonly addresses: UpstreamAddresses;
  readonly reachability: Reachability;
  readonly counters: Counters;
  readonly request: (message: Buffer, address: string, port: number) => void;
  readonly response: (message: Buffer) => void;
  readonly refused: (message: Buffer) => void;
}

type LookupCallback = (error: Error | null, address: string, family: number) => void;

/** All addresses are numeric here; dgram otherwise asks the resolver for every datagram. */
function numericLookup(address: string, ...rest: unknown[]): void {
  const callback = rest.at(-1) as LookupCallback;
  callback(null, address, isIPv6(address) ? 6 : 4);
}

/** A double CRLF, and what else keeps a NAT open, is no message. */
const keepAliveBytesMax = 4;

/**
 * UDP to and from the upstream server. The socket is connected: cheaper to send on, closed to
 * strangers by the system, and told when nobody listens there (ICMP port unreachable). With extra
 * nodes it has to stay open to several addresses: sources are then only checked here, and a server
 * that is not there stays unnoticed.
 */
export class UpstreamSipUdp {
  readonly #options: UpstreamSipUdpOptions;
  readonly #isV6: boolean;
  #socket: Socket | undefined;
  /** Address that is sent to. */
  #aim: string | undefined;
  #isReady = false;
  readonly #failed = (error: Error | null): void => {
    if (error === null) return;
    const { counters, reachability } = this.#options;
    // Only what says that nobody is there may turn the next requests away.
    if ('code' in error && error.code === 'EMSGSIZE') {
      return counters.count('application_failures', 'udp-too-large');
    }
    counters.count('application_failures', 'udp-unreachable');
    reachability.lost(error.message);
  };
  readonly #answered = (error: Error | null): void => {
    if (error !== null) this.#options.counters.count('application_failures', 'udp-answer');
  };

  constructor(options: UpstreamSipUdpOptions) {
    this.#options = options;
    this.#isV6 = isIPv6(options.local.address);
  }

  /** Rejects with the system's error when the port cannot be bound; may then be tried again. */
  async bind(port: number): Promise<void> {
    const socket = createSocket({
      type: this.#isV6 ? 'udp6' : 'udp4',
      lookup: numericLookup,
      recvBufferSize: sipSocketLimits.udpReceiveBufferBytes,
      sendBufferSize: sipSocketLimits.udpSendBufferBytes,
    });
    // The numeric lookup answers at once, so the event comes before `bind` returns.
    const listening = once(socket, 'listening');
    socket.bind(port, this.#options.local.address);
    try {
      await listening;
    } catch (error) {
      socket.close();
      throw error;
    }
    this.#socket = socket;
    socket.on('error', this.#failed);
    socket.on('message', (message, source) => this.#take(message, source));
  }

  /** Points the socket to the application, again when its address has changed. */
  async aim(): Promise<void> {
    const { addresses, port } = this.#options;
    const address = addresses.first;
    const socket = this.#socket;
    if (socket === undefined || address === undefined || address === this.#aim) return;
    const wasConnected = this.#isReady && !addresses.hasExtra;
    this.#aim = address;
    this.#isReady = addresses.hasExtra;
    if (addresses.hasExtra) return;
    if (wasConnected) socket.disconnect();
    const connected = once(socket, 'connect');
    socket.connect(port, this.#written(address));
    try {
      await connected;
      this.#isReady = true;
    } catch {
      // Counted as any other error of the socket; the next request tries again.
      this.#aim = undefined;
    }
  }

  deliver(message: Buffer): boolean {
    if (message.length > sipSocketLimits.datagramBytesMax) {
      this.#options.counters.count('application_failures', 'udp-too-large');
      this.#options.refused(message);
      return true;
    }
    return this.#send(message);
  }

  deliverResponse(message: Buffer): boolean {
    return !this.#isTooLarge(message) && this.#send(message);
  }

  answer({ message, address, port }: ResponseTarget): void {
    const { addresses, counters } = this.#options;
    if (!addresses.isNode(address)) return counters.count('sip_drops', 'not-the-application');
    if (!this.#isReady) return counters.count('sip_drops', 'application-unreachable');
    if (this.#isTooLarge(message)) return;
    // A connected socket knows the application by one address alone.
    if (!addresses.hasExtra) this.#socket?.send(message, this.#failed);
    else this.#socket?.send(message, port, this.#written(address), this.#answered);
  }

  async stop(): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#isReady = false;
    if (socket === undefined) return;
    await new Promise<void>((resolve) => socket.close(() => resolve()));
  }

  #send(message: Buffer): boolean {
    const { reachability, addresses, port } = this.#options;
    if (reachability.isDown) return false;
    if (!this.#isReady) {
      reachability.lost('no address is known');
      return false;
    }
    if (!addresses.hasExtra) this.#socket?.send(message, this.#failed);
    else this.#socket?.send(message, port, this.#written(this.#aim!), this.#failed);
    return true;
  }

  #isTooLarge(message: Buffer): boolean {
    if (message.length <= sipSocketLimits.datagramBytesMax) return false;
    this.#options.counters.count('application_failures', 'udp-too-large');
    return true;
  }

  #take(message: Buffer, source: RemoteInfo): void {
    const { addresses, reachability, counters, request, response } = this.#options;
    const address = this.#isV6 ? plainAddress(source.address) : source.address;
    if (!addresses.isSender(address, source.port)) {
      return counters.count('sip_drops', 'not-the-application');
    }
    reachability.heard();
    if (isResponse(message)) return response(message);
    if (message.length <= keepAliveBytesMax) return counters.count('sip_drops', 'keep-alive');
    request(message, address, source.port);
  }

  #written(address: string): string {
    return this.#isV6 ? mappedAddress(address) : address;
  }
}
