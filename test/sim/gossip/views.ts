import type { MemberState } from '../../../src/gossip/index.ts';

const codes: Readonly<Record<MemberState, number>> = { alive: 1, suspect: 2, dead: 3, left: 4 };
const stateCount = 5;

/** What one process holds of the others, by number of their name. */
export interface View {
  readonly states: Uint8Array;
}

/**
 * Who holds whom for what, kept from what the machines report, so that asking costs nothing for each
 * pair: a thousand peers have a million opinions.
 */
export class Views {
  readonly #capacity: number;
  readonly #numbers = new Map<string, number>();
  readonly #counts: Int32Array;
  #observers = 0;
  #version = 0;

  /** `capacity`: different names at most. */
  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#counts = new Int32Array(capacity * stateCount);
  }

  /** Grows whenever anything changed. */
  get version(): number {
    return this.#version;
  }

  /** Processes whose view counts. */
  get observers(): number {
    return this.#observers;
  }

  /** A process starts: it holds itself for alive and knows nobody. */
  open(name: string): View {
    const view: View = { states: new Uint8Array(this.#capacity) };
    this.#observers++;
    this.note(view, name, 'alive');
    return view;
  }

  /** A process ended: what it held counts no more. */
  close(view: View): void {
    this.#observers--;
    this.#version++;
    const { states } = view;
    for (let number = 0; number < states.length; number++) {
      if (states[number] !== 0) this.#counts[number * stateCount + states[number]!]!--;
    }
    states.fill(0);
  }

  note(view: View, name: string, state: MemberState): void {
    const number = this.#numberOf(name);
    const code = codes[state];
    const before = view.states[number]!;
    this.#version++;
    if (before === code) return;
    if (before !== 0) this.#counts[number * stateCount + before]!--;
    this.#counts[number * stateCount + code]!++;
    view.states[number] = code;
  }

  /** How many processes hold this member for that, itself included. */
  count(name: string, state: MemberState): number {
    const number = this.#numbers.get(name);
    return number === undefined ? 0 : this.#counts[number * stateCount + codes[state]]!;
  }

  /** True when every process holds it for that. */
  allSee(name: string, state: MemberState): boolean {
    return this.count(name, state) === this.#observers;
  }

  holds(view: View, name: string, state: MemberState): boolean {
    const number = this.#numbers.get(name);
    return number !== undefined && view.states[number] === codes[state];
  }

  #numberOf(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const number = this.#numbers.size;
    if (number >= this.#capacity) throw new Error('more names than the views have room for');
    this.#numbers.set(name, number);
    return number;
  }
}
