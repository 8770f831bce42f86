import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { WatchedPeer } from './fault-peers.ts';
import { startDatagramSpray, type Spray } from './spray.ts';

/** How often an operator's sprayer asks whether a peer is ready, and how long it waits for an answer. */
const healthIntervalMs = 50;
const healthTimeoutMs = 1_000;

interface Sprayed {
  readonly peer: WatchedPeer;
  /** `host:port` of its SIP. */
  readonly address: string;
}

/** Datagrams to the peers that say they are ready, each to the next one. */
export class ReadySpray {
  readonly #spray: Spray;
  readonly #ready = new Set<string>();
  /** Addresses of the peers that requests of a call went to, by Call-ID. */
  readonly #ways: ReadonlyMap<string, ReadonlySet<string>>;
  #names: ReadonlyMap<string, string> = new Map();
  #isOver = false;

  private constructor(spray: Spray, ways: ReadonlyMap<string, ReadonlySet<string>>) {
    this.#spray = spray;
    this.#ways = ways;
  }

  /** `host:port` that clients use. */
  get address(): string {
    return this.#spray.address;
  }

  /** Listens at a port of this address; peers get nothing before `follow`. */
  static async start(t: TestContext, address: string): Promise<ReadySpray> {
    const ways = new Map<string, Set<string>>();
    const spray = await startDatagramSpray(t, address, (datagram, peer) => {
      const callId = /^Call-ID: (.*?)\r$/mu.exec(datagram.toString('latin1'))?.[1] ?? '';
      const way = ways.get(callId) ?? new Set();
      ways.set(callId, way.add(peer));
    });
    return new ReadySpray(spray, ways);
  }

  /** Asks the peers whether they are ready until the test's end. */
  follow(t: TestContext, peers: readonly Sprayed[]): void {
    this.#names = new Map(peers.map(({ peer, address }) => [address, peer.name]));
    const following = peers.map((sprayed) => this.#follow(sprayed));
    t.after(async () => {
      this.#isOver = true;
      await Promise.all(following);
    });
  }

  ready(): readonly string[] {
    return [...this.#ready];
  }

  /** How many calls it has seen. */
  get calls(): number {
    return this.#ways.size;
  }

  /** Peers that messages of this call went to. */
  takenBy(callId: string): readonly string[] {
    return [...(this.#ways.get(callId) ?? [])].map((address) => this.#names.get(address)!);
  }

  async #follow({ peer, address }: Sprayed): Promise<void> {
    while (!this.#isOver) {
      const page = await peer.page('/readyz', healthTimeoutMs);
      const isReady = page?.status === 200;
      if (isReady !== this.#ready.has(peer.name)) {
        if (isReady) this.#spray.add(address);
        else this.#spray.remove(address);
        if (isReady) this.#ready.add(peer.name);
        else this.#ready.delete(peer.name);
      }
      await pause(healthIntervalMs);
    }
  }
}
