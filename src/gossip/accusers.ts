import { gossipLimits } from '../config/defaults.ts';

/** Names under which accusations are counted: a bounded number of accusers, all further ones together. */
export class Accusers {
  readonly #known = new Set<string>();

  /** The accuser itself while there is room, else `other`. */
  label(accuser: string): string {
    if (this.#known.has(accuser)) return accuser;
    if (this.#known.size >= gossipLimits.accusersMax) return 'other';
    this.#known.add(accuser);
    return accuser;
  }
}
