import { formatHostPort } from '../../config/address.ts';
import type { ListenAddress } from '../../config/config.ts';
import { sprayerLimits } from '../../config/defaults.ts';
import type { Counters } from '../../pipeline/counters.ts';
import { DatagramRelay } from './datagrams.ts';
import type { SprayerMode } from './datagrams.ts';
import { Rotation } from './rotation.ts';
import { StreamRelay } from './streams.ts';
import { Target } from './target.ts';

export type { SprayerMode } from './datagrams.ts';

export interface SprayerOptions {
  /** `per-packet`: each datagram goes to the next peer; `flow`: those of one client stay together. */
  readonly mode: SprayerMode;
  /** UDP and TCP. */
  readonly sip: ListenAddress;
  readonly http: ListenAddress;
  /** `ip:port` each; at least one peer. */
  readonly peers: readonly { readonly sip: string; readonly http: string }[];
  readonly counters: Counters;
}

/** `host:port` of each public socket. */
export interface SprayerAddresses {
  readonly sip: { readonly udp: string; readonly tcp: string };
  readonly http: string;
}

/**
 * The layer-4 distributor in front of a cluster on one machine. It knows nothing of SIP or HTTP:
 * datagrams and connections go to the living peers in turn.
 */
export class Sprayer {
  readonly #options: SprayerOptions;
  readonly #targets: readonly Target[];
  readonly #datagrams: DatagramRelay;
  readonly #sip: StreamRelay;
  readonly #http: StreamRelay;

  constructor(options: SprayerOptions) {
    const { counters, mode } = options;
    this.#options = options;
    this.#targets = options.peers.map((peer) => new Target(peer.sip, peer.http));
    const rotation = (): Rotation<Target> => new Rotation(this.#targets);
    this.#datagrams = new DatagramRelay(mode, this.#targets, rotation(), counters);
    this.#sip = new StreamRelay('sip', rotation(), counters);
    this.#http = new StreamRelay('http', rotation(), counters);
  }

  /** Binds all sockets, or none: rejects with the system's error when one cannot be bound. */
  async start(): Promise<SprayerAddresses> {
    const { sip, http } = this.#options;
    try {
      const sipPort = await this.#bindSip(sprayerLimits.portTriesMax);
      const httpPort = await this.#http.start(http.address, http.port);
      for (const target of this.#targets) target.start();
      const sipText = formatHostPort(sip.address, sipPort);
      return {
        sip: { udp: sipText, tcp: sipText },
        http: formatHostPort(http.address, httpPort),
      };
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** How many peers are known to live. */
  get livingPeers(): number {
    return this.#targets.filter((target) => target.isAlive).length;
  }

  async stop(): Promise<void> {
    for (const target of this.#targets) target.stop();
    this.#datagrams.stop();
    await Promise.all([this.#sip.stop(), this.#http.stop()]);
  }

  /** One port for UDP and TCP. A free one of TCP may be taken for UDP, so another is tried. */
  async #bindSip(triesLeft: number): Promise<number> {
    const { address, port } = this.#options.sip;
    const bound = await this.#sip.start(address, port);
    try {
      await this.#datagrams.start(address, bound);
      return bound;
    } catch (error) {
      if (port !== 0 || triesLeft <= 1) throw error;
      await this.#sip.stop();
      return this.#bindSip(triesLeft - 1);
    }
  }
}
