import type { SwimContext } from './context.ts';
import { isLive } from './member.ts';
import type { Post } from './post.ts';
import type { Timer } from './timers.ts';

/** Tells news to a few members each interval, and rests while there is none. */
export class Gossiper {
  readonly #context: SwimContext;
  readonly #post: Post;
  #timer: Timer | undefined;
  #lastRoundAt = -Infinity;

  constructor(context: SwimContext, post: Post) {
    this.#context = context;
    this.#post = post;
  }

  /** Called after every input: the first news after a rest is told at once. */
  wakeIfNeeded(): void {
    const { news, timers, options, now, roster } = this.#context;
    if (this.#timer !== undefined || news.size === 0 || roster.size === 1) return;
    const dueAt = Math.max(now, this.#lastRoundAt + options.profile.gossipIntervalMs);
    this.#timer = timers.schedule(dueAt, () => {
      this.#timer = undefined;
      this.#round();
    });
  }

  /** Everyone gets a turn before anyone gets a second: the few sends of a piece reach the most members. */
  #round(): void {
    const { options, now, roster, outbox } = this.#context;
    this.#lastRoundAt = now;
    outbox.count('gossip_rounds', 'told');
    this.#tellDead();
    for (const target of roster.nextToTell(options.profile.gossipFanout, isLive)) {
      if (!this.#post.sendNews(target)) return;
    }
  }

  /**
   * Now and then one that is held for dead hears of it: if it lives it can say so. News is not spent on it:
   * when many fail at once, the few sends of a piece have to reach those who live.
   */
  #tellDead(): void {
    const { options, now, roster } = this.#context;
    const [record] = roster.pick(1, () => true);
    if (record?.state !== 'dead') return;
    if (now - record.stateSince > options.profile.gossipToDeadMs) return;
    const { name: node, incarnation } = record;
    this.#post.sendPlain(record.endpoint, { kind: 'dead', incarnation, node, from: options.name });
  }
}
