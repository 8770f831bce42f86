import { lifeLimits } from './config/defaults.ts';
import type { Config } from './config/index.ts';
import type { Dialogs } from './pipeline/dialogs.ts';
import type { InstanceStatus } from './pipeline/view.ts';

/** What the operators of the cluster say of this instance. */
export interface Orders {
  readonly status: 'enabled' | 'draining' | 'disabled';
  /** From disabling to the end of its sessions; 64 times T1 by default. */
  readonly quiesceMs?: number;
}

/** What holds a drain up, and for how long yet. */
export interface DrainProgress {
  /** Calls of this instance. */
  readonly calls: number;
  /** Its HTTP exchanges and tunnels. */
  readonly exchanges: number;
  /** Since its last call or SIP request. */
  readonly quietMs: number;
  /** Until the drain ends in any case. */
  readonly leftMs: number;
}

interface Drain {
  readonly beganAtMs: number;
  readonly endsAtMs: number;
  /** When its progress was last written to the log. */
  toldAtMs: number;
  readonly over: PromiseWithResolvers<void>;
}

/** What the life of a peer depends on, and what it moves. */
export interface LifeParts {
  readonly config: Pick<Config, 'drainTimeoutMs' | 'drainQuietMs'>;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
  readonly dialogs: Dialogs;
  /** HTTP exchanges and tunnels of the application under way. */
  readonly exchanges: () => number;
  /** SIP requests that went to and came from the application so far, pings apart. */
  readonly served: () => number;
  /** Tells the others what becomes of this instance. */
  readonly announce: (status: InstanceStatus) => void;
  /** Milliseconds that never run backwards. */
  readonly now: () => number;
  /** Whether clients shall connect elsewhere from now on. */
  readonly turnAway: (isLeaving: boolean) => void;
}

/**
 * The life of a peer's instance: joining ▸ ready ⇄ draining ⇄ disabled ▸ gone. A draining instance gets
 * no new sessions and keeps its own, a disabled one has none; its peer relays for the others all the while.
 */
export class Life {
  readonly #parts: LifeParts;
  readonly #poll: NodeJS.Timeout;
  #status: InstanceStatus = 'joining';
  #isJoined = false;
  /** Asked for at this peer itself. */
  #isDrained = false;
  #isEnding = false;
  #orders: Orders = { status: 'enabled' };
  /** When a disabled instance lets go of its sessions. */
  #disabledAtMs = Infinity;
  /** When an instance that stops for good lets go of its sessions. */
  #retiredAtMs = Infinity;
  #servedBefore = 0;
  #sweptAtMs = -Infinity;
  #busyAtMs: number;
  #drain: Drain | undefined;

  constructor(parts: LifeParts) {
    this.#parts = parts;
    this.#busyAtMs = parts.now() - parts.config.drainQuietMs;
    this.#poll = setInterval(() => {
      this.#look(parts.now());
    }, lifeLimits.pollIntervalMs);
    this.#poll.unref();
  }

  get status(): InstanceStatus {
    return this.#status;
  }

  /** Whether it met its cluster, whatever operators say of it. */
  get hasJoined(): boolean {
    return this.#isJoined;
  }

  /** Until the drain ends in any case; 0 while nobody waits. */
  get leftMs(): number {
    return Math.max(0, Math.round((this.#drain?.endsAtMs ?? 0) - this.#parts.now()));
  }

  /** It is about to close: what still comes is for other peers. */
  get isEnding(): boolean {
    return this.#isEnding;
  }

  /** The peer can serve from now on. */
  joined(): void {
    this.#isJoined = true;
    this.#settle();
  }

  /** Sends new sessions elsewhere, until {@link undrain}. */
  drain(): void {
    if (this.#isDrained) return;
    this.#isDrained = true;
    this.#settle();
    this.#parts.turnAway(true);
  }

  /** Takes new sessions again, unless the peer is told to end. */
  undrain(): void {
    if (!this.#isDrained || this.#drain !== undefined || this.#isEnding) return;
    this.#isDrained = false;
    this.#settle();
    this.#parts.turnAway(false);
  }

  /** Takes what the cluster's operators say; again is harmless. */
  order(orders: Orders): void {
    const before = this.#orders;
    this.#orders = orders;
    if (orders.status === before.status && orders.quiesceMs === before.quiesceMs) return;
    this.#disabledAtMs = this.#disabledAt(orders);
    this.#parts.log.info({ ...orders }, 'the cluster orders this instance');
    this.#settle();
  }

  #disabledAt({ status, quiesceMs = lifeLimits.quiesceMs }: Orders): number {
    if (status !== 'disabled') return Infinity;
    const nowMs = this.#parts.now();
    // Sessions that others have by now do not come back, and a peer that just started has none.
    if (!this.#isJoined || this.#disabledAtMs <= nowMs) return nowMs;
    return nowMs + quiesceMs;
  }

  /**
   * Drains for `drainQuietMs` and until the instance was without calls and SIP requests as long, then
   * hands its HTTP sessions to others and settles when no exchange is under way; at the latest after
   * `drainTimeoutMs`, or when {@link end} is called.
   */
  async drained(): Promise<void> {
    this.drain();
    const nowMs = this.#parts.now();
    const { drainTimeoutMs } = this.#parts.config;
    this.#drain ??= {
      beganAtMs: nowMs,
      endsAtMs: nowMs + drainTimeoutMs,
      toldAtMs: nowMs,
      over: Promise.withResolvers(),
    };
    // The process lives as long as it drains.
    this.#poll.ref();
    this.#look(nowMs);
    await this.#drain.over.promise;
  }

  /** What a drain waits for; undefined while nobody waits. */
  progress(): DrainProgress | undefined {
    if (this.#drain === undefined) return undefined;
    const nowMs = this.#parts.now();
    return {
      calls: this.#parts.dialogs.size,
      exchanges: this.#parts.exchanges(),
      quietMs: Math.max(0, Math.round(nowMs - this.#busyAtMs)),
      leftMs: this.leftMs,
    };
  }

  /** Nothing is served from now on. */
  end(): void {
    clearInterval(this.#poll);
    this.#isEnding = true;
    this.#settle();
    this.#drain?.over.resolve();
  }

  /** Whether the instance was busy since the last look, and whether a drain or a session's time is over. */
  #look(nowMs: number): void {
    const { dialogs, served } = this.#parts;
    if (nowMs - this.#sweptAtMs >= lifeLimits.sweepIntervalMs) {
      this.#sweptAtMs = nowMs;
      dialogs.sweep(nowMs);
    }
    const servedNow = served();
    const isBusy = servedNow !== this.#servedBefore || dialogs.size > 0;
    this.#servedBefore = servedNow;
    if (isBusy) this.#busyAtMs = nowMs;
    if (this.#disabledAtMs <= nowMs) this.#settle();
    if (this.#drain !== undefined) this.#endDrain(this.#drain, nowMs);
  }

  #endDrain(drain: Drain, nowMs: number): void {
    const { config, log, dialogs, exchanges } = this.#parts;
    const quietMs = nowMs - Math.max(this.#busyAtMs, drain.beganAtMs);
    if (quietMs >= Math.max(config.drainQuietMs, lifeLimits.newsMs)) this.#retire(nowMs);
    const isOver = nowMs - this.#retiredAtMs >= lifeLimits.newsMs && exchanges() === 0;
    if (isOver || nowMs >= drain.endsAtMs) {
      const isCut = dialogs.size > 0 || exchanges() > 0;
      if (isCut) log.warn(this.progress() ?? {}, 'the time of the drain is over');
      drain.over.resolve();
    } else if (nowMs - drain.toldAtMs >= lifeLimits.progressIntervalMs) {
      drain.toldAtMs = nowMs;
      log.info(this.progress() ?? {}, 'draining');
    }
  }

  /** HTTP sessions have no end that could be waited for: they go on elsewhere from now on. */
  #retire(nowMs: number): void {
    if (this.#retiredAtMs < Infinity) return;
    this.#retiredAtMs = nowMs;
    this.#settle();
  }

  #settle(): void {
    const status = this.#due();
    if (status === this.#status) return;
    this.#status = status;
    this.#parts.announce(status);
  }

  #due(): InstanceStatus {
    const nowMs = this.#parts.now();
    if (this.#isEnding || Math.min(this.#disabledAtMs, this.#retiredAtMs) <= nowMs)
      return 'disabled';
    if (this.#isDrained || this.#orders.status !== 'enabled') return 'draining';
    return this.#isJoined ? 'ready' : 'joining';
  }
}
