import { pipelineLimits } from '../config/defaults.ts';
import {
  isAnswerable,
  isBadResponse,
  parseSipMessage,
  validateRequest,
  type Refusal,
  type SipMessage,
} from '../sip/index.ts';
import { acknowledgesOwnAnswer, answerRequest } from './answer.ts';
import type { Arrival, SipNames } from './arrival.ts';
import type { Counters } from './counters.ts';
import type { Envelope } from './envelope.ts';
import type { KeyDeriver, PendingKey } from './key.ts';
import { locateKey, locateStamped, successorsOf, type Located } from './locate.ts';
import { recognise, type Recognised } from './recognise.ts';
import { popOwnVia, readReturnPath, type ResponseTarget } from './return-response.ts';
import { rewriteRequest } from './rewrite.ts';
import type { Stamper } from './stamp.ts';
import { sipSubject } from './subjects.ts';
import type { ClusterView } from './view.ts';

/** What the pipeline makes happen; `peer.ts` wires it to the io rooms. All calls are synchronous. */
export interface PipelinePorts {
  /** Gives a final request to the application of an instance, here or over its link. False: nothing was sent. */
  deliver(message: Buffer, envelope: Envelope): boolean;
  /** Brings a response to the peer that holds the flow. False: there is no link to it. */
  relayResponse(peer: string, message: Buffer): boolean;
  /** Sends to a client on the flow that its request came in on. */
  answer(flow: string, target: ResponseTarget): void;
  /** Settles when an ENUM look-up ended, however it ended; never rejects. */
  numberKnown(number: string): Promise<void>;
  /** A defect of ours, caught once per message. */
  defect(error: unknown): void;
}

export interface PipelineOptions {
  readonly names: SipNames;
  readonly stamper: Stamper;
  readonly counters: Counters;
  /** What to do with a stamp that was not signed by this cluster. */
  readonly onInvalidStamp: 'ignore' | 'reject';
  readonly keys: () => KeyDeriver;
  readonly view: () => ClusterView;
  readonly ports: PipelinePorts;
}

const noInstance: Refusal = { status: 500, reason: 'No instance available', cause: 'no-instance' };
const badStamp: Refusal = { status: 403, reason: 'Forbidden', cause: 'stamp' };

/**
 * The journey of a SIP message through its ingress peer. HTTP takes the same steps in
 * `http-journey.ts`. The pipeline keeps no state of a session: stamp, rules and ring are enough.
 */
export class Pipeline {
  readonly #options: PipelineOptions;
  #waiting = 0;

  constructor(options: PipelineOptions) {
    this.#options = options;
  }

  /** A message from outside: parse, then its way as request or response. */
  receive(bytes: Buffer, arrival: Arrival): void {
    this.#guard(() => {
      const parsed = parseSipMessage(bytes);
      if (!parsed.ok) this.#drop(parsed.fault);
      else if (parsed.message.isRequest) this.#request(parsed.message, arrival, 0);
      // No request of ours goes outside, and the Via that would be ours bears a signature that clients know.
      else this.#drop('response-not-ours');
    });
  }

  /** A response of the application here, or of one whose peer sent it to this flow's holder. */
  receiveResponse(bytes: Buffer): void {
    this.#guard(() => {
      const parsed = parseSipMessage(bytes);
      if (!parsed.ok || parsed.message.isRequest) this.#drop('not-a-response');
      else this.#response(parsed.message);
    });
  }

  /** A final request that its application could not take any more: the owner answers for it. */
  refuse(bytes: Buffer): void {
    this.#guard(() => {
      const parsed = parseSipMessage(bytes);
      if (!parsed.ok || parsed.message.method === 'ACK')
        return this.#drop('application-unreachable');
      this.#options.counters.count('sip_refusals', 'application-unreachable');
      this.receiveResponse(answerRequest(parsed.message, undefined, noInstance));
    });
  }

  /** classify ▸ recognise ▸ key ▸ locate ▸ rewrite and stamp ▸ deliver */
  #request(message: SipMessage, arrival: Arrival, numbersAwaited: number): void {
    const { names, stamper, counters } = this.#options;
    if (!isAnswerable(message)) return this.#drop('unanswerable');
    const refusal = validateRequest(message);
    if (refusal !== undefined) return this.#answer(message, arrival, refusal);
    if (message.method === 'ACK' && acknowledgesOwnAnswer(message)) return this.#drop('own-ack');

    const recognised = recognise(message, names, stamper);
    if (recognised.isForged) {
      counters.count('stamps_invalid', 'route');
      if (this.#options.onInvalidStamp === 'reject')
        return this.#answer(message, arrival, badStamp);
    }
    const located = this.#locate(message, recognised);
    if (located.kind === 'pending') return this.#await(located, message, arrival, numbersAwaited);
    if (this.#deliver(message, arrival, recognised, located)) return;
    this.#answer(message, arrival, noInstance);
  }

  #locate(message: SipMessage, recognised: Recognised): Located | PendingKey {
    const view = this.#options.view();
    if (recognised.stamp !== undefined) {
      return locateStamped(recognised.stamp, view, message.method === 'ACK');
    }
    const key = this.#options
      .keys()
      .sip(sipSubject(message), message.fromTag ?? '', message.callId);
    return key.kind === 'pending' ? key : locateKey(key, view);
  }

  /** To the instance, or the first of its successors that takes the message. */
  #deliver(
    message: SipMessage,
    arrival: Arrival,
    recognised: Recognised,
    located: Located,
  ): boolean {
    const { instance } = located;
    if (instance === undefined) return false;
    if (this.#deliverTo(instance, message, arrival, recognised, located)) return true;
    return successorsOf(located, this.#options.view()).some((successor) => {
      this.#options.counters.count('sip_failovers', located.reason);
      return this.#deliverTo(successor, message, arrival, recognised, located);
    });
  }

  #deliverTo(
    name: string,
    message: SipMessage,
    arrival: Arrival,
    recognised: Recognised,
    located: Located,
  ): boolean {
    const { names, stamper, ports } = this.#options;
    const { instances, ring } = this.#options.view();
    const instance = instances.get(name);
    const via = message.topVia;
    if (instance === undefined || via === undefined) return false;
    const { keyDigest, reason } = located;
    const stamp = { bekey: keyDigest, beroute: name };
    const final = rewriteRequest(
      message,
      via,
      arrival,
      recognised,
      stamp,
      instance,
      names,
      stamper,
    );
    const isDelivered = ports.deliver(final, {
      keyDigest,
      instance: name,
      reason,
      ringVersion: ring.version,
      ingressPeer: names.self,
      hop: name === names.self ? 0 : 1,
    });
    if (isDelivered) this.#options.counters.count('sip_requests', reason);
    return isDelivered;
  }

  /** Goes where our Via says: on to the flow's holder, or out on the flow. */
  #response(message: SipMessage): void {
    const { names, stamper, counters, ports } = this.#options;
    if (isBadResponse(message)) return this.#drop('bad-response');
    const path = readReturnPath(message, stamper);
    if (path === undefined) return this.#drop('response-not-ours');
    if (path.ingressPeer !== names.self && ports.relayResponse(path.ingressPeer, message.bytes)) {
      return counters.count('sip_responses', 'relayed');
    }
    const target = popOwnVia(message);
    if (target === undefined) return this.#drop('response-without-via');
    if (path.ingressPeer === names.self) {
      counters.count('sip_responses', 'answered');
      ports.answer(path.flow, target);
    } else if (target.transport === 'UDP') {
      // The flow's holder is gone; over UDP any peer can answer for it.
      counters.count('sip_responses', 'answered-for-lost-peer');
      ports.answer('', target);
    } else this.#drop('flow-lost');
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
    const response = parseSipMessage(answerRequest(message, arrival, refusal));
    const via = response.ok ? response.message.topVia : undefined;
    if (!response.ok || via === undefined) return this.#drop('unanswerable');
    const isDatagram = arrival.transport === 'UDP';
    this.#options.ports.answer(arrival.flow, {
      message: response.message.bytes,
      transport: arrival.transport,
      address: arrival.address,
      port: isDatagram && via.rport !== undefined ? arrival.port : (via.port ?? 5060),
    });
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
