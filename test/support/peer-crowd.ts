import { setTimeout as pause } from 'node:timers/promises';
import { Journal, WatchedPeer, sees, type Owner } from './fault-peers.ts';
import { freeSipPorts } from './free-port.ts';

const host = '127.0.0.1';
const anyPort = { address: host, port: 0 };
const seedsCount = 3;
/** Many processes that start at once on few processors only hold each other up. */
const startedAtOnce = 4;
const wholeMs = 60_000;
const askIntervalMs = 50;

/** How long others took to hear of something, in milliseconds, the last of them at the end. */
export type Delays = readonly number[];

/** Many idle peers on loopback, of profile `fast`, that come and go. */
export class PeerCrowd {
  readonly peers: readonly WatchedPeer[];
  readonly #journal: Journal;

  private constructor(peers: readonly WatchedPeer[], journal: Journal) {
    this.peers = peers;
    this.#journal = journal;
  }

  /** Starts them and waits until all see all. */
  static async start(owner: Owner, count: number): Promise<PeerCrowd> {
    const journal = new Journal();
    const ports = await freeSipPorts(count);
    const seeds = ports.slice(0, seedsCount).map((port) => `${host}:${port}`);
    const peers = ports.map(
      (port, at) =>
        new WatchedPeer(owner, {
          name: `peer-${at + 1}`,
          journal,
          config: {
            cluster: { name: `crowd-${process.pid}` },
            gossip: { listen: { address: host, port }, seeds, profile: 'fast' },
            link: { listen: anyPort },
            stamps: { keys: [{ id: 'test', secret: 'a secret of the tests alone' }] },
            sip: { internal: anyPort },
            http: { listeners: [anyPort] },
            admin: { listen: anyPort },
            application: { kind: 'embedded', module: 'demo' },
            drainTimeoutMs: 0,
          },
        }),
    );
    for (let at = 0; at < count; at += startedAtOnce)
      await Promise.all(peers.slice(at, at + startedAtOnce).map((peer) => peer.start()));
    const crowd = new PeerCrowd(peers, journal);
    await crowd.whole();
    return crowd;
  }

  /** Waits until all see all, and nobody else. */
  async whole(): Promise<void> {
    const names = this.peers.map(({ name }) => name);
    const endMs = Date.now() + wholeMs;
    // One after the other: so many answers at once would cost the peers more than their own work.
    for (const peer of this.peers) {
      while (!sees(await peer.status(), names)) {
        if (Date.now() > endMs) throw new Error(`${peer.name} does not see all the others`);
        await pause(askIntervalMs);
      }
    }
  }

  /** Kills these at once; gives for each how long the others took to declare it dead. */
  async crash(...victims: readonly WatchedPeer[]): Promise<Delays[]> {
    const sinceMs = Date.now();
    await Promise.all(victims.map((victim) => victim.kill()));
    return this.#heard('failed', victims, sinceMs);
  }

  /** Tells this one to stop; gives how long the others took to hear that it left. */
  async leave(leaver: WatchedPeer): Promise<Delays> {
    const sinceMs = Date.now();
    leaver.signal('SIGTERM');
    const [delays] = await this.#heard('left', [leaver], sinceMs);
    await leaver.ended();
    return delays!;
  }

  /** Who was declared dead by whom since then. */
  deaths(sinceMs: number): readonly string[] {
    return this.#journal.deaths(sinceMs);
  }

  async #heard(
    kind: 'failed' | 'left',
    members: readonly WatchedPeer[],
    sinceMs: number,
  ): Promise<Delays[]> {
    const observers = this.peers
      .filter((peer) => peer.isRunning && !members.includes(peer))
      .map(({ name }) => name);
    const times = (): (number[] | undefined)[] =>
      members.map(({ name }) => this.#journal.heard(kind, name, observers, sinceMs));
    await this.#journal.until(
      () => times().every((some) => some !== undefined),
      wholeMs,
      `${members.map(({ name }) => name).join()} ${kind}`,
    );
    return times().map((some) => some!.map((atMs) => atMs - sinceMs).sort((a, b) => a - b));
  }
}
