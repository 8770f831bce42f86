import type { SwimContext } from './context.ts';
import type { MemberRecord, Suspicion } from './member.ts';
import type { Timer } from './timers.ts';

/** Shortest and longest time that a member stays suspected among `liveCount` members. */
export function suspicionSpan(
  profile: {
    readonly suspicionMult: number;
    readonly suspicionMaxFactor: number;
    readonly probeIntervalMs: number;
  },
  liveCount: number,
): { readonly minMs: number; readonly maxMs: number; readonly confirmationsMax: number } {
  const scale = Math.max(1, Math.log10(Math.max(1, liveCount)));
  const minMs = profile.suspicionMult * scale * profile.probeIntervalMs;
  const wanted = Math.max(0, profile.suspicionMult - 2);
  // Neither the accuser nor the accused can confirm: a tiny cluster has nobody to wait for.
  const confirmationsMax = liveCount - 2 < wanted ? 0 : wanted;
  return { minMs, maxMs: minMs * profile.suspicionMaxFactor, confirmationsMax };
}

/** How long a suspicion with so many independent confirmations lasts, from its start. */
export function suspicionMs(
  span: { readonly minMs: number; readonly maxMs: number; readonly confirmationsMax: number },
  confirmations: number,
): number {
  if (span.confirmationsMax < 1) return span.minMs;
  const share = Math.log(confirmations + 1) / Math.log(span.confirmationsMax + 1);
  return Math.max(span.minMs, Math.floor(span.maxMs - share * (span.maxMs - span.minMs)));
}

/** A peer that doubts itself by so much tries once more before it condemns. */
const healthPerRetry = 3;

/** Members that look for themselves, for each confirmation that counts: about so many, by chance. */
const volunteersPerConfirmation = 2;

/** Runs the time of suspicions: it shortens when others confirm, and is no verdict while the suspect answers. */
export class Suspicions {
  readonly #context: SwimContext;
  readonly #probe: (record: MemberRecord) => void;
  readonly #condemn: (record: MemberRecord) => void;

  /** `probe` tries a suspect once more; `condemn` is called when its time is over. */
  constructor(
    context: SwimContext,
    probe: (record: MemberRecord) => void,
    condemn: (record: MemberRecord) => void,
  ) {
    this.#context = context;
    this.#probe = probe;
    this.#condemn = condemn;
  }

  start(record: MemberRecord, accuser: string): void {
    const { roster, options, now } = this.#context;
    const span = suspicionSpan(options.profile, roster.liveCount());
    const timer = this.#timer(record, now + suspicionMs(span, 0));
    const accusers = new Set([accuser]);
    record.suspicion = { startedAt: now, accusers, retries: 0, ...span, timer };
    if (accuser !== options.name) this.#volunteer(record, span.confirmationsMax);
  }

  /**
   * A few of those who hear of a suspicion look for themselves at once: confirmations need not wait for the
   * turn of the suspect, and if it lives it hears of the accusation on more ways.
   */
  #volunteer(record: MemberRecord, confirmationsMax: number): void {
    const { roster, options, health } = this.#context;
    const share = (volunteersPerConfirmation * confirmationsMax) / roster.liveCount();
    if (health.score === 0 && options.random() < share) this.#probe(record);
  }

  /** One more accuser shortens the time. False: it accused before, or there are enough. */
  confirm(record: MemberRecord, accuser: string): boolean {
    const { suspicion } = record;
    if (suspicion === undefined || suspicion.accusers.has(accuser)) return false;
    if (suspicion.accusers.size > suspicion.confirmationsMax) return false;
    suspicion.accusers.add(accuser);
    const { options, health, now } = this.#context;
    // Whoever hears late may hear the confirmation just before the refutation.
    const graceMs = health.scale(options.profile.probeTimeoutMs);
    const dueAt = suspicion.startedAt + suspicionMs(suspicion, suspicion.accusers.size - 1);
    this.#restart(record, suspicion, Math.min(suspicion.timer.at, Math.max(dueAt, now + graceMs)));
    return true;
  }

  /** A suspect that answers us lives: its refutation is still to come, so its time begins anew. */
  answered(record: MemberRecord): void {
    const { suspicion } = record;
    if (suspicion === undefined) return;
    suspicion.startedAt = this.#context.now;
    suspicion.retries = 0;
    const lastsMs = suspicionMs(suspicion, suspicion.accusers.size - 1);
    this.#restart(record, suspicion, suspicion.startedAt + lastsMs);
  }

  #restart(record: MemberRecord, suspicion: Suspicion, dueAt: number): void {
    suspicion.timer.cancel();
    suspicion.timer = this.#timer(record, dueAt);
  }

  #timer(record: MemberRecord, dueAt: number): Timer {
    return this.#context.timers.schedule(dueAt, () => {
      this.#expire(record);
    });
  }

  #expire(record: MemberRecord): void {
    const { suspicion } = record;
    const { options, health, now } = this.#context;
    if (suspicion === undefined) return;
    const isAlone = suspicion.confirmationsMax > 0 && suspicion.accusers.size === 1;
    const mayErr = options.profile.healthMax > 0;
    if (!isAlone || !mayErr || suspicion.retries > health.score / healthPerRetry) {
      this.#condemn(record);
      return;
    }
    // In all that time nobody else missed it: we may be the one that does not hear.
    suspicion.retries++;
    const { probeIntervalMs, probeTimeoutMs } = options.profile;
    this.#restart(record, suspicion, now + health.scale(probeIntervalMs) + probeTimeoutMs);
    this.#probe(record);
  }
}
