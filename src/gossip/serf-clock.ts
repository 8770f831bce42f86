import { gossipLimits } from '../config/defaults.ts';

/** Lamport's clock: no later event has an earlier time than one that its member knew of. */
export class LamportClock {
  #time = 1;

  /** The time for the next thing that this member says. */
  get time(): number {
    return this.#time;
  }

  tick(): void {
    this.witness(this.#time);
  }

  /** Another member spoke at `time`. */
  witness(time: number): void {
    if (time >= this.#time) this.#time = Math.min(time + 1, gossipLimits.lamportTimeMax);
  }
}
