/** Something that may wait in an {@link UpstreamQueue}, in one at a time. */
export interface Waiting {
  waiting: WaitingPlace | undefined;
}

/** Where it waits. */
export interface WaitingPlace {
  leave(): void;
}

class Place<T extends Waiting> implements WaitingPlace {
  readonly item: T;
  readonly sinceMs: number;
  readonly #queue: UpstreamQueue<T>;
  before: Place<T> | undefined;
  behind: Place<T> | undefined;

  constructor(item: T, sinceMs: number, queue: UpstreamQueue<T>) {
    this.item = item;
    this.sinceMs = sinceMs;
    this.#queue = queue;
  }

  leave(): void {
    this.#queue.remove(this);
  }
}

/**
 * Requests that wait for a connection, first come, first served. One whose asker went away leaves at once,
 * from anywhere: in a full queue each of them would otherwise be looked for by each newcomer.
 */
export class UpstreamQueue<T extends Waiting> {
  readonly #lengthMax: number;
  #first: Place<T> | undefined;
  #last: Place<T> | undefined;
  #length = 0;

  /** @param lengthMax 0: nothing ever waits */
  constructor(lengthMax: number) {
    this.#lengthMax = lengthMax;
  }

  get length(): number {
    return this.#length;
  }

  /** @returns false: the queue is full */
  push(item: T, nowMs: number): boolean {
    if (this.#length >= this.#lengthMax) return false;
    const place = new Place(item, nowMs, this);
    place.before = this.#last;
    if (this.#last === undefined) this.#first = place;
    else this.#last.behind = place;
    this.#last = place;
    this.#length++;
    item.waiting = place;
    return true;
  }

  /** Takes out the one that has waited longest. */
  shift(): T | undefined {
    const first = this.#first;
    if (first === undefined) return undefined;
    this.remove(first);
    return first.item;
  }

  /** Takes out the one that has waited longest if it came before that time. */
  shiftOlder(thanMs: number): T | undefined {
    return this.#first === undefined || this.#first.sinceMs > thanMs ? undefined : this.shift();
  }

  /** Called by the place itself. */
  remove(place: Place<T>): void {
    if (place.item.waiting !== place) return;
    place.item.waiting = undefined;
    if (place.before === undefined) this.#first = place.behind;
    else place.before.behind = place.behind;
    if (place.behind === undefined) this.#last = place.before;
    else place.behind.before = place.before;
    this.#length--;
  }
}
