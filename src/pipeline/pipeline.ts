import { parseSipMessage, type Assignment, type Refusal, type SipMessage } from '../sip/index.ts';
import { answerOptions } from './answer-options.ts';
import { isAmplifying } from './answer-size.ts';
import { answerRequest, answerTarget } from './answer.ts';
import type { Arrival } from './arrival.ts';
import { Assigner } from './assign.ts';
import { classify } from './classify.ts';
import { deliver, type RoutedRequest } from './deliver.ts';
import { depart } from './depart.ts';
import { Directory } from './directory.ts';
import type { Envelope } from './envelope.ts';
import { locateStamped } from './locate.ts';
import { flowGone } from './outgoing.ts';
import type { PipelineOptions } from './ports.ts';
import { redial } from './redial.ts';
import { recognise } from './recognise.ts';
import { compareRings } from './relayed.ts';
import { returnResponse } from './return-response.ts';
import type { RewriteInput } from './rewrite.ts';
import { applicationOf } from './sender.ts';

const noInstance: Refusal = { status: 500, reason: 'No instance available', cause: 'no-instance' };
const badStamp: Refusal = { status: 403, reason: 'Forbidden', cause: 'stamp' };
const badToken: Refusal = { status: 403, reason: 'Forbidden', cause: 'flow-token' };

/**
 * The journey of a SIP message through its ingress peer; HTTP takes the same steps in
 * `http-journey.ts`. The pipeline keeps no state of a session: stamp, rules and ring are enough, and
 * a short memory of transactions that they would not bring to one instance.
 */
export class Pipeline {
  readonly #options: PipelineOptions;
  readonly #directory: Directory;
  readonly #assigner: Assigner;

  constructor(options: PipelineOptions) {
    this.#options = options;
    this.#directory = new Directory(options);
    this.#assigner = new Assigner(options, this.#directory, {
      deliver: (request) => this.#deliver(request),
      refuse: ({ message, arrival }, refusal) => this.#answer(message, arrival, refusal),
      drop: (reason) => this.#drop(reason),
      guard: (step) => this.#guard(step),
    });
  }

  /** A message from outside: parse ▸ classify ▸ recognise ▸ depart, or locate or assign ▸ rewrite and stamp ▸ deliver */
  receive(bytes: Buffer, arrival: Arrival): void {
    this.#guard(() => {
      const parsed = parseSipMessage(bytes);
      if (!parsed.ok) this.#drop(parsed.fault);
      else if (parsed.message.isRequest) this.#request(parsed.message, arrival);
      else this.#response(parsed.message);
    });
  }

  #request(message: SipMessage, arrival: Arrival): void {
    const isOutside = arrival.listener.type !== 'internal';
    if (isOutside && this.#options.ignores?.(message) === true) return;
    const verdict = classify(message);
    if (verdict?.kind === 'drop') return this.#drop(verdict.reason);
    if (verdict?.kind === 'refuse') return this.#answer(message, arrival, verdict.refusal);

    const recognised = recognise(message, this.#options.names, this.#options.stamper);
    if (recognised.isFlowForged) return this.#answer(message, arrival, badToken);
    if (recognised.isForged && this.#refusesForged()) {
      return this.#answer(message, arrival, badStamp);
    }
    const sender = applicationOf(message, arrival, this.#options.view());
    const inside = depart(
      { message, arrival, recognised, sender },
      this.#options,
      this.#refuseOutgoing,
    );
    if (inside !== undefined) this.#route({ message, arrival, recognised: inside, sender });
  }

  /** The stamp before all else: it needs neither rules nor memory. */
  #route(request: RewriteInput): void {
    const { message, arrival, recognised, sender } = request;
    const view = this.#options.view();
    const { stamp } = recognised;
    const located = stamp && locateStamped(stamp, view);
    if (located !== undefined) {
      return this.#deliver({
        message,
        arrival,
        recognised,
        sender,
        located,
        transaction: '',
        known: undefined,
      });
    }
    const isUnready = message.method === 'OPTIONS' && this.#options.isUnready?.() === true;
    const status = isUnready ? undefined : view.instances.get(view.self)?.status;
    const answer = answerOptions(request, this.#options.names, status);
    if (answer !== undefined) return this.#answer(message, arrival, answer);
    this.#assigner.assign(request);
  }

  #deliver(request: RoutedRequest): void {
    if (!deliver(request, this.#options, this.#took)) {
      this.#answer(request.message, request.arrival, noInstance);
    }
  }

  readonly #took = (request: RoutedRequest, instance: string): void => {
    this.#directory.remember(request, instance);
  };

  /** A final request that another peer decided to be for the instance here: no second decision. */
  receiveRelayed(bytes: Buffer, envelope: Envelope): void {
    this.#guard(() => {
      const { names, view, counters, otherRingSeen } = this.#options;
      const isOurs = envelope.instance === names.self;
      if (compareRings(envelope, view(), counters, 'sip') === 'unknown') otherRingSeen?.();
      if (isOurs && this.#options.ports.deliver(bytes, envelope)) this.#directory.learn(envelope);
      else this.refuse(bytes);
    });
  }

  /** A note that another peer leaves in the directory here. */
  noteArrived(transaction: string, assignment: Assignment): void {
    this.#directory.note(transaction, assignment);
  }

  /**
   * A question of another peer to the directory here.
   *
   * @param claim kept and answered where nothing is known
   */
  questionArrived(transaction: string, claim: Assignment | undefined): Assignment | undefined {
    return this.#directory.answer(transaction, claim);
  }

  /** A response of the application here, or of one whose peer sent it to this flow's holder. */
  receiveResponse(bytes: Buffer): void {
    this.#guard(() => {
      const parsed = parseSipMessage(bytes);
      if (!parsed.ok || parsed.message.isRequest) return this.#drop('not-a-response');
      this.#response(parsed.message);
    });
  }

  #response(message: SipMessage): void {
    const fault = returnResponse(message, this.#options);
    if (fault !== undefined) this.#drop(fault);
  }

  /** A final request that its application could not take any more: the owner answers for it. */
  refuse(bytes: Buffer): void {
    this.#answerFinal(bytes, noInstance, 'application-unreachable');
  }

  /** A final request of another peer for a flow that is not there any more. */
  flowGone(bytes: Buffer): void {
    this.#guard(() => {
      const failed = (): void => this.#answerFinal(bytes, flowGone, 'flow-gone');
      const parsed = parseSipMessage(bytes);
      const isOnItsWay = parsed.ok && redial(parsed.message, this.#options, failed);
      if (!isOnItsWay) failed();
    });
  }

  /** Answers a request that bears our Via already; the answer goes back as any other does. */
  #answerFinal(bytes: Buffer, refusal: Refusal, cause: string): void {
    this.#guard(() => {
      const parsed = parseSipMessage(bytes);
      if (!parsed.ok || parsed.message.method === 'ACK') return this.#drop(cause);
      this.#options.counters.count('sip_refusals', cause);
      this.receiveResponse(answerRequest(parsed.message, undefined, refusal));
    });
  }

  readonly #refuseOutgoing = ({ message, arrival }: RewriteInput, refusal: Refusal): void => {
    this.#guard(() => this.#answer(message, arrival, refusal));
  };

  #refusesForged(): boolean {
    this.#options.counters.count('stamps_invalid', 'route');
    return this.#options.onInvalidStamp === 'reject';
  }

  /** A stateless answer of the peer itself; an ACK is never answered. */
  #answer(message: SipMessage, arrival: Arrival, refusal: Refusal): void {
    if (message.method === 'ACK') return this.#drop(`ack-${refusal.cause}`);
    this.#options.counters.count('sip_refusals', refusal.cause);
    const target = answerTarget(message, arrival, refusal);
    if (target === undefined) return this.#drop('unanswerable');
    // The source of a datagram may be forged: whoever lives there gets no more than was sent to us.
    const isUnproven = arrival.transport === 'UDP' && arrival.listener.type !== 'internal';
    if (isUnproven && isAmplifying(message.bytes.length, target.message.length)) {
      return this.#drop('amplification');
    }
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
