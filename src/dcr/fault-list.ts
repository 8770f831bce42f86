import { dcrLimits } from '../config/defaults.ts';
import type { RuleError } from './rule-error.ts';

/** Gathers the faults of one file and turns offsets into lines and columns. */
export class FaultList {
  readonly #file: string;
  readonly #lineStarts: number[] = [0];
  readonly #errors: RuleError[] = [];
  #more = 0;

  /** @param text the file with line ends normalised to LF */
  constructor(file: string, text: string) {
    this.#file = file;
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) {
      this.#lineStarts.push(at + 1);
    }
  }

  /** Notes a fault at a character offset of the text. */
  add(offset: number, element: string, text: string): void {
    if (this.#errors.length >= dcrLimits.errorsMax) {
      this.#more += 1;
      return;
    }
    const line = this.line(offset);
    const column = offset - this.#lineStarts[line - 1]! + 1;
    this.#errors.push({ file: this.#file, line, column, element, text });
  }

  /** 1-based line of a character offset. */
  line(offset: number): number {
    let low = 0;
    let high = this.#lineStarts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#lineStarts[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  }

  get isEmpty(): boolean {
    return this.#errors.length === 0;
  }

  /** The faults in the order of the file. */
  errors(): readonly RuleError[] {
    const sorted = [...this.#errors].sort((a, b) => a.line - b.line || a.column - b.column);
    if (this.#more > 0) {
      const last = sorted[sorted.length - 1]!;
      sorted.push({ ...last, element: '', text: `${this.#more} further errors are not shown` });
    }
    return sorted;
  }
}
