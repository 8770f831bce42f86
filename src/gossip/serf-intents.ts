import { gossipLimits } from '../config/defaults.ts';
import type { Intent } from './serf-message.ts';

/** The last word of each member on whether it is here or goes; the oldest are forgotten first. */
export class SerfIntents {
  readonly #last = new Map<string, Intent>();
  #version = 0;

  /** Grows with each word that was new. */
  get version(): number {
    return this.#version;
  }

  /** False when nothing new was said. */
  take(intent: Intent): boolean {
    const known = this.#last.get(intent.node);
    if (known !== undefined && intent.time <= known.time) return false;
    this.#last.delete(intent.node);
    if (this.#last.size >= gossipLimits.serfIntentsMax) this.#forgetOldest();
    this.#last.set(intent.node, intent);
    this.#version++;
    return true;
  }

  of(node: string): Intent | undefined {
    return this.#last.get(node);
  }

  #forgetOldest(): void {
    for (const node of this.#last.keys()) {
      this.#last.delete(node);
      return;
    }
  }
}
