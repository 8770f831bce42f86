import type { RemoteInfo, Socket } from 'node:dgram';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { formatHostPort } from '../../config/address.ts';
import { sprayerLimits } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import type { Rotation } from './rotation.ts';
import type { Target } from './target.ts';

export type SprayerMode = 'per-packet' | 'flow';

/** One client's datagrams: a socket of its own, so that answers find back to it. */
interface Client {
  readonly key: string;
  readonly address: string;
  readonly port: number;
  readonly socket: Socket;
  /** Undefined before its first datagram was sent. */
  target: Target | undefined;
  lastUsedMs: number;
}

/**
 * Hands datagrams to peers and answers back, as a router with address translation does: every client
 * is seen by all peers under one address, and any peer may answer to it. Answers leave from the
 * public port.
 */
export class DatagramRelay {
  readonly #mode: SprayerMode;
  readonly #rotation: Rotation<Target>;
  readonly #targets: ReadonlySet<string>;
  readonly #counters: Counters;
  /** All peers are of one address family. */
  readonly #isIPv6: boolean;
  /** In the order of their last use. */
  readonly #clients = new Map<string, Client>();
  #public: Socket | undefined;
  #sweep: NodeJS.Timeout | undefined;

  constructor(
    mode: SprayerMode,
    targets: readonly Target[],
    rotation: Rotation<Target>,
    counters: Counters,
  ) {
    this.#mode = mode;
    this.#rotation = rotation;
    this.#targets = new Set(targets.map((target) => target.sip.text));
    this.#isIPv6 = targets.some((target) => isIPv6(target.sip.host));
    this.#counters = counters;
  }

  /** Rejects when the address cannot be bound. */
  async start(address: string, port: number): Promise<void> {
    const socket = createSocket({
      type: isIPv6(address) ? 'udp6' : 'udp4',
      recvBufferSize: sprayerLimits.receiveBufferBytes,
    });
    socket.bind(port, address);
    try {
      await once(socket, 'listening');
    } catch (error) {
      socket.close();
      throw error;
    }
    socket.on('message', (datagram, from) => {
      this.#toPeer(datagram, from);
    });
    socket.on('error', () => {
      this.#count('socket_error');
    });
    this.#public = socket;
    this.#sweep = setInterval(() => {
      this.#forgetIdle();
    }, sprayerLimits.clientSweepMs);
  }

  stop(): void {
    clearInterval(this.#sweep);
    for (const client of this.#clients.values()) this.#forget(client);
    this.#public?.close();
    this.#public = undefined;
  }

  #toPeer(datagram: Buffer, from: RemoteInfo): void {
    // A forged source: no answer could be sent to port 0.
    if (from.port === 0) {
      this.#count('no_source_port');
      return;
    }
    const client = this.#clientOf(from);
    const last = client.target;
    const stays = this.#mode === 'flow' && last?.isAlive === true;
    const target = stays ? last : this.#rotation.next();
    client.target = target;
    const { host, port } = target.sip;
    this.#count('to_peer');
    client.socket.send(datagram, port, host, (error) => {
      if (error !== null) this.#count('send_failed');
    });
  }

  #clientOf(from: RemoteInfo): Client {
    const key = formatHostPort(from.address, from.port);
    const known = this.#clients.get(key);
    if (known === undefined) return this.#newClient(key, from);
    this.#use(known);
    return known;
  }

  #newClient(key: string, from: RemoteInfo): Client {
    if (this.#clients.size >= sprayerLimits.clientsMax) {
      const [oldest] = this.#clients.values();
      if (oldest !== undefined) this.#forget(oldest);
      this.#count('client_evicted');
    }
    const client: Client = {
      key,
      address: from.address,
      port: from.port,
      socket: createSocket({
        type: this.#isIPv6 ? 'udp6' : 'udp4',
        recvBufferSize: sprayerLimits.receiveBufferBytes,
      }),
      target: undefined,
      lastUsedMs: performance.now(),
    };
    client.socket.on('message', (datagram, source) => {
      this.#toClient(client, datagram, source);
    });
    client.socket.on('error', () => {
      this.#count('socket_error');
      this.#forget(client);
    });
    this.#clients.set(key, client);
    return client;
  }

  #toClient(client: Client, datagram: Buffer, source: RemoteInfo): void {
    if (!this.#targets.has(formatHostPort(source.address, source.port))) {
      this.#count('stranger');
      return;
    }
    this.#use(client);
    this.#count('to_client');
    this.#public?.send(datagram, client.port, client.address, (error) => {
      if (error !== null) this.#count('send_failed');
    });
  }

  #use(client: Client): void {
    client.lastUsedMs = performance.now();
    this.#clients.delete(client.key);
    this.#clients.set(client.key, client);
  }

  #forgetIdle(): void {
    const oldestMs = performance.now() - sprayerLimits.clientIdleMs;
    for (const client of this.#clients.values()) {
      if (client.lastUsedMs > oldestMs) return;
      this.#forget(client);
    }
  }

  #forget(client: Client): void {
    if (!this.#clients.delete(client.key)) return;
    client.socket.close();
  }

  #count(reason: string): void {
    this.#counters.count('sprayer_datagrams', reason);
  }
}
