import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { sprayerLimits } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { Rotation } from './rotation.ts';
import type { Endpoint, Target } from './target.ts';

/** Joins each connection to the next peer, byte by byte, with back-pressure and half-close. */
export class StreamRelay {
  readonly #protocol: 'sip' | 'http';
  readonly #rotation: Rotation<Target>;
  readonly #counters: Counters;
  readonly #open = new Set<Socket>();
  #server: Server | undefined;

  constructor(protocol: 'sip' | 'http', rotation: Rotation<Target>, counters: Counters) {
    this.#protocol = protocol;
    this.#rotation = rotation;
    this.#counters = counters;
  }

  /** Rejects when the address cannot be bound. Gives the port, which `port` 0 left open. */
  async start(address: string, port: number): Promise<number> {
    // Read nothing before there is somewhere to write it.
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
    server.maxConnections = sprayerLimits.connectionsMax;
    server.listen({ host: address, port });
    await once(server, 'listening');
    server.on('connection', (client) => {
      this.#accept(client);
    });
    server.on('drop', () => {
      this.#count('limit');
    });
    server.on('error', () => {
      this.#count('accept_error');
    });
    this.#server = server;
    return (server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.#open) socket.destroy();
    await closed;
  }

  #accept(client: Socket): void {
    this.#track(client);
    const [first, ...others] = this.#rotation.order();
    this.#tryPeer(client, first, others);
  }

  #tryPeer(client: Socket, target: Target, others: readonly Target[]): void {
    const { host, port }: Endpoint = target[this.#protocol];
    const upstream = connect({ host, port, allowHalfOpen: true, noDelay: true });
    this.#track(upstream);
    upstream.setTimeout(sprayerLimits.connectTimeoutMs, () => upstream.destroy());
    const gone = (): void => {
      upstream.destroy();
    };
    const failed = (): void => {
      client.off('close', gone);
      if (client.destroyed) return;
      this.#count('refused');
      const [next, ...rest] = others;
      if (next !== undefined) {
        this.#tryPeer(client, next, rest);
        return;
      }
      this.#count('no_peer');
      client.resetAndDestroy();
    };
    client.once('close', gone);
    upstream.once('close', failed);
    upstream.once('connect', () => {
      client.off('close', gone);
      upstream.off('close', failed);
      upstream.setTimeout(0);
      this.#count('joined');
      join(client, upstream);
    });
  }

  #track(socket: Socket): void {
    this.#open.add(socket);
    socket.on('error', () => {
      this.#count('broken');
    });
    socket.once('close', () => this.#open.delete(socket));
  }

  #count(reason: string): void {
    this.#counters.count(`sprayer_${this.#protocol}_connections`, reason);
  }
}

function join(client: Socket, upstream: Socket): void {
  client.pipe(upstream);
  upstream.pipe(client);
  breakTogether(client, upstream);
  breakTogether(upstream, client);
}

/** A broken side breaks the other; a side that ended well leaves it to send what it still has. */
function breakTogether(one: Socket, other: Socket): void {
  one.once('close', (hadError) => {
    if (hadError || !one.readableEnded) other.resetAndDestroy();
  });
}
