import { randomInt } from 'node:crypto';
import { Places, SourcePlaces } from '../accept/index.ts';
import type { SipConnection } from './connection.ts';
import type { TransportContext } from './transport-context.ts';

/** All connections of a peer by the names of their flows, and the bounds on their number. */
export class ConnectionTable {
  /** For TCP sockets below them, and those that have no flow yet. */
  readonly places: Places;
  readonly sources: SourcePlaces;
  readonly #context: TransportContext;
  readonly #connections = new Map<string, SipConnection>();
  /** Begins anywhere, so that a flow named before a restart names nobody after it. */
  #lastConnection = randomInt(2 ** 40);
  #sweeper: NodeJS.Timeout | undefined;

  constructor(context: TransportContext) {
    const { limits, connections, unlimited } = context;
    this.#context = context;
    this.places = new Places(limits.connectionsMax);
    this.sources = new SourcePlaces(connections.perSourceMax, unlimited);
  }

  start(): void {
    this.#sweeper = setInterval(
      () => this.sweep(this.#context.now()),
      this.#context.limits.sweepIntervalMs,
    );
    this.#sweeper.unref();
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
    for (const connection of this.#connections.values()) connection.end();
    await this.places.empty(this.#context.limits.stopGraceMs);
  }
}
