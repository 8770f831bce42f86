import { gossipLimits } from '../config/defaults.ts';
import { Heap } from './heap.ts';

interface Item {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly isAlive: boolean;
  readonly order: number;
  readonly onSpread: (() => void) | undefined;
  sent: number;
}

/** What a user message is queued under; no member can have such a name. */
export function userSubject(name: string): string {
  return `\0${name}`;
}

/**
 * News waiting to be told, at most one piece a member: what is newer about a member replaces what is
 * older. Told first: what was told least, then "alive" (it saves someone), then the newest.
 */
export class News {
  readonly #items = new Map<string, Item>();
  /** Replaced pieces stay in it until they come up. */
  readonly #queue = new Heap<Item>(isBefore);
  readonly #onDrop: () => void;
  #order = 0;

  /** `onDrop` hears of each piece that a full queue pushed out. */
  constructor(onDrop: () => void) {
    this.#onDrop = onDrop;
  }

  get size(): number {
    return this.#items.size;
  }

  /** Queues an encoded message about `name`. `onSpread` runs once it was sent often enough. */
  put(name: string, bytes: Uint8Array, isAlive: boolean, onSpread?: () => void): void {
    this.#items.delete(name);
    if (this.#items.size >= gossipLimits.newsMax) this.#dropOne();
    const item: Item = { name, bytes, isAlive, order: this.#order++, onSpread, sent: 0 };
    this.#items.set(name, item);
    this.#queue.add(item);
    if (this.#queue.size > 2 * gossipLimits.newsMax) this.#queue.sweep((one) => this.#waits(one));
  }

  /**
   * Takes news whose bytes satisfy `fits`, and counts them as sent once; at `sendsMax` they are done. Infinity:
   * this time does not count.
   */
  take(fits: (bytes: Uint8Array) => boolean, sendsMax: number): readonly Uint8Array[] {
    const taken: Item[] = [];
    const unfit: Item[] = [];
    // What is too large for the rest of a packet is passed over, but not for the whole queue each time.
    while (unfit.length < gossipLimits.newsPassedOver) {
      const item = this.#queue.take();
      if (item === undefined) break;
      if (!this.#waits(item)) continue;
      (fits(item.bytes) ? taken : unfit).push(item);
    }
    for (const item of unfit) this.#queue.add(item);
    for (const item of taken) this.#sent(item, sendsMax);
    return taken.map(({ bytes }) => bytes);
  }

  #sent(item: Item, sendsMax: number): void {
    if (sendsMax !== Infinity) item.sent++;
    if (item.sent < sendsMax) {
      this.#queue.add(item);
      return;
    }
    this.#items.delete(item.name);
    item.onSpread?.();
  }

  #waits(item: Item): boolean {
    return this.#items.get(item.name) === item;
  }

  /** Drops the piece that would be told last. */
  #dropOne(): void {
    let last: Item | undefined;
    for (const item of this.#items.values()) {
      if (last === undefined || isBefore(last, item)) last = item;
    }
    if (last === undefined) return;
    this.#items.delete(last.name);
    this.#onDrop();
  }
}

function isBefore(one: Item, other: Item): boolean {
  if (one.sent !== other.sent) return one.sent < other.sent;
  if (one.isAlive !== other.isAlive) return one.isAlive;
  return one.order > other.order;
}
