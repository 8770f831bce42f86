import { performance } from 'node:perf_hooks';
import { Connection } from './connection.ts';
import type { ConnectionEnd } from './connection.ts';
import type { AskedExchanges } from './exchanges.ts';
import type { Lane, LaneContext } from './lane.ts';
import type { LinkPeer } from './link.ts';
import type { Trust } from './trust.ts';

/** Ends that say something about the peer's health. */
const failures: ReadonlySet<ConnectionEnd> = new Set(['unreachable', 'silent', 'violation']);

/**
 * This peer's link to another: it dials until told to close, and says when work may be handed over.
 *
 * dialling → up → (broken) → waiting → dialling …; a link that broke soon after it came up is avoided for
 * a while even when it is up again. One that had been steady is not: whoever was held up for a moment finds
 * all its links broken, and would send what belongs to others to the wrong instances.
 */
export class DialledLink {
  readonly #context: LaneContext;
  readonly #trust: Trust;
  readonly #onExchangeClosed: () => void;
  #peer: LinkPeer;
  #connection: Connection | undefined;
  #redialTimer: NodeJS.Timeout | undefined;
  #failures = 0;
  #upSinceMs = 0;
  /** When it broke; -Infinity: it never did, or the peer has been heard of since. */
  #brokeAtMs = -Infinity;
  #avoidUntilMs = 0;
  /** Epoch of the process that said goodbye. */
  #leavingEpoch = -1;
  #isClosed = false;

  constructor(context: LaneContext, trust: Trust, peer: LinkPeer, onExchangeClosed: () => void) {
    this.#context = context;
    this.#trust = trust;
    this.#peer = peer;
    this.#onExchangeClosed = onExchangeClosed;
    this.#dial();
  }

  /** True while new work handed over now would leave at once. */
  get isUp(): boolean {
    const connection = this.#connection;
    return (
      connection !== undefined &&
      connection.isUp &&
      connection.epoch !== this.#leavingEpoch &&
      performance.now() >= this.#avoidUntilMs
    );
  }

  /**
   * It broke a moment ago and nobody refuses the next dial: the peer's process may be held up, or be out
   * of reach, and come back. One that ended refuses at once.
   */
  get isSilent(): boolean {
    if (this.#connection?.isUp === true) return false;
    return performance.now() - this.#brokeAtMs < this.#context.limits.silenceMs;
  }

  /** The SIP lane whether or not new work is welcome on it. */
  get sip(): Lane | undefined {
    return this.#connection?.sip;
  }

  get exchanges(): AskedExchanges | undefined {
    return this.#connection?.exchanges;
  }

  /** Membership told more of the same peer: another process or address makes another connection. */
  update(peer: LinkPeer): void {
    const isMoved = peer.address !== this.#peer.address;
    // A clock that went back gives a restarted peer a lower epoch.
    const isRestarted = peer.epoch !== this.#peer.epoch;
    this.#peer = peer;
    if (!isMoved && !isRestarted) return;
    if (!isMoved && this.#connection?.isUp === true && this.#connection.epoch === peer.epoch) {
      this.#avoidUntilMs = 0;
      return;
    }
    this.#failures = 0;
    this.#avoidUntilMs = 0;
    this.#brokeAtMs = -Infinity;
    const old = this.#connection;
    this.#connection = undefined;
    old?.close();
    this.#dial();
  }

  /** The peer leaves: no new work for this process of it. */
  leaving(): void {
    const greeted = this.#connection?.epoch ?? 0;
    this.#leavingEpoch = greeted === 0 ? this.#peer.epoch : greeted;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#redialTimer);
    const old = this.#connection;
    this.#connection = undefined;
    old?.close();
  }

  #dial(): void {
    clearTimeout(this.#redialTimer);
    const connection: Connection = new Connection(
      this.#context,
      this.#peer,
      this.#trust.client(this.#peer.name),
      {
        up: () => {
          this.#failures = 0;
          this.#upSinceMs = performance.now();
          const { log, onPeerUp } = this.#context;
          log.info({ peer: this.#peer.name }, 'link is up');
          if (this.#connection === connection) onPeerUp?.(this.#peer.name);
        },
        goodbye: () => {
          this.leaving();
        },
        ended: (reason, wasUp) => {
          if (this.#connection === connection) this.#ended(reason, wasUp);
        },
      },
      this.#onExchangeClosed,
    );
    this.#connection = connection;
  }

  #ended(reason: ConnectionEnd, wasUp: boolean): void {
    this.#connection = undefined;
    if (this.#isClosed) return;
    const { counters, log, onPeerFailed } = this.#context;
    const peer = this.#peer.name;
    counters.count('link_failures', reason);
    this.#noteSilence(reason, wasUp);
    const isNews = wasUp || this.#failures === 0;
    if (reason === 'left') log.info({ peer, reason }, 'link is down');
    else if (isNews) log.warn({ peer, reason }, 'link is down');
    this.#redialTimer = setTimeout(
      () => {
        this.#dial();
      },
      this.#pauseMs(wasUp && reason !== 'left'),
    );
    if (failures.has(reason) && isNews) onPeerFailed?.(peer);
  }

  #noteSilence(reason: ConnectionEnd, wasUp: boolean): void {
    const isLeaving = this.#leavingEpoch === this.#peer.epoch;
    if (wasUp && reason === 'unreachable' && !isLeaving) this.#brokeAtMs = performance.now();
    else if (reason !== 'silent') this.#brokeAtMs = -Infinity;
  }

  /** @returns how long to wait before the next dial; avoids the peer where its links keep breaking */
  #pauseMs(hasBroken: boolean): number {
    const { steadyMs, avoidMs, reconnectBackoffMinMs, reconnectBackoffMaxMs } =
      this.#context.limits;
    const nowMs = performance.now();
    const wasSteady = hasBroken && nowMs - this.#upSinceMs >= steadyMs;
    if (hasBroken && !wasSteady) this.#avoidUntilMs = nowMs + avoidMs;
    const backoffMs = Math.min(reconnectBackoffMinMs * 2 ** this.#failures, reconnectBackoffMaxMs);
    this.#failures = Math.min(this.#failures + 1, 16);
    return wasSteady ? 0 : backoffMs;
  }
}
