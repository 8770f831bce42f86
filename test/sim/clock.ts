/** Something that was asked for and has not happened yet. */
export interface Appointment {
  cancel(): void;
}

interface Entry extends Appointment {
  readonly atMs: number;
  readonly order: number;
  action: (() => void) | undefined;
}

/** Virtual time: what is due happens in the order of time, and of asking where times are equal. */
export class Clock {
  /** A binary heap, the next one first. */
  readonly #heap: Entry[] = [];
  #nowMs = 0;
  #asked = 0;
  #waiting = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Appointments that were neither kept nor cancelled. */
  get waiting(): number {
    return this.#waiting;
  }

  after(delayMs: number, action: () => void): Appointment {
    return this.at(this.#nowMs + delayMs, action);
  }

  /** A time that has passed means as soon as possible, never at once. */
  at(timeMs: number, action: () => void): Appointment {
    const entry: Entry = {
      atMs: Math.max(timeMs, this.#nowMs),
      order: this.#asked++,
      action,
      cancel: () => {
        if (entry.action !== undefined) this.#waiting--;
        entry.action = undefined;
      },
    };
    this.#waiting++;
    this.#push(entry);
    return entry;
  }

  /** Lets everything happen that is due within the time, and sets the clock to its end. */
  run(durationMs: number): void {
    const endMs = this.#nowMs + durationMs;
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= endMs; next = this.#heap[0]) {
      this.#step();
    }
    this.#nowMs = endMs;
  }

  /**
   * Runs until the fact is true.
   *
   * @returns whether it came true within the time
   */
  runUntil(fact: () => boolean, atMostMs: number): boolean {
    const endMs = this.#nowMs + atMostMs;
    while (!fact()) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > endMs) {
        this.#nowMs = endMs;
        return fact();
      }
      this.#step();
    }
    return true;
  }

  #step(): void {
    const entry = this.#pop();
    this.#nowMs = entry.atMs;
    const { action } = entry;
    if (action === undefined) return;
    entry.action = undefined;
    this.#waiting--;
    action();
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

  #pop(): Entry {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
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
    return first;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
