import { gossipLimits } from '../config/defaults.ts';

interface Slot {
  readonly time: number;
  readonly ids: Set<number>;
}

/** Which queries or events came already: each comes from several members, and is passed on once. */
export class SerfMemory {
  readonly #slots: (Slot | undefined)[] = [];

  /**
   * Notes one, by its Lamport time and a number that tells it from others of that time. `now` is the
   * Lamport time here. `full` and `old` are not to be passed on: they cannot be told from repetitions.
   */
  note(time: number, id: number, now: number): 'new' | 'seen' | 'old' | 'full' {
    const { serfTimesMax, serfIdsPerTimeMax } = gossipLimits;
    if (time + serfTimesMax < now) return 'old';
    const slot = this.#slots[time % serfTimesMax];
    if (slot === undefined || slot.time < time) {
      this.#slots[time % serfTimesMax] = { time, ids: new Set([id]) };
      return 'new';
    }
    if (slot.time > time) return 'old';
    if (slot.ids.has(id)) return 'seen';
    if (slot.ids.size >= serfIdsPerTimeMax) return 'full';
    slot.ids.add(id);
    return 'new';
  }
}
