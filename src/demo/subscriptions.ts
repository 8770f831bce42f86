import type { EmbeddedSipRequest, EmbeddedSipResponse } from '../io/application/module.ts';
import { contactOf } from './calls.ts';
import { ExpiringMap } from './expiring-map.ts';
import { demoLimits } from './limits.ts';
import { secondsOf } from './registrar.ts';
import type { DemoWorld } from './world.ts';

/** The one event package that may be subscribed (RFC 4575). */
export const eventPackage = 'conference';

/**
 * Accepts subscriptions and keeps their dialogs. An embedded application can only answer, so no
 * NOTIFY follows: a subscriber sees the subscription granted and nothing more.
 */
export class Subscriptions {
  readonly #world: DemoWorld;
  readonly #dialogs = new ExpiringMap<true>(demoLimits.subscriptionsMax);

  constructor(world: DemoWorld) {
    this.#world = world;
  }

  get size(): number {
    return this.#dialogs.size;
  }

  subscribe(request: EmbeddedSipRequest): EmbeddedSipResponse {
    const now = this.#world.now();
    const event = (request.header('Event') ?? '').split(';')[0]!.trim();
    if (event !== eventPackage) {
      return { status: 489, headers: [['Allow-Events', eventPackage]] };
    }
    const toTag = request.toTag ?? this.#world.newId();
    const key = [request.callId, request.fromTag, toTag].join('\n');
    if (request.toTag !== undefined && this.#dialogs.get(key, now) === undefined) {
      return { status: 481 };
    }
    const seconds = secondsOf(request.header('Expires'), demoLimits.expiresSecondsMax);
    if (seconds === 0) {
      this.#dialogs.delete(key);
    } else {
      this.#dialogs.set(key, true, now + seconds * 1_000);
    }
    return { status: 200, toTag, headers: [contactOf(request), ['Expires', String(seconds)]] };
  }

  sweep(now: number): void {
    this.#dialogs.sweep(now);
  }
}
