/**
 * A hash over all that happened, in order. Two runs of one seed have the same; a run that differs from
 * its replay does not depend on its seed alone.
 */
export class Digest {
  #one = 0x811c_9dc5;
  #other = 0x9747_b28c;

  add(number: number): void {
    this.#one = Math.imul(this.#one ^ number, 0x0100_0193);
    this.#other = Math.imul(this.#other ^ (this.#one >>> 15) ^ number, 0x85eb_ca6b);
  }

  /** Virtual times are fractions of milliseconds: nanoseconds tell them apart. */
  addTime(timeMs: number): void {
    this.add((timeMs * 1e6) | 0);
    this.add(timeMs | 0);
  }

  addText(text: string): void {
    for (let i = 0; i < text.length; i++) this.add(text.charCodeAt(i));
  }

  get text(): string {
    const hex = (number: number): string => (number >>> 0).toString(16).padStart(8, '0');
    return hex(this.#one) + hex(this.#other);
  }
}
