import { Heap } from './heap.ts';

/** A moment at which something is due; `cancel` makes it pass without effect. */
export interface Timer {
  readonly at: number;
  cancel(): void;
}

interface Entry extends Timer {
  readonly order: number;
  run: (() => void) | undefined;
}

/** All timers of one machine: a heap, so that its owner has one next wake-up to ask for. */
export class Timers {
  readonly #heap = new Heap<Entry>(isBefore);
  #order = 0;
  #cancelled = 0;

  /** Runs `run` once `runDue` is called with a time of at least `at`. */
  schedule(at: number, run: () => void): Timer {
    const entry: Entry = {
      at,
      order: this.#order++,
      run,
      cancel: () => {
        if (entry.run === undefined) return;
        entry.run = undefined;
        this.#cancelled++;
        this.#compact();
      },
    };
    this.#heap.add(entry);
    return entry;
  }

  /** When the next timer is due, or undefined when there is none. */
  get nextAt(): number | undefined {
    this.#dropCancelled();
    return this.#heap.first?.at;
  }

  /** Runs what is due, in order. What it schedules for a time up to `now` runs too. */
  runDue(now: number): void {
    for (let at = this.nextAt; at !== undefined && at <= now; at = this.nextAt) {
      const entry = this.#heap.take()!;
      const run = entry.run;
      entry.run = undefined;
      run?.();
    }
  }

  #dropCancelled(): void {
    for (let first = this.#heap.first; first !== undefined; first = this.#heap.first) {
      if (first.run !== undefined) return;
      this.#heap.take();
      this.#cancelled--;
    }
  }

  /** Cancelled entries stay in the heap until they come up; more dead than alive ones are swept. */
  #compact(): void {
    if (this.#cancelled < 64 || this.#cancelled * 2 < this.#heap.size) return;
    this.#heap.sweep((entry) => entry.run !== undefined);
    this.#cancelled = 0;
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
