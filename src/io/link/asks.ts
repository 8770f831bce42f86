import { performance } from 'node:perf_hooks';
import type { Counters } from '../../pipeline/counters.ts';
import type { Question } from '../../pipeline/ports.ts';
import type { Assignment } from '../../sip/index.ts';
import type { LinkLimits, LinkLog } from './options.ts';
import type { Outbox } from './outbox.ts';

/** A lane, as far as a question needs it; who asks and who answers is told apart by its identity. */
export interface AskedLane {
  readonly outbox: Outbox;
}

type Answered = (assignment: Assignment | undefined) => void;

/** How an ask ended: a literal, because it is a reason of `link_asks`. */
type Outcome = 'known' | 'unknown' | 'timeout' | 'limit';

interface PendingAsk {
  readonly firstId: number;
  readonly lastId: number;
  readonly deadlineMs: number;
  readonly answered: Answered;
  /** Questions that may still be answered. */
  waiting: number;
}

interface PendingQuestion {
  readonly lane: AskedLane;
  readonly ask: PendingAsk;
}

/**
 * Asks of this peer that wait for directories of others. Each question has a number of its own, so
 * the order of the map is the order of the deadlines and one timer serves all.
 */
export class Asks {
  readonly #limits: LinkLimits;
  readonly #counters: Counters;
  readonly #log: LinkLog;
  readonly #questions = new Map<number, PendingQuestion>();
  #asksWaiting = 0;
  #lastId = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(limits: LinkLimits, counters: Counters, log: LinkLog) {
    this.#limits = limits;
    this.#counters = counters;
    this.#log = log;
  }

  /** Asks that wait now. */
  get size(): number {
    return this.#asksWaiting;
  }

  /** True while the timer runs: from the first ask until none waits any more when it is due. */
  get isSweeping(): boolean {
    return this.#timer !== undefined;
  }

  /** `answered` is called exactly once and never before this returns. */
  ask(
    questions: readonly Question[],
    laneOf: (peer: string) => AskedLane | undefined,
    answered: Answered,
  ): void {
    const { asksMax, askTimeoutMs, questionsPerAskMax } = this.#limits;
    if (this.#asksWaiting >= asksMax) {
      this.#tellLater(answered, 'limit');
      return;
    }
    const asked = questions.slice(0, questionsPerAskMax);
    this.#counters.count('link_ask_drops', 'limit', questions.length - asked.length);
    const firstId = this.#lastId + 1;
    this.#lastId += asked.length;
    const ask: PendingAsk = {
      firstId,
      lastId: this.#lastId,
      deadlineMs: performance.now() + askTimeoutMs,
      answered,
      waiting: 0,
    };
    asked.forEach(({ peer, transaction, claim }, index) => {
      const lane = laneOf(peer);
      if (lane === undefined) this.#counters.count('link_ask_drops', 'not_up');
      else if (lane.outbox.ask(firstId + index, transaction, claim)) {
        this.#questions.set(firstId + index, { lane, ask });
        ask.waiting += 1;
      }
    });
    if (ask.waiting === 0) {
      this.#tellLater(answered, 'unknown');
      return;
    }
    this.#asksWaiting += 1;
    this.#timer ??= setTimeout(this.#sweep, askTimeoutMs).unref();
  }

  /** An answer came. False: nobody asked that on this lane, the peer broke the rules. */
  answer(lane: AskedLane, id: number, assignment: Assignment | undefined): boolean {
    const question = this.#questions.get(id);
    if (question === undefined) {
      if (id > this.#lastId) return false;
      this.#counters.count('link_ask_drops', 'late');
      return true;
    }
    if (question.lane !== lane) return false;
    this.#settle(id, question.ask, assignment);
    return true;
  }

  /** What was asked on the lane stays without an answer. */
  laneGone(lane: AskedLane): void {
    for (const [id, question] of this.#questions) {
      if (question.lane !== lane) continue;
      this.#counters.count('link_ask_drops', 'broken');
      this.#settle(id, question.ask, undefined);
    }
  }

  #settle(id: number, ask: PendingAsk, assignment: Assignment | undefined): void {
    this.#questions.delete(id);
    ask.waiting -= 1;
    if (assignment !== undefined) this.#end(ask, 'known', assignment);
    else if (ask.waiting === 0) this.#end(ask, 'unknown', undefined);
  }

  #end(ask: PendingAsk, outcome: Outcome, assignment: Assignment | undefined): void {
    for (let id = ask.firstId; id <= ask.lastId; id++) this.#questions.delete(id);
    this.#asksWaiting -= 1;
    this.#tell(ask.answered, outcome, assignment);
  }

  #tellLater(answered: Answered, outcome: Outcome): void {
    queueMicrotask(() => {
      this.#tell(answered, outcome, undefined);
    });
  }

  #tell(answered: Answered, outcome: Outcome, assignment: Assignment | undefined): void {
    this.#counters.count('link_asks', outcome);
    try {
      answered(assignment);
    } catch (error) {
      this.#counters.count('link_sip_drops', 'handler_failed');
      this.#log.error({ err: error }, 'what waited for a directory failed');
    }
  }

  readonly #sweep = (): void => {
    const nowMs = performance.now();
    for (const { ask } of this.#questions.values()) {
      // A timer may be early by a fraction of a millisecond.
      if (ask.deadlineMs - nowMs > 1) break;
      this.#end(ask, 'timeout', undefined);
    }
    const [oldest] = this.#questions.values();
    this.#timer =
      oldest === undefined
        ? undefined
        : setTimeout(this.#sweep, Math.max(oldest.ask.deadlineMs - nowMs, 1)).unref();
  };
}
