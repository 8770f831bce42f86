import { keyLimits } from '../config/defaults.ts';

/**
 * A bounded memory of recent things without a timer or an order: two maps, of which the older one
 * is dropped when the newer one is full. What is used again moves to the newer one.
 */
export class Generations<Value> {
  readonly #entriesMax: number;
  #recent = new Map<string, Value>();
  #older = new Map<string, Value>();

  /** @param entriesMax entries of each of the two generations */
  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  get(key: string): Value | undefined {
    const recent = this.#recent.get(key);
    if (recent !== undefined) return recent;
    const older = this.#older.get(key);
    if (older !== undefined) this.set(key, older);
    return older;
  }

  /** A key that is too long is not remembered: clients choose keys, and their number is all that is bounded. */
  set(key: string, value: Value): void {
    if (key.length > keyLimits.rememberedKeyLengthMax) return;
    if (this.#recent.size >= this.#entriesMax) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(own(key), value);
  }
}

/**
 * The same text in memory of its own: a slice of a message's header would hold the whole header as
 * long as it is remembered.
 */
export function own(text: string): string {
  return ` ${text}`.slice(1);
}
