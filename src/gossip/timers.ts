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
  readonly #heap: Entry[] = [];
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
    this.#push(entry);
    return entry;
  }

  /** When the next timer is due, or undefined when there is none. */
  get nextAt(): number | undefined {
    this.#dropCancelled();
    return this.#heap[0]?.at;
  }

  /** Runs what is due, in order. What it schedules for a time up to `now` runs too. */
  runDue(now: number): void {
    for (let at = this.nextAt; at !== undefined && at <= now; at = this.nextAt) {
      const entry = this.#pop()!;
      const run = entry.run;
      entry.run = undefined;
      run?.();
    }
  }

  #dropCancelled(): void {
    while (this.#heap.length > 0 && this.#heap[0]!.run === undefined) {
      this.#pop();
      this.#cancelled--;
    }
  }

  /** Cancelled entries stay in the heap until they come up; more dead than alive ones are swept. */
  #compact(): void {
    if (this.#cancelled < 64 || this.#cancelled * 2 < this.#heap.length) return;
    const living = this.#heap.filter((entry) => entry.run !== undefined);
    this.#heap.length = 0;
    this.#cancelled = 0;
    for (const entry of living) this.#push(entry);
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(entry, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): Entry | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
