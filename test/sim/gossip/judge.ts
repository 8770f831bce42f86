import type { SwimEvent } from '../../../src/gossip/index.ts';
import type { GossipNetwork } from './network.ts';
import type { SimulatedPeer } from './peer.ts';

/** Counts accusations while a scenario runs, and knows which of them were false. */
export class Judge {
  /** Lives of healthy members that anybody declared dead. */
  readonly falseDeaths: Set<string> = new Set<string>();
  /** Lives of healthy members that anybody suspected. */
  readonly falseSuspicions: Set<string> = new Set<string>();
  /** Views of healthy members in which a healthy one was dead. */
  viewsHit = 0;
  readonly #network: GossipNetwork;
  readonly #isHealthy: (peer: SimulatedPeer) => boolean;

  /** `isHealthy` says of a running process whether anything is wrong with it. */
  constructor(network: GossipNetwork, isHealthy: (peer: SimulatedPeer) => boolean = () => true) {
    this.#network = network;
    this.#isHealthy = isHealthy;
    network.watch({
      onEvent: (peer, event) => {
        this.#hear(peer, event);
      },
    });
  }

  #hear(by: SimulatedPeer, event: SwimEvent): void {
    if (event.kind !== 'fail' && event.kind !== 'suspect') return;
    const { name, incarnation } = event.member;
    const accused = this.#network.peers.get(name);
    if (accused?.isRunning !== true || !this.#isHealthy(accused)) return;
    const life = `${name}/${incarnation}`;
    if (event.kind === 'suspect') {
      this.falseSuspicions.add(life);
      return;
    }
    this.falseDeaths.add(life);
    if (this.#isHealthy(by)) this.viewsHit++;
  }
}
