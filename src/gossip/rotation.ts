import type { MemberRecord } from './member.ts';

/** Members in turn: each comes up once, in an order by chance, before any comes up again. */
export class Rotation {
  readonly #random: () => number;
  readonly #order: MemberRecord[] = [];
  #next = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Gives a new member a random place in the running round, so that not all turn to it at once. */
  add(record: MemberRecord): void {
    const at = Math.floor(this.#random() * (this.#order.length + 1));
    this.#order.splice(at, 0, record);
    if (at < this.#next) this.#next++;
  }

  remove(record: MemberRecord): void {
    const at = this.#order.indexOf(record);
    if (at === -1) return;
    this.#order.splice(at, 1);
    if (at < this.#next) this.#next--;
  }

  /** The next that fits; the order is shuffled when the round is over. Undefined: none fits. */
  next(fits: (record: MemberRecord) => boolean): MemberRecord | undefined {
    // Twice as many as there are: what was passed already in this round may be anywhere in the next.
    for (let left = 2 * this.#order.length; left > 0; left--) {
      if (this.#next >= this.#order.length) {
        shuffle(this.#order, this.#random);
        this.#next = 0;
      }
      const record = this.#order[this.#next++]!;
      if (fits(record)) return record;
    }
    return undefined;
  }
}

/** Puts items in an order by chance, in place. */
export function shuffle(items: unknown[], random: () => number): void {
  for (let i = items.length - 1; i > 0; i--) {
    const other = Math.floor(random() * (i + 1));
    [items[i], items[other]] = [items[other]!, items[i]!];
  }
}
