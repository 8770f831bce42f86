import { ExpiringMap } from './expiring-map.ts';
import { demoLimits } from './limits.ts';

interface Visit {
  readonly conference: string;
  readonly visitor: string;
}

/** HTTP visitors of the conferences, by session. */
export class Visitors {
  readonly #byConference = new Map<string, Set<string>>();
  readonly #visits = new ExpiringMap<Visit>(demoLimits.visitorsMax, (visit) => {
    this.#leave(visit);
  });

  get size(): number {
    return this.#visits.size;
  }

  visit(conference: string, visitor: string, now: number): void {
    const visitors = this.#byConference.get(conference) ?? new Set();
    this.#byConference.set(conference, visitors.add(visitor));
    const expiresAt = now + demoLimits.visitorIdleMs;
    this.#visits.set(`${conference}\n${visitor}`, { conference, visitor }, expiresAt);
  }

  /** Number of visitors of a conference. */
  count(conference: string): number {
    return this.#byConference.get(conference)?.size ?? 0;
  }

  sweep(now: number): void {
    this.#visits.sweep(now);
  }

  #leave({ conference, visitor }: Visit): void {
    const visitors = this.#byConference.get(conference);
    visitors?.delete(visitor);
    if (visitors?.size === 0) {
      this.#byConference.delete(conference);
    }
  }
}
