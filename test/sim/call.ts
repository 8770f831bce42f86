import type { SipMessage } from '../../src/sip/index.ts';
import { dialogOfResponse, type Dialog } from './dialog.ts';
import type { RequestParts, UserAgent } from './user-agent.ts';

export interface CallOptions {
  /** Request-URI; its user part tells the called what to do. */
  readonly uri: string;
  /** Further header lines of the INVITE. */
  readonly headers?: readonly string[];
  /** By default names of their own. */
  readonly callId?: string;
  readonly fromTag?: string;
  /** ACKs are kept back until `releaseAck`. */
  readonly holdsAck?: boolean;
  /** Called with each state that the call comes to. */
  readonly changed?: (call: OutgoingCall) => void;
}

export type CallState =
  'calling' | 'ringing' | 'established' | 'refused' | 'ending' | 'ended' | 'failed';

/** How one request of the caller ended. */
export interface Outcome {
  readonly method: string;
  /** 0: no final response came in time. */
  readonly status: number;
}

/** One call that a user agent makes: INVITE, ACK, CANCEL and what comes in its dialog. */
export class OutgoingCall {
  readonly callId: string;
  /** Final statuses of the caller's requests, in order. */
  readonly outcomes: Outcome[] = [];
  /** The INVITE as it was sent. */
  readonly invite: RequestParts;
  state: CallState = 'calling';
  dialog: Dialog | undefined;
  /** The other side ended it. */
  isHungUp = false;
  /** Requests in the dialog without final response. */
  unanswered = 0;
  readonly #agent: UserAgent;
  readonly #changed: (call: OutgoingCall) => void;
  readonly #acknowledged = new Map<string, RequestParts>();
  readonly #pracked = new Set<string>();
  #heldAck: (() => void) | undefined;
  #isHolding: boolean;

  constructor(agent: UserAgent, options: CallOptions) {
    this.#agent = agent;
    this.callId = options.callId ?? agent.newName('call');
    this.#changed = options.changed ?? (() => undefined);
    this.#isHolding = options.holdsAck ?? false;
    const tag = options.fromTag ?? agent.newName('tag');
    this.invite = {
      method: 'INVITE',
      uri: options.uri,
      branch: agent.newName('z9hG4bK'),
      from: `<sip:${agent.options.name}@example.com>;tag=${tag}`,
      to: `<${options.uri}>`,
      callId: this.callId,
      cseq: 1,
      routes: [],
      headers: ['Supported: 100rel', ...(options.headers ?? [])],
    };
  }

  /** Sends the INVITE. */
  start(): void {
    const parts = this.invite;
    this.#agent.exchange({
      parts,
      acknowledge: (send) => this.#sendAck(send),
      responded: (response) => this.#onInviteResponse(parts, response),
      timedOut: () => this.#finish('INVITE', 0, 'failed'),
    });
  }

  /** Sends the INVITE's very bytes once more, as after the loss of what was answered. */
  sendInviteAgain(): void {
    this.#agent.sendOnce(this.invite);
  }

  /** Sends the ACK that was kept back, and from now on all others at once. */
  releaseAck(): void {
    this.#isHolding = false;
    this.#heldAck?.();
  }

  #sendAck(send: () => void): void {
    if (this.#isHolding) this.#heldAck = send;
    else send();
  }

  /** Statuses of one method, in order. */
  statuses(method: string): number[] {
    return this.outcomes.filter((outcome) => outcome.method === method).map(({ status }) => status);
  }

  /** RFC 3261 section 9.1: only what the INVITE had, and none of its private headers. */
  cancel(): void {
    this.#request({ ...this.invite, method: 'CANCEL', headers: [] });
  }

  bye(): void {
    this.#move('ending');
    this.#request(this.#next('BYE'), () => {
      if (this.dialog !== undefined) this.#agent.removeDialog(this.dialog);
      this.#move('ended');
    });
  }

  /** A request without further consequences: INFO, UPDATE, OPTIONS. */
  inDialog(method: string): void {
    this.#request(this.#next(method));
  }

  reinvite(): void {
    const parts = this.#next('INVITE');
    this.unanswered++;
    this.#agent.exchange({
      parts,
      responded: (response, isCopy) => {
        if (response.status < 200) return;
        if (response.status < 300) this.#acknowledge(parts, response);
        if (!isCopy) this.#answered('re-INVITE', response.status);
      },
      timedOut: () => this.#answered('re-INVITE', 0),
    });
  }

  /** The other side sent BYE. */
  hungUp(): void {
    this.isHungUp = true;
    this.#move('ended');
  }

  #next(method: string, headers: readonly string[] = []): RequestParts {
    const { dialog } = this;
    if (dialog === undefined) throw new Error(`${method} without a dialog`);
    return this.#agent.partsOf(dialog, method, headers);
  }

  #request(parts: RequestParts, answered: () => void = () => undefined): void {
    const { method } = parts;
    this.unanswered++;
    const finish = (status: number): void => {
      this.#answered(method, status);
      answered();
    };
    this.#agent.exchange({
      parts,
      responded: ({ status }) => {
        if (status >= 200) finish(status);
      },
      timedOut: () => finish(0),
    });
  }

  #onInviteResponse(parts: RequestParts, response: SipMessage): void {
    const { status } = response;
    if (status < 200) return this.#onProvisional(response);
    if (status >= 300) return this.#finish('INVITE', status, 'refused');
    if (this.#acknowledge(parts, response)) return;
    if (this.dialog?.remoteTag !== response.toTag) {
      this.dialog = dialogOfResponse(response, this.dialog?.cseq ?? 1);
    }
    this.#agent.addDialog(this.dialog!);
    this.#finish('INVITE', status, 'established');
  }

  #onProvisional(response: SipMessage): void {
    if (response.status === 100) return this.#move('ringing');
    this.dialog ??= dialogOfResponse(response, 1);
    const sequence = response.header('RSeq');
    if (sequence !== undefined && !this.#pracked.has(sequence)) {
      this.#pracked.add(sequence);
      this.#request(this.#next('PRACK', [`RAck: ${sequence} 1 INVITE`]));
    }
    this.#move('ringing');
  }

  /** An ACK for each copy of a 2xx, the same one each time. @returns whether it was a copy */
  #acknowledge(parts: RequestParts, response: SipMessage): boolean {
    const name = `${parts.cseq} ${response.toTag ?? ''}`;
    const known = this.#acknowledged.get(name);
    const { routes, remoteTarget } = dialogOfResponse(response, parts.cseq);
    const ack = known ?? {
      ...parts,
      method: 'ACK',
      uri: remoteTarget,
      branch: this.#agent.newName('z9hG4bK'),
      to: response.header('To') ?? '',
      routes: parts.cseq === 1 ? routes : parts.routes,
      headers: [],
    };
    this.#acknowledged.set(name, ack);
    this.#sendAck(() => this.#agent.sendOnce(ack));
    return known !== undefined;
  }

  #finish(method: string, status: number, state: CallState): void {
    this.#note(method, status);
    this.#move(state);
  }

  #answered(method: string, status: number): void {
    this.unanswered--;
    this.#note(method, status);
  }

  #note(method: string, status: number): void {
    this.outcomes.push({ method, status });
  }

  #move(state: CallState): void {
    if (this.state === state || this.state === 'ended') return;
    this.state = state;
    this.#changed(this);
  }
}
