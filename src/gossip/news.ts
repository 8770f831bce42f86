import { gossipLimits } from '../config/defaults.ts';

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
    this.#items.set(name, { name, bytes, isAlive, order: this.#order++, onSpread, sent: 0 });
  }

  /** Takes news whose bytes satisfy `fits`, and counts them as sent once; at `sendsMax` they are done. */
  take(fits: (bytes: Uint8Array) => boolean, sendsMax: number): readonly Uint8Array[] {
    if (this.#items.size === 0) return [];
    const taken: Uint8Array[] = [];
    for (const item of this.#inOrder()) {
      if (!fits(item.bytes)) continue;
      taken.push(item.bytes);
      item.sent++;
      if (item.sent < sendsMax) continue;
      this.#items.delete(item.name);
      item.onSpread?.();
    }
    return taken;
  }

  #inOrder(): readonly Item[] {
    const items = [...this.#items.values()];
    if (items.length === 1) return items;
    return items.sort(
      (one, other) =>
        one.sent - other.sent ||
        Number(other.isAlive) - Number(one.isAlive) ||
        other.order - one.order,
    );
  }

  /** Drops the piece that would be told last. */
  #dropOne(): void {
    const last = this.#inOrder().at(-1);
    if (last === undefined) return;
    this.#items.delete(last.name);
    this.#onDrop();
  }
}
