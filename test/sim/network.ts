import type { Clock } from './clock.ts';
import type { Trace } from './trace.ts';

/** What the datagrams of the outside suffer. */
export interface Weather {
  /** Share of the datagrams that are lost. */
  readonly loss: number;
  /** Share of the datagrams that come twice. */
  readonly duplicates: number;
  /** Each copy takes a time between these two: a wide span changes the order. */
  readonly latencyMsMin: number;
  readonly latencyMsMax: number;
}

export const fairWeather: Weather = { loss: 0, duplicates: 0, latencyMsMin: 1, latencyMsMax: 2 };

/** Who listens at an address: a user agent or a peer. */
export interface Host {
  /** As traces call it. */
  readonly name: string;
  isListening(): boolean;
  receive(bytes: Buffer, from: string): void;
}

export interface NetworkOptions {
  readonly clock: Clock;
  readonly trace: Trace;
  readonly random: () => number;
  readonly weather: Weather;
}

/** The UDP network between user agents, sprayer and peers: it may lose, double and reorder. */
export class Network {
  weather: Weather;
  readonly #options: NetworkOptions;
  readonly #hosts = new Map<string, (from: string) => Host | undefined>();

  constructor(options: NetworkOptions) {
    this.#options = options;
    this.weather = options.weather;
  }

  /** @param address `ip:port` */
  attach(address: string, host: Host): void {
    this.#hosts.set(address, () => host);
  }

  /** An address behind which a distributor chooses for each datagram. */
  attachDistributor(address: string, choose: (from: string) => Host | undefined): void {
    this.#hosts.set(address, choose);
  }

  /**
   * @param from `ip:port` that the receiver sees
   * @param sender as traces call it
   */
  send(from: string, to: string, bytes: Buffer, sender: string): void {
    const { random } = this.#options;
    const copies = random() < this.weather.duplicates ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) this.#carry(from, to, bytes, sender);
  }

  #carry(from: string, to: string, bytes: Buffer, sender: string): void {
    const { clock, trace, random } = this.#options;
    const { loss, latencyMsMin, latencyMsMax } = this.weather;
    const host = this.#hosts.get(to)?.(from);
    const hop = trace.sip('outside', sender, host?.name ?? to, bytes);
    const isLost = random() < loss;
    const latencyMs = latencyMsMin + random() * (latencyMsMax - latencyMsMin);
    if (isLost || host === undefined) {
      hop.fate = 'lost';
      return;
    }
    clock.after(latencyMs, () => {
      if (host.isListening()) host.receive(Buffer.from(bytes), from);
      else hop.fate = 'lost';
    });
  }
}
