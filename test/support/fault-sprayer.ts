import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { WatchedPeer } from './fault-peers.ts';
import type { Spray } from './spray.ts';

/** How often an operator's sprayer asks whether a peer is ready, and how long it waits for an answer. */
const healthIntervalMs = 50;
const healthTimeoutMs = 1_000;

interface Sprayed {
  readonly peer: WatchedPeer;
  /** `host:port` of its SIP. */
  readonly address: string;
}

/** Has a sprayer send to the peers that say they are ready. */
export class ReadySpray {
  readonly #ready = new Set<string>();
  #isOver = false;

  /** Follows the peers until the test's end. */
  constructor(t: TestContext, spray: Spray, peers: readonly Sprayed[]) {
    const following = peers.map((sprayed) => this.#follow(spray, sprayed));
    t.after(async () => {
      this.#isOver = true;
      await Promise.all(following);
    });
  }

  ready(): readonly string[] {
    return [...this.#ready];
  }

  async #follow(spray: Spray, { peer, address }: Sprayed): Promise<void> {
    while (!this.#isOver) {
      const page = await peer.page('/readyz', healthTimeoutMs);
      const isReady = page?.status === 200;
      if (isReady !== this.#ready.has(peer.name)) {
        if (isReady) spray.add(address);
        else spray.remove(address);
        if (isReady) this.#ready.add(peer.name);
        else this.#ready.delete(peer.name);
      }
      await pause(healthIntervalMs);
    }
  }
}
