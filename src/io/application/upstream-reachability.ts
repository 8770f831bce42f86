import { upstreamLimits } from '../../config/defaults.ts';

export interface ReachabilityOptions {
  readonly host: string;
  readonly port: number;
  readonly transport: 'udp' | 'tcp';
  readonly now: () => number;
  readonly log: { warn(details: object, message: string): void };
}

/** Remembers for a while that the upstream SIP server was not there. */
export class Reachability {
  readonly #options: ReachabilityOptions;
  readonly #lost: () => void;
  #downUntilMs = 0;
  #isTold = false;

  /** @param lost called when it was not there, and again only after {@link isDown} has ended */
  constructor(options: ReachabilityOptions, lost: () => void) {
    this.#options = options;
    this.#lost = lost;
  }

  /** True while nothing is to be sent. */
  get isDown(): boolean {
    if (this.#downUntilMs === 0) return false;
    if (this.#options.now() < this.#downUntilMs) return true;
    this.#downUntilMs = 0;
    return false;
  }

  /** It was not there. Logged once until it is heard again. */
  lost(reason: string): void {
    const { host, port, transport, now, log } = this.#options;
    const wasDown = this.isDown;
    this.#downUntilMs = now() + upstreamLimits.unreachableMs;
    if (!this.#isTold) {
      log.warn({ error: reason, host, port, transport }, 'Upstream SIP server is out of reach');
    }
    this.#isTold = true;
    if (!wasDown) this.#lost();
  }

  /** Something came from it. */
  heard(): void {
    this.#isTold = false;
  }
}
