import { connect, isIPv6, type LookupFunction, type Socket } from 'node:net';
import { isWildcard } from '../../config/address.ts';
import { sipSocketLimits, upstreamLimits } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { UpstreamAddresses } from './upstream-addresses.ts';
import type { Reachability } from './upstream-reachability.ts';
import type { UpstreamSipConnection } from './upstream-sip-connection.ts';
import type { UpstreamSipConnections } from './upstream-sip-connections.ts';
import { isResponse } from './upstream-sip.ts';

export interface UpstreamSipTcpOptions {
  readonly host: string;
  readonly port: number;
  readonly local: { readonly address: string };
  readonly addresses: UpstreamAddresses;
  readonly connections: UpstreamSipConnections;
  readonly reachability: Reachability;
  readonly counters: Counters;
  readonly refused: (message: Buffer) => void;
}

/** TCP to the upstream server: one connection, dialled when needed, shared by all its dialogs. */
export class UpstreamSipTcp {
  readonly #options: UpstreamSipTcpOptions;
  #connection: UpstreamSipConnection | undefined;
  #dialled: Socket | undefined;
  /** Messages that wait for the connection. */
  #waiting: Buffer[] = [];

  constructor(options: UpstreamSipTcpOptions) {
    this.#options = options;
  }

  /** Takes a request or a response. False: nothing was sent. */
  deliver(message: Buffer): boolean {
    if (this.#options.reachability.isDown) return false;
    if (this.#connection?.isOpen === true) return this.#connection.send(message);
    if (this.#waiting.length >= upstreamLimits.waitingMessagesMax) return false;
    this.#waiting.push(message);
    this.#dialled ??= this.#dial();
    return true;
  }

  /**
   * Addresses that our own can reach, and that connections are accepted from. The system's resolver
   * might put one of the other family first, which a bound socket cannot dial.
   */
  readonly #lookup: LookupFunction = (_host, { all }, callback) => {
    const [first, ...others] = this.#options.addresses.own.map((address) => ({
      address,
      family: isIPv6(address) ? 6 : 4,
    }));
    if (first === undefined) callback(new Error('no address is known'), '');
    else if (all === true) callback(null, [first, ...others]);
    else callback(null, first.address, first.family);
  };

  stop(): void {
    const dialled = this.#dialled;
    this.#dialled = undefined;
    dialled?.destroy();
    for (const message of this.#waiting.splice(0)) this.#refuse(message);
  }

  #dial(): Socket {
    const { host, port, local, connections } = this.#options;
    const from = isWildcard(local.address) ? {} : { localAddress: local.address };
    const socket = connect({ host, port, lookup: this.#lookup, ...from });
    let reason = 'no connection in time';
    const failed = (error: Error): void => {
      reason = error.message;
    };
    const closed = (): void => {
      if (this.#dialled === socket) this.#lost(reason);
    };
    socket.setTimeout(sipSocketLimits.connectTimeoutMs, () => socket.destroy());
    socket.on('error', failed);
    socket.on('close', closed);
    socket.once('connect', () => {
      const connection = connections.add(socket);
      if (connection === undefined) return;
      socket.setTimeout(0);
      socket.off('error', failed);
      socket.off('close', closed);
      this.#dialled = undefined;
      this.#connection = connection;
      this.#options.reachability.heard();
      for (const message of this.#waiting.splice(0)) this.#sendWaiting(connection, message);
    });
    return socket;
  }

  /** What waited gets its answer now; the next request dials again after a pause. */
  #lost(reason: string): void {
    const { counters, reachability } = this.#options;
    this.#dialled = undefined;
    counters.count('application_failures', 'tcp-unreachable');
    reachability.lost(reason);
    for (const message of this.#waiting.splice(0)) this.#refuse(message);
  }

  #sendWaiting(connection: UpstreamSipConnection, message: Buffer): void {
    if (!connection.send(message)) this.#refuse(message);
  }

  #refuse(message: Buffer): void {
    if (isResponse(message)) this.#options.counters.count('sip_drops', 'application-unreachable');
    else this.#options.refused(message);
  }
}
