/** A map that forgets: entries end at their time, and the one set longest ago makes room. */
export class ExpiringMap<Value> {
  readonly #entries = new Map<string, { value: Value; expiresAt: number }>();
  readonly #sizeMax: number;
  readonly #onRemove: (value: Value) => void;

  /** `onRemove` hears of every entry that leaves, whatever the cause. */
  constructor(sizeMax: number, onRemove: (value: Value) => void = () => undefined) {
    this.#sizeMax = sizeMax;
    this.#onRemove = onRemove;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string, now: number): Value | undefined {
    const entry = this.#entries.get(key);
    return entry === undefined || entry.expiresAt <= now ? undefined : entry.value;
  }

  /** Sets the entry anew, which makes it the youngest. */
  set(key: string, value: Value, expiresAt: number): void {
    this.#entries.delete(key);
    if (this.#entries.size >= this.#sizeMax) {
      const [oldest] = this.#entries.keys();
      this.delete(oldest!);
    }
    this.#entries.set(key, { value, expiresAt });
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) {
      this.#entries.delete(key);
      this.#onRemove(entry.value);
    }
  }

  /** Removes what has ended. */
  sweep(now: number): void {
    for (const [key, entry] of this.#entries) {
      if (entry.expiresAt <= now) {
        this.delete(key);
      }
    }
  }
}
