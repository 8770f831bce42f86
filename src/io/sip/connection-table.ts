import { randomInt } from 'node:crypto';
import type { Socket } from 'node:net';
import { networkKey, parseAddress } from '../../pipeline/network.ts';
import type { SipConnection } from './connection.ts';
import type { TransportContext } from './transport-context.ts';

/** All connections of a peer by the names of their flows, and the bounds on their number. */
export class ConnectionTable {
  readonly #context: TransportContext;
  readonly #connections = new Map<string, SipConnection>();
  /** TCP sockets below them, and those that have no flow yet. */
  readonly #sockets = new Set<Socket>();
  readonly #perSource = new Map<string, number>();
  /** Begins anywhere, so that a flow named before a restart names nobody after it. */
  #lastConnection = randomInt(2 ** 40);
  #sweeper: NodeJS.Timeout | undefined;
  #allClosed: (() => void) | undefined;

  constructor(context: TransportContext) {
    this.#context = context;
  }

  start(): void {
    this.#sweeper = setInterval(
      () => this.sweep(this.#context.now()),
      this.#context.limits.sweepIntervalMs,
    );
    this.#sweeper.unref();
  }

  /** Connections, those in their handshake included. */
  get size(): number {
    return this.#sockets.size;
  }

  /** Holds a place until the socket closes. False: all are taken. */
  admit(socket: Socket): boolean {
    if (this.#sockets.size >= this.#context.limits.connectionsMax) return false;
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#allClosed?.();
    });
    return true;
  }

  /**
   * The same for one of the places that a source has: an IPv4 address, or the /64 that commonly one
   * site has of IPv6.
   */
  admitSource(socket: Socket, address: string): boolean {
    const groups = parseAddress(address);
    // What the system or a PROXY header gave is an address.
    if (groups === undefined || this.#context.unlimited.has(groups)) return true;
    const source = networkKey(groups, groups.length === 2 ? 32 : 64);
    const taken = this.#perSource.get(source) ?? 0;
    if (taken >= this.#context.connections.perSourceMax) return false;
    this.#perSource.set(source, taken + 1);
    socket.once('close', () => {
      const left = (this.#perSource.get(source) ?? 1) - 1;
      if (left === 0) this.#perSource.delete(source);
      else this.#perSource.set(source, left);
    });
    return true;
  }

  /** A name that no flow of this peer has had. */
  nameFlow(prefix: string): string {
    return `${prefix}-${++this.#lastConnection}`;
  }

  get(flow: string): SipConnection | undefined {
    return this.#connections.get(flow);
  }

  keep(flow: string, connection: SipConnection): void {
    this.#connections.set(flow, connection);
  }

  /** Another connection may have taken the name over meanwhile. */
  forget(flow: string, connection: SipConnection): void {
    if (this.#connections.get(flow) === connection) this.#connections.delete(flow);
  }

  /** Closes what its times say. */
  sweep(nowMs: number): void {
    for (const connection of this.#connections.values()) connection.sweep(nowMs);
  }

  /** Ends all connections; those that have not ended after `stopGraceMs` are cut off. */
  async stop(): Promise<void> {
    clearInterval(this.#sweeper);
    if (this.#sockets.size === 0) return;
    const closed = new Promise<void>((resolve) => {
      this.#allClosed = resolve;
    });
    for (const connection of this.#connections.values()) connection.end();
    const cutOff = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, this.#context.limits.stopGraceMs);
    await closed;
    clearTimeout(cutOff);
  }
}
