import type { ResetCode } from '../http/index.ts';
import type { HttpRoute } from './http-journey.ts';

/**
 * The offers of one request to its candidates, each of them asked once, and what became of them. Whoever
 * could not be reached got no offer: that leaves one more for the candidate behind the others, the own
 * instance.
 */
export class HttpOffers {
  readonly route: HttpRoute;
  readonly #offersMax: number;
  #asked = 0;
  #made = 0;
  #isUntouched = true;
  #latestFailure: ResetCode | undefined;

  /** @param offersMax at least 1; instances that may get the request, the first included */
  constructor(route: HttpRoute, offersMax: number) {
    this.route = route;
    this.#offersMax = offersMax;
  }

  /** Who is asked now, or was last; empty before the first {@link next}. */
  get instance(): string {
    return this.route.candidates[this.#asked - 1] ?? '';
  }

  /** Somebody was asked before. */
  get isRepeated(): boolean {
    return this.#asked > 1;
  }

  /** Another may be asked. */
  get hasNext(): boolean {
    return this.#asked < this.route.candidates.length && this.#made < this.#offersMax;
  }

  /** All offers so far were refused, or could not be made: nothing of the request was processed. */
  get isUntouched(): boolean {
    return this.#isUntouched;
  }

  /** How the latest offer that has failed ended; undefined: none could be made. */
  get latestFailure(): ResetCode | undefined {
    return this.#latestFailure;
  }

  /** Goes on to the next one. @returns false: nobody is left */
  next(): boolean {
    if (!this.hasNext) return false;
    this.#asked++;
    this.#made++;
    return true;
  }

  /** {@link instance} could not be reached: nothing was sent. */
  unreached(): void {
    this.#made--;
  }

  /** The offer did not lead to an answer. */
  failed(code: ResetCode): void {
    this.#latestFailure = code;
    if (code !== 'refused') this.#isUntouched = false;
  }
}
