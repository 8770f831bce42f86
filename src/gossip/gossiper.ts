import type { SwimContext } from './context.ts';
import { isLive, type MemberRecord } from './member.ts';
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
    const { gossipToDeadMs, gossipFanout } = options.profile;
    this.#lastRoundAt = now;
    outbox.count('gossip_rounds', 'told');
    // The dead get news for a while: who hears of its own death and lives can say so.
    const fits = (record: MemberRecord): boolean =>
      isLive(record) || (record.state === 'dead' && now - record.stateSince <= gossipToDeadMs);
    for (const target of roster.nextToTell(gossipFanout, fits)) {
      if (!this.#post.sendNews(target)) return;
    }
  }
}
