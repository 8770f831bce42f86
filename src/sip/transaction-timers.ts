/** What waits in a `TransactionTimers` queue. The queue alone writes `queueIndex`. */
export interface Timed {
  /** When it wants to be looked at, milliseconds; `Infinity` for never. */
  dueAt: number;
  /** Place in the queue; -1 while it is not queued. */
  queueIndex: number;
}

/**
 * One timer queue for all transactions: a binary heap that holds each item once, so it is bounded by
 * the number of transactions and never holds a stale timer.
 */
export class TransactionTimers<Item extends Timed> {
  readonly #heap: Item[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** When the next item is due; `Infinity` when nothing waits. */
  get nextDueAt(): number {
    return this.#heap[0]?.dueAt ?? Infinity;
  }

  /** Puts the item in its place after `dueAt` changed; an item that is never due leaves the queue. */
  schedule(item: Item, dueAt: number): void {
    if (dueAt === Infinity) {
      this.remove(item);
      return;
    }
    item.dueAt = dueAt;
    if (item.queueIndex === -1) {
      item.queueIndex = this.#heap.length;
      this.#heap.push(item);
    }
    this.#settle(item);
  }

  remove(item: Item): void {
    const index = item.queueIndex;
    if (index === -1) {
      return;
    }
    item.queueIndex = -1;
    item.dueAt = Infinity;
    const last = this.#heap.pop()!;
    if (last !== item) {
      this.#place(last, index);
      this.#settle(last);
    }
  }

  /** Takes out the first item that is due at `now`; undefined when none is. */
  takeDue(now: number): Item | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.dueAt > now) {
      return undefined;
    }
    this.remove(first);
    return first;
  }

  #place(item: Item, index: number): void {
    this.#heap[index] = item;
    item.queueIndex = index;
  }

  /** Moves the item up or down until its parent is not later and its children are not earlier. */
  #settle(item: Item): void {
    this.#rise(item);
    this.#sink(item);
  }

  #rise(item: Item): void {
    while (item.queueIndex > 0) {
      const index = item.queueIndex;
      const parent = this.#heap[(index - 1) >> 1]!;
      if (parent.dueAt <= item.dueAt) {
        return;
      }
      this.#place(parent, index);
      this.#place(item, (index - 1) >> 1);
    }
  }

  #sink(item: Item): void {
    for (;;) {
      const index = item.queueIndex;
      const left = this.#heap[2 * index + 1];
      const right = this.#heap[2 * index + 2];
      const child = right !== undefined && right.dueAt < left!.dueAt ? right : left;
      if (child === undefined || child.dueAt >= item.dueAt) {
        return;
      }
      const below = child.queueIndex;
      this.#place(child, index);
      this.#place(item, below);
    }
  }
}
