import type { GossipProfile } from '../../src/config/defaults.ts';
import { endpointText, type Endpoint, type Swim, type SwimEffect } from '../../src/gossip/index.ts';
import {
  GossipNetwork as Simulation,
  type PeerOptions as SimulatedPeerOptions,
} from '../sim/gossip/network.ts';
import { calm, cut, type Path } from '../sim/gossip/path.ts';
import type { SimulatedPeer } from '../sim/gossip/peer.ts';
import { seededRandom } from './seeded-random.ts';

export { seededRandom, type SimulatedPeer };

const namesMax = 256;

export interface PeerOptions extends SimulatedPeerOptions {
  readonly userState?: Uint8Array;
}

export interface NetworkOptions {
  readonly seed: number;
  readonly profile?: GossipProfile;
  /** Share of packets lost. */
  readonly loss?: number;
}

/** The simulation of `test/sim/gossip` for tests of single rules: small clusters, everything kept. */
export class GossipNetwork extends Simulation {
  /** Every packet that was sent, and the process at its end, or the address when there is none. */
  readonly packets: { readonly from: string; readonly to: string; readonly bytes: Uint8Array }[] =
    [];
  /** True: this packet is lost. */
  dropPacket: (from: string, to: string) => boolean = () => false;
  /** True: no stream between the two comes about. */
  blockStream: (from: string, to: string) => boolean = () => false;

  constructor({ loss = 0, ...options }: NetworkOptions) {
    super({ ...options, namesMax });
    const open: Path = { ...calm, loss };
    const noPackets: Path = { ...open, refuses: 'packets' };
    const noStreams: Path = { ...open, refuses: 'streams' };
    this.path = ({ name: from }, { name: to }) => {
      const dropsPackets = this.dropPacket(from, to);
      const blocksStreams = this.blockStream(from, to);
      if (dropsPackets && blocksStreams) return cut;
      if (dropsPackets) return noPackets;
      return blocksStreams ? noStreams : open;
    };
    this.watch({
      onSend: (from, to, bytes) => {
        this.packets.push({ from: from.name, to: this.#nameAt(to), bytes });
      },
    });
  }

  get now(): number {
    return this.nowMs;
  }

  override add(name: string, { userState, ...options }: PeerOptions = {}): SimulatedPeer {
    const peer = this.create(name, options);
    if (userState !== undefined) this.input(peer, { kind: 'setUserState', bytes: userState });
    this.input(peer, { kind: 'start' });
    return peer;
  }

  /** Starts `count` peers p1, p2, … that all know p1, and runs until all see all alive. */
  grow(count: number): readonly SimulatedPeer[] {
    const first = this.add('p1');
    const seeds = [{ host: first.endpoint.address, port: first.endpoint.port }];
    const peers = [first];
    for (let i = 2; i <= count; i++) peers.push(this.add(`p${i}`, { seeds }));
    this.runUntil(() => this.allSeeAlive(peers), 10_000);
    return peers;
  }

  allSeeAlive(peers: readonly SimulatedPeer[]): boolean {
    return peers.every((peer) => peers.every((other) => peer.state(other.name) === 'alive'));
  }

  /** Stops the process: what comes waits. */
  pause(peer: SimulatedPeer): void {
    peer.pause();
  }

  resume(peer: SimulatedPeer): void {
    peer.resume();
  }

  /** Cuts both kinds of traffic between the groups. */
  override partition(...groups: readonly (readonly SimulatedPeer[])[]): void {
    const groupOf = new Map(groups.flatMap((group, i) => group.map((peer) => [peer.name, i])));
    const isCut = (from: string, to: string): boolean => groupOf.get(from) !== groupOf.get(to);
    this.dropPacket = isCut;
    this.blockStream = isCut;
  }

  override heal(): void {
    this.dropPacket = () => false;
    this.blockStream = () => false;
  }

  /** Runs until `done`, at most `ms`; returns the virtual time it took, Infinity when never. */
  override runUntil(done: () => boolean, ms: number): number {
    const start = this.now;
    return this.clock.runUntil(done, ms) ? this.now - start : Infinity;
  }

  #nameAt(endpoint: Endpoint): string {
    const there = this.running().find(
      (peer) => endpointText(peer.endpoint) === endpointText(endpoint),
    );
    return there?.name ?? endpointText(endpoint);
  }
}

/** Lets a machine's time pass from one moment to another, in steps at which no timer is late. */
export function pass(swim: Swim, from: number, to: number): readonly SwimEffect[] {
  const effects: SwimEffect[] = [];
  for (let now = from; now < to;) {
    now = Math.min(to, now + 10);
    effects.push(...swim.handle({ kind: 'timer' }, now));
  }
  return effects;
}
