import { randomInt } from 'node:crypto';
import type { Socket } from 'node:net';
import { sipSocketLimits } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import { plainAddress } from './upstream-addresses.ts';
import type { Reachability } from './upstream-reachability.ts';
import { UpstreamSipConnection } from './upstream-sip-connection.ts';
import { isResponse } from './upstream-sip.ts';

export interface UpstreamSipConnectionsOptions {
  readonly reachability: Reachability;
  readonly counters: Counters;
  readonly now: () => number;
  readonly request: (message: Buffer, address: string, port: number, flow: string) => void;
  readonly response: (message: Buffer) => void;
}

/** All TCP connections with the application, whoever opened them, each of them a flow. */
export class UpstreamSipConnections {
  readonly #options: UpstreamSipConnectionsOptions;
  readonly #connections = new Map<string, UpstreamSipConnection>();
  /** Begins anywhere, so that a flow named before a restart names nobody after it. */
  #last = randomInt(2 ** 40);
  #sweeper: NodeJS.Timeout | undefined;

  constructor(options: UpstreamSipConnectionsOptions) {
    this.#options = options;
  }

  start(): void {
    this.#sweeper = setInterval(() => {
      const nowMs = this.#options.now();
      for (const connection of this.#connections.values()) connection.sweep(nowMs);
    }, sipSocketLimits.sweepIntervalMs);
    this.#sweeper.unref();
  }

  /** Takes a connected socket over; undefined when it has been closed meanwhile. */
  add(socket: Socket): UpstreamSipConnection | undefined {
    const { counters, now, reachability, request, response } = this.#options;
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy();
      return undefined;
    }
    const flow = `a1-${++this.#last}`;
    const address = plainAddress(remoteAddress);
    const connection = new UpstreamSipConnection({
      socket,
      counters,
      now,
      receive: (message) => {
        reachability.heard();
        if (isResponse(message)) response(message);
        else request(message, address, remotePort, flow);
      },
      closed: () => this.#connections.delete(flow),
    });
    this.#connections.set(flow, connection);
    return connection;
  }

  /** The connection of a flow while it is open. */
  get(flow: string): UpstreamSipConnection | undefined {
    const connection = this.#connections.get(flow);
    return connection?.isOpen === true ? connection : undefined;
  }

  stop(): void {
    clearInterval(this.#sweeper);
    for (const connection of this.#connections.values()) connection.close();
  }
}
