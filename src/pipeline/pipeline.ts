import { pipelineLimits } from '../config/defaults.ts';
import { parseSipMessage, type Refusal, type SipMessage } from '../sip/index.ts';
import { answerRequest, answerTarget } from './answer.ts';
import type { Arrival } from './arrival.ts';
import { classify } from './classify.ts';
import { deliver } from './deliver.ts';
import type { PendingKey } from './key.ts';
import { locateKey, locateStamped, type Located } from './locate.ts';
import type { PipelineOptions } from './ports.ts';
import { recognise, type Recognised } from './recognise.ts';
import { returnResponse } from './return-response.ts';
import { sipSubject } from './subjects.ts';

const noInstance: Refusal = { status: 500, reason: 'No instance available', cause: 'no-instance' };
const badStamp: Refusal = { status: 403, reason: 'Forbidden', cause: 'stamp' };

/**
 * The journey of a SIP message through its ingress peer; HTTP takes the same steps in
 * `http-journey.ts`. The pipeline keeps no state of a session: stamp, rules and ring are enough.
 */
export class Pipeline {
  readonly #options: PipelineOptions;
  #waiting = 0;

  constructor(options: PipelineOptions) {
    this.#options = options;
  }

  /** A message from outside: parse ▸ classify ▸ recognise ▸ key ▸ locate ▸ rewrite and stamp ▸ deliver */
  receive(bytes: Buffer, arrival: Arrival): void {
    this.#guard(() => {
      const parsed = parseSipMessage(bytes);
      if (!parsed.ok) this.#drop(parsed.fault);
      else if (parsed.message.isRequest) this.#request(parsed.message, arrival, 0);
      // No request of ours goes outside, and the Via that would be ours bears a signature that clients know.
      else this.#drop('response-not-ours');
    });
  }

  #request(message: SipMessage, arrival: Arrival, numbersAwaited: number): void {
    const verdict = classify(message);
    if (verdict?.kind === 'drop') return this.#drop(verdict.reason);
    if (verdict?.kind === 'refuse') return this.#answer(message, arrival, verdict.refusal);

    const recognised = recognise(message, this.#options.names, this.#options.stamper);
    if (recognised.isForged && this.#refusesForged()) {
      return this.#answer(message, arrival, badStamp);
    }
    const located = this.#locate(message, recognised);
    if (located.kind === 'pending') return this.#await(located, message, arrival, numbersAwaited);

    if (deliver({ message, arrival, recognised, located }, this.#options)) return;
    this.#answer(message, arrival, noInstance);
  }

  /** Stamp before key: only an initial request is looked at by the rules. */
  #locate(message: SipMessage, recognised: Recognised): Located | PendingKey {
    const view = this.#options.view();
    if (recognised.stamp !== undefined) {
      return locateStamped(recognised.stamp, view, message.method === 'ACK');
    }
    const keys = this.#options.keys();
    const key = keys.sip(sipSubject(message), message.fromTag ?? '', message.callId);
    return key.kind === 'pending' ? key : locateKey(key, view);
  }

  /** A response of the application here, or of one whose peer sent it to this flow's holder. */
  receiveResponse(bytes: Buffer): void {
    this.#guard(() => {
      const parsed = parseSipMessage(bytes);
      if (!parsed.ok || parsed.message.isRequest) return this.#drop('not-a-response');
      const fault = returnResponse(parsed.message, this.#options);
      if (fault !== undefined) this.#drop(fault);
    });
  }

  /** A final request that its application could not take any more: the owner answers for it. */
  refuse(bytes: Buffer): void {
    this.#guard(() => {
      const parsed = parseSipMessage(bytes);
      if (!parsed.ok || parsed.message.method === 'ACK') {
        return this.#drop('application-unreachable');
      }
      this.#options.counters.count('sip_refusals', 'application-unreachable');
      this.receiveResponse(answerRequest(parsed.message, undefined, noInstance));
    });
  }

  #refusesForged(): boolean {
    this.#options.counters.count('stamps_invalid', 'route');
    return this.#options.onInvalidStamp === 'reject';
  }

  /** Holds a request until the rules know its number, a bounded number of times. */
  #await(pending: PendingKey, message: SipMessage, arrival: Arrival, numbersAwaited: number): void {
    const isTooMany =
      this.#waiting >= pipelineLimits.pendingRequestsMax ||
      numbersAwaited >= pipelineLimits.numbersPerRequestMax;
    if (isTooMany) return this.#drop('waiting-for-enum');
    this.#waiting++;
    void this.#options.ports.numberKnown(pending.number).finally(() => {
      this.#waiting--;
      this.#guard(() => this.#request(message, arrival, numbersAwaited + 1));
    });
  }

  /** A stateless answer of the peer itself; an ACK is never answered. */
  #answer(message: SipMessage, arrival: Arrival, refusal: Refusal): void {
    if (message.method === 'ACK') return this.#drop(`ack-${refusal.cause}`);
    this.#options.counters.count('sip_refusals', refusal.cause);
    const target = answerTarget(message, arrival, refusal);
    if (target === undefined) return this.#drop('unanswerable');
    this.#options.ports.answer(arrival.flow, target);
  }

  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#drop('defect');
      this.#options.ports.defect(error);
    }
  }

  #drop(reason: string): void {
    this.#options.counters.count('sip_drops', reason);
  }
}
