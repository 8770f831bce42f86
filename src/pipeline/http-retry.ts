import { httpLimits } from '../config/defaults.ts';
import type { ResetCode } from '../http/index.ts';

/** What of a request decides whether it may be offered once more. */
export interface RetriedRequest {
  /** Case-sensitive. */
  readonly method: string;
  /** Everything that came of its body is still there. */
  readonly canReplay: boolean;
}

/** How an offer ended. */
export interface FailedOffer {
  readonly code: ResetCode;
  /** Something of the answer has arrived, 1xx included. */
  readonly hasAnswer: boolean;
}

/**
 * `free`: at once. `budgeted`: if {@link RetryBudget} allows it. `never`: the failure is the answer.
 */
export type Retry = 'free' | 'budgeted' | 'never';

/** RFC 9110 section 9.2.2. */
const idempotentMethods: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'PUT',
  'DELETE',
]);

/**
 * Whether the next candidate may get a request that one has failed.
 *
 * - `refused`: nothing was processed, so always. It needs no budget: an instance that drains or has just
 *   died must not lose requests, an offer that is refused costs its application nothing, and there are no
 *   more offers than candidates.
 * - `broken` before a byte of the answer: perhaps it was processed, so only what may be done twice (RFC 9110
 *   section 9.2.2). Out of the budget: an application that breaks under load must not get a multiple of it.
 * - `timeout`: never. Whoever is slow is not helped by asking the next one as well, and the client's
 *   patience is used up. `limit` and `cancelled`: never.
 */
export function mayRetry(request: RetriedRequest, offer: FailedOffer): Retry {
  if (offer.hasAnswer || !request.canReplay) return 'never';
  if (offer.code === 'refused') return 'free';
  return offer.code === 'broken' && idempotentMethods.has(request.method) ? 'budgeted' : 'never';
}

const buckets = httpLimits.retryWindowSeconds;

/**
 * Bounds how many requests are offered again after they may have been processed: a share of the requests of
 * the last `httpLimits.retryWindowSeconds`, and beside that some in each second, so that a peer with little
 * traffic retries at all. No timer: the window moves when it is used.
 */
export class RetryBudget {
  readonly #percent: number;
  readonly #freePerSecond: number;
  readonly #requests = new Float64Array(buckets);
  readonly #retries = new Float64Array(buckets);
  #requestsInWindow = 0;
  #retriesInWindow = 0;
  #freeTaken = 0;
  #second = 0;

  /** @param percent 0 to 100, of all requests */
  constructor(percent: number, freePerSecond: number = httpLimits.freeRetriesPerSecond) {
    this.#percent = percent;
    this.#freePerSecond = freePerSecond;
  }

  /** A request came from a client. @param nowMs of a clock that never goes back, from 0 on; a coarse one will do */
  countRequest(nowMs: number): void {
    const bucket = this.#moveTo(nowMs);
    this.#requests[bucket]!++;
    this.#requestsInWindow++;
  }

  /** Takes one retry; false: none is left, the failure is the answer. */
  take(nowMs: number): boolean {
    const bucket = this.#moveTo(nowMs);
    if (this.#freeTaken < this.#freePerSecond) {
      this.#freeTaken++;
      return true;
    }
    if ((this.#retriesInWindow + 1) * 100 > this.#requestsInWindow * this.#percent) return false;
    this.#retries[bucket]!++;
    this.#retriesInWindow++;
    return true;
  }

  /** Empties the buckets of the seconds that have passed. @returns the bucket of this second */
  #moveTo(nowMs: number): number {
    const second = Math.floor(nowMs / 1_000);
    if (second > this.#second) {
      const passed = Math.min(second - this.#second, buckets);
      for (let back = 0; back < passed; back++) this.#empty((second - back) % buckets);
      this.#second = second;
      this.#freeTaken = 0;
    }
    return this.#second % buckets;
  }

  #empty(bucket: number): void {
    this.#requestsInWindow -= this.#requests[bucket]!;
    this.#retriesInWindow -= this.#retries[bucket]!;
    this.#requests[bucket] = 0;
    this.#retries[bucket] = 0;
  }
}
