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
  #turns: MemberRecord[] = [];

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

  #round(): void {
    const { options, now } = this.#context;
    this.#lastRoundAt = now;
    for (const target of this.#nextTargets(options.profile.gossipFanout)) {
      if (!this.#post.sendNews(target)) return;
    }
  }

  /** Everyone gets a turn before anyone gets a second: the few sends of a piece reach the most members. */
  #nextTargets(count: number): readonly MemberRecord[] {
    const { roster, options, now } = this.#context;
    const { gossipToDeadMs } = options.profile;
    const fits = (record: MemberRecord): boolean =>
      roster.get(record.name) === record &&
      (isLive(record) || (record.state === 'dead' && now - record.stateSince <= gossipToDeadMs));
    this.#turns = this.#turns.filter(fits);
    if (this.#turns.length < count) {
      const waiting = new Set(this.#turns);
      this.#turns.push(
        ...roster.pick(roster.size, (record) => fits(record) && !waiting.has(record)),
      );
    }
    return this.#turns.splice(0, count);
  }
}
