import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

const host = '127.0.0.1';
/** How often an operator's sprayer asks whether a peer is ready. */
const healthIntervalMs = 50;
/** A peer that does not answer for so long is not ready. */
const healthTimeoutMs = 1_000;

interface Sprayed {
  readonly name: string;
  readonly http: string;
  readonly admin: string;
}

/**
 * What an operator puts in front of peers: connection by connection to the next peer that says it is
 * ready, to another one where a connection is refused. It can tell who got a connection.
 */
export interface HttpSpray {
  /** `host:port` that clients use. */
  readonly address: string;
  /** Name of the peer that the connection from this port of a client went to last. */
  takenBy(clientPort: number): string | undefined;
  /** How many connections each peer got. */
  shares(): ReadonlyMap<string, number>;
  /** Names of the peers that say they are ready. */
  ready(): readonly string[];
  /** From now on this one gets its turn, too. */
  add(peer: Sprayed): void;
  /** Ends all connections in good order, so that clients come anew. */
  end(): void;
}

export async function startHttpSpray(
  t: TestContext,
  peers: readonly Sprayed[],
): Promise<HttpSpray> {
  const spray = new Spray(peers);
  await spray.start();
  t.after(() => {
    spray.stop();
  });
  return spray;
}

class Spray implements HttpSpray {
  readonly #peers: Sprayed[];
  readonly #unready = new Set<Sprayed>();
  readonly #asked = new Set<Sprayed>();
  readonly #taken = new Map<number, string>();
  readonly #shares = new Map<string, number>();
  readonly #open = new Set<Socket>();
  readonly #server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true });
  #timer: NodeJS.Timeout | undefined;
  #turn = 0;

  constructor(peers: readonly Sprayed[]) {
    this.#peers = [...peers];
  }

  get address(): string {
    return `${host}:${(this.#server.address() as AddressInfo).port}`;
  }

  async start(): Promise<void> {
    this.#server.on('connection', (client) => {
      this.#open.add(client);
      client.on('close', () => this.#open.delete(client));
      client.on('error', () => client.destroy());
      this.#turn += 1;
      this.#join(client, this.#peers.length);
    });
    this.#server.listen({ host, port: 0, backlog: 1_024 });
    await once(this.#server, 'listening');
    this.#timer = setInterval(() => {
      for (const peer of this.#peers) void this.#ask(peer);
    }, healthIntervalMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
  }

  takenBy(clientPort: number): string | undefined {
    return this.#taken.get(clientPort);
  }

  shares(): ReadonlyMap<string, number> {
    return this.#shares;
  }

  ready(): readonly string[] {
    return this.#peers.filter((peer) => !this.#unready.has(peer)).map(({ name }) => name);
  }

  add(peer: Sprayed): void {
    this.#peers.push(peer);
  }

  end(): void {
    for (const socket of this.#open) socket.end();
  }

  async #ask(peer: Sprayed): Promise<void> {
    if (this.#asked.has(peer)) return;
    this.#asked.add(peer);
    const signal = AbortSignal.timeout(healthTimeoutMs);
    const answer = await fetch(`http://${peer.admin}/readyz`, { signal }).catch(() => undefined);
    await answer?.arrayBuffer().catch(() => undefined);
    this.#asked.delete(peer);
    if (answer?.ok === true) this.#unready.delete(peer);
    else this.#unready.add(peer);
  }

  /** Peers that are not ready come last: refusing is theirs to do. */
  #candidates(): Sprayed[] {
    const { length } = this.#peers;
    const order = this.#peers.map((_, at) => this.#peers[(this.#turn + at) % length]!);
    const ready = order.filter((peer) => !this.#unready.has(peer));
    return [...ready, ...order.filter((peer) => this.#unready.has(peer))];
  }

  #join(client: Socket, tries: number, [peer, ...others] = this.#candidates()): void {
    if (peer === undefined || tries === 0 || client.destroyed) {
      client.destroy();
      return;
    }
    const colon = peer.http.lastIndexOf(':');
    const upstream = connect({
      host: peer.http.slice(0, colon),
      port: Number(peer.http.slice(colon + 1)),
      allowHalfOpen: true,
      noDelay: true,
    });
    const refused = (): void => {
      this.#join(client, tries - 1, others);
    };
    upstream.once('error', refused);
    upstream.once('connect', () => {
      upstream.off('error', refused);
      this.#taken.set(client.remotePort ?? 0, peer.name);
      this.#shares.set(peer.name, (this.#shares.get(peer.name) ?? 0) + 1);
      this.#open.add(upstream);
      upstream.on('close', () => this.#open.delete(upstream));
      for (const [from, to] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        from.pipe(to);
        from.on('error', () => to.resetAndDestroy());
      }
    });
  }
}
