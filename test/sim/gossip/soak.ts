import type { Endpoint } from '../../../src/gossip/index.ts';
import { GossipNetwork } from './network.ts';
import { calm, cut, type Path } from './path.ts';
import type { SimulatedPeer } from './peer.ts';

/** One thing that goes wrong or is done, so long after the one before. `who` picks a peer by number. */
export type Trouble = { readonly afterMs: number; readonly who: number } & (
  | { readonly kind: 'crash'; readonly what: 'process' | 'host' }
  | { readonly kind: 'leave' }
  | { readonly kind: 'restart'; readonly moves: boolean; readonly wallClockOffMs: number }
  | { readonly kind: 'pause' | 'resume' | 'calm' }
  | { readonly kind: 'slow'; readonly receiveMs: number; readonly sendMs: number }
  | { readonly kind: 'jump'; readonly aheadMs: number }
  | { readonly kind: 'tags'; readonly bytes: number }
  | { readonly kind: 'cut'; readonly whom: number }
  | { readonly kind: 'split'; readonly groups: number }
  | { readonly kind: 'weather'; readonly loss: number; readonly duplicated: number }
);

const seedName = 'peers.test';

/** A small cluster to which things happen, and which then is left in peace. */
export class Soak {
  readonly network: GossipNetwork;
  readonly #names: readonly string[];
  readonly #label: string;
  readonly #keys: readonly Uint8Array[];
  #isCut: (from: SimulatedPeer, to: SimulatedPeer) => boolean = () => false;
  #weather: Path = calm;

  constructor(options: {
    readonly seed: number;
    readonly names: readonly string[];
    readonly label: string;
    readonly keys?: readonly Uint8Array[];
  }) {
    const { seed, names, label, keys } = options;
    this.network = new GossipNetwork({ seed, namesMax: names.length });
    this.#names = names;
    this.#label = label;
    this.#keys = keys ?? [];
    for (const name of names) this.#start(name);
    this.network.path = (from, to) => (this.#isCut(from, to) ? cut : this.#weather);
    this.network.run(3_000);
  }

  /** Everything in order, then a calm of `calmMs` with all that is broken repaired. */
  run(troubles: readonly Trouble[], calmMs: number): void {
    for (const trouble of troubles) {
      this.network.run(trouble.afterMs);
      this.#happen(trouble);
    }
    this.#isCut = () => false;
    this.#weather = calm;
    for (const peer of this.network.running()) {
      peer.resume();
      peer.receiveDelayMs = 0;
      peer.sendDelayMs = 0;
    }
    this.network.run(calmMs);
  }

  #happen(trouble: Trouble): void {
    const { network } = this;
    const peer = network.peers.get(this.#nameOf(trouble.who))!;
    switch (trouble.kind) {
      case 'crash':
        network.crash(peer, trouble.what);
        return;
      case 'leave':
        network.input(peer, { kind: 'leave' });
        network.clock.after(1_000, () => {
          network.crash(peer);
        });
        return;
      case 'restart':
        network.crash(peer);
        this.#start(peer.name, trouble.moves ? undefined : peer.endpoint, trouble.wallClockOffMs);
        return;
      case 'slow':
        peer.receiveDelayMs = trouble.receiveMs;
        peer.sendDelayMs = trouble.sendMs;
        return;
      case 'jump':
        peer.jumpAhead(trouble.aheadMs);
        return;
      case 'tags':
        network.input(peer, { kind: 'setTags', tags: { padding: 'x'.repeat(trouble.bytes) } });
        return;
      default:
        this.#befall(peer, trouble);
    }
  }

  #befall(peer: SimulatedPeer, trouble: Trouble): void {
    switch (trouble.kind) {
      case 'pause':
        peer.pause();
        return;
      case 'resume':
        peer.resume();
        return;
      case 'cut': {
        const whom = this.#nameOf(trouble.whom);
        this.#isCut = (from, to) => from.name === peer.name && to.name === whom;
        return;
      }
      case 'split': {
        const groupOf = (one: SimulatedPeer): number =>
          this.#names.indexOf(one.name) % trouble.groups;
        this.#isCut = (from, to) => groupOf(from) !== groupOf(to);
        return;
      }
      case 'weather':
        this.#weather = { ...calm, loss: trouble.loss, duplicated: trouble.duplicated };
        return;
      default:
        this.#isCut = () => false;
        this.#weather = calm;
    }
  }

  #start(name: string, endpoint?: Endpoint, wallClockOffMs = 0): void {
    const { network } = this;
    const peer = network.create(name, {
      label: this.#label,
      keys: this.#keys,
      seeds: [{ host: seedName, port: 7_946 }],
      wallClockOffMs,
      ...(endpoint === undefined ? {} : { endpoint }),
    });
    network.names.set(
      seedName,
      network.running().map((one) => one.endpoint.address),
    );
    network.input(peer, { kind: 'start' });
  }

  #nameOf(number: number): string {
    return this.#names[number % this.#names.length]!;
  }
}
