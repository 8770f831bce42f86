import { sipTimers } from '../../src/config/defaults.ts';
import type { SipMessage } from '../../src/sip/index.ts';
import type { Appointment, Clock } from './clock.ts';

export interface ClientTransactionOptions {
  readonly clock: Clock;
  readonly method: string;
  readonly send: () => void;
  /** Sends the ACK of a final response above 299. */
  readonly acknowledge: (response: SipMessage) => void;
  /** Each provisional response, the first final one, and each copy of a 2xx to an INVITE. */
  readonly responded: (response: SipMessage, isCopy: boolean) => void;
  /** Timer B or F ran out: no final response came. */
  readonly timedOut: () => void;
}

type State = 'calling' | 'proceeding' | 'completed' | 'ended';

/** A client transaction over UDP (RFC 3261 section 17.1, RFC 6026): timers A, B, E and F, and the ACK. */
export class ClientTransaction {
  readonly #options: ClientTransactionOptions;
  #state: State = 'calling';
  #intervalMs: number = sipTimers.t1Ms;
  #retransmission: Appointment;
  #deadline: Appointment;

  constructor(options: ClientTransactionOptions) {
    this.#options = options;
    const { clock, send } = options;
    send();
    this.#retransmission = clock.after(this.#intervalMs, () => this.#retransmit());
    this.#deadline = clock.after(64 * sipTimers.t1Ms, () => this.#expire());
  }

  get isAnswered(): boolean {
    return this.#state === 'completed';
  }

  get #isInvite(): boolean {
    return this.#options.method === 'INVITE';
  }

  receive(response: SipMessage): void {
    if (this.#state === 'ended') return;
    if (response.status < 200) this.#provisional(response);
    else this.#final(response);
  }

  /** Ends without an answer: its user is gone. */
  abandon(): void {
    this.#state = 'ended';
    this.#retransmission.cancel();
    this.#deadline.cancel();
  }

  #provisional(response: SipMessage): void {
    if (this.#state === 'completed') return;
    this.#state = 'proceeding';
    if (this.#isInvite) {
      this.#retransmission.cancel();
      this.#deadline.cancel();
    }
    this.#options.responded(response, false);
  }

  #final(response: SipMessage): void {
    const { acknowledge, responded } = this.#options;
    const isCopy = this.#state === 'completed';
    this.#state = 'completed';
    this.#retransmission.cancel();
    this.#deadline.cancel();
    if (this.#isInvite && response.status >= 300) acknowledge(response);
    if (!isCopy || (this.#isInvite && response.status < 300)) responded(response, isCopy);
  }

  #retransmit(): void {
    const { clock, send } = this.#options;
    send();
    this.#intervalMs = this.#nextIntervalMs();
    this.#retransmission = clock.after(this.#intervalMs, () => this.#retransmit());
  }

  #nextIntervalMs(): number {
    if (this.#isInvite) return 2 * this.#intervalMs;
    return this.#state === 'proceeding'
      ? sipTimers.t2Ms
      : Math.min(2 * this.#intervalMs, sipTimers.t2Ms);
  }

  #expire(): void {
    this.#retransmission.cancel();
    this.#state = 'ended';
    this.#options.timedOut();
  }
}
