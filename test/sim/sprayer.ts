/** How the layer-4 distributor chooses: anew for each datagram, or once for each source address. */
export type SprayerMode = 'per-packet' | 'flow-sticky';

/** The distributor in front of the peers; it knows nothing of SIP. */
export class Sprayer<Target> {
  readonly #mode: SprayerMode;
  readonly #random: () => number;
  readonly #stuck = new Map<string, Target>();
  #targets: readonly Target[] = [];
  #turn: number;

  constructor(mode: SprayerMode, random: () => number) {
    this.#mode = mode;
    this.#random = random;
    this.#turn = Math.floor(random() * 1_000);
  }

  get targets(): readonly Target[] {
    return this.#targets;
  }

  set targets(targets: readonly Target[]) {
    this.#targets = targets;
    for (const [source, target] of this.#stuck) {
      if (!targets.includes(target)) this.#stuck.delete(source);
    }
  }

  /** In turn per packet, so that two packets of one call never meet the same peer by luck. */
  choose(source: string): Target | undefined {
    if (this.#targets.length === 0) return undefined;
    if (this.#mode === 'per-packet') return this.#targets[this.#turn++ % this.#targets.length];
    const known = this.#stuck.get(source);
    if (known !== undefined) return known;
    const chosen = this.#targets[Math.floor(this.#random() * this.#targets.length)]!;
    this.#stuck.set(source, chosen);
    return chosen;
  }
}
