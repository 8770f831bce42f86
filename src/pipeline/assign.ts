import { pipelineLimits } from '../config/defaults.ts';
import { assignmentKey, type Assignment, type Refusal } from '../sip/index.ts';
import { addressedInstance } from './addressed.ts';
import { followsAnother } from './classify.ts';
import { transactionOf, type RoutedRequest } from './deliver.ts';
import type { Directory } from './directory.ts';
import type { PendingKey } from './key.ts';
import {
  locatedBy,
  locateHeir,
  locateInTurn,
  locateKey,
  locateKnown,
  locateNew,
  type Located,
} from './locate.ts';
import type { PipelineOptions } from './ports.ts';
import type { RewriteInput } from './rewrite.ts';
import { sipSubject } from './subjects.ts';

/** What becomes of a request that was assigned. */
export interface AssignOutcome {
  deliver(request: RoutedRequest): void;
  refuse(request: RewriteInput, refusal: Refusal): void;
  drop(reason: string): void;
  /** Runs a step that was put off; catches its defect. */
  guard(step: () => void): void;
}

/** A request without a usable stamp, and how far its assignment has come. */
interface Underway {
  readonly request: RewriteInput;
  readonly transaction: string;
  readonly numbersAwaited: number;
  /** The directory was asked already and knew nothing. */
  readonly isAsked: boolean;
}

/**
 * Finds the instance of requests that no stamp leads to: explicitly addressed ▸ transaction memory
 * ▸ directory ▸ initial. What has to wait, for the directory or a number, is taken up again later.
 */
export class Assigner {
  readonly #options: PipelineOptions;
  readonly #directory: Directory;
  readonly #outcome: AssignOutcome;
  #awaitingNumbers = 0;
  #turn = 0;

  constructor(options: PipelineOptions, directory: Directory, outcome: AssignOutcome) {
    this.#options = options;
    this.#directory = directory;
    this.#outcome = outcome;
  }

  assign(request: RewriteInput): void {
    const transaction = this.#transactionOf(request);
    this.#assign({ request, transaction, numbersAwaited: 0, isAsked: false });
  }

  /** An ACK bears a To tag, but the branch of its INVITE when that has failed (RFC 3261 section 17.1.1.3). */
  #transactionOf(request: RewriteInput): string {
    const { message, sender } = request;
    if (message.method === 'ACK' && sender !== undefined) {
      const ofInvite = assignmentKey(message, message.topVia?.branch);
      if (this.#directory.recall(ofInvite) !== undefined) return ofInvite;
    }
    return transactionOf(request);
  }

  #assign(underway: Underway): void {
    const { request, transaction } = underway;
    const takeUpAgain = (): void => this.#outcome.guard(() => this.#assign(underway));
    if (this.#directory.follow(transaction, request.message, takeUpAgain)) return;
    const known = this.#directory.recall(transaction);
    const refusal = known === undefined ? this.#refusesNew(underway) : undefined;
    if (refusal !== undefined) return this.#outcome.refuse(request, refusal);
    const located = this.#addressed(request, known) ?? this.#known(known);
    if (located === undefined) this.#begin(underway);
    else this.#deliver(underway, located, known);
  }

  #deliver(underway: Underway, located: Located, known: Assignment | undefined): void {
    const { request } = underway;
    const isStray = known === undefined && followsAnother(request.message);
    const transaction = isStray ? '' : underway.transaction;
    this.#outcome.deliver({ ...request, located, transaction, known });
  }

  /** Nothing here knows the transaction: other peers may, where they could have decided differently. */
  #begin(underway: Underway): void {
    const { request, isAsked } = underway;
    const follows = followsAnother(request.message);
    if (follows && !isAsked) return this.#ask(underway, undefined);
    const located = this.#initial(request, follows);
    if (located.kind === 'pending') return this.#await(located, underway);
    const { view, now } = this.#options;
    const unsettledUntilMs = Math.max(view().unsettledUntilMs, located.doubtedUntilMs);
    const isCertain = located.reason !== 'round-robin' && unsettledUntilMs <= now();
    if (isAsked || follows || isCertain || located.instance === undefined) {
      return this.#deliver(underway, located, undefined);
    }
    this.#ask(underway, located);
  }

  /** @param located where the request goes if nobody knows better */
  #ask(underway: Underway, located: Located | undefined): void {
    const { request, transaction } = underway;
    const { message } = request;
    const instance = located?.instance;
    const claim = located && instance ? { instance, keyDigest: located.keyDigest } : undefined;
    const defaultDigest = this.#options.keys().defaultDigest(message.fromTag ?? '', message.callId);
    this.#directory.ask({ transaction, defaultDigest, message, claim }, (known) => {
      this.#outcome.guard(() => {
        const decided = this.#known(known) ?? located;
        if (decided === undefined) this.#assign({ ...underway, isAsked: true });
        else this.#deliver(underway, decided, known);
      });
    });
  }

  #addressed(
    { message, recognised }: RewriteInput,
    known: Assignment | undefined,
  ): Located | undefined {
    const instance = addressedInstance(message, recognised, this.#options.view());
    if (instance === undefined) return undefined;
    const { stamp } = recognised;
    const keyDigest = known?.keyDigest ?? stamp?.bekey ?? this.#digestOf(message);
    return locatedBy('addressed', keyDigest, instance);
  }

  #known(known: Assignment | undefined): Located | undefined {
    return known && locateKnown(known, this.#options.view());
  }

  /** As the first message that anybody has seen of its transaction. */
  #initial({ message, recognised }: RewriteInput, follows: boolean): Located | PendingKey {
    const view = this.#options.view();
    if (recognised.stamp !== undefined) return locateHeir(recognised.stamp, view, follows);
    const { fromTag, callId, toTag } = message;
    const key = this.#options.keys().sip(sipSubject(message), fromTag ?? '', callId);
    if (key.kind === 'pending') return key;
    // What belongs to something goes by its key; turns and trust are for what begins.
    if (follows || toTag !== undefined) return locateKey(key, view);
    const goesInTurn = this.#options.algorithm() === 'round-robin' && key.reason === 'fallback';
    return goesInTurn ? locateInTurn(key.digest, view, this.#turn++) : locateNew(key, view);
  }

  /** Digest that finds the successors of an instance that was named; not worth waiting for a number. */
  #digestOf(message: RewriteInput['message']): string {
    const keys = this.#options.keys();
    const { fromTag, callId } = message;
    const key = keys.sip(sipSubject(message), fromTag ?? '', callId);
    return key.kind === 'key' ? key.digest : keys.defaultDigest(fromTag ?? '', callId);
  }

  #refusesNew({ request, numbersAwaited, isAsked }: Underway): Refusal | undefined {
    const { message, recognised } = request;
    const isTakenUpAgain = numbersAwaited > 0 || isAsked;
    const goesOn = message.toTag !== undefined || recognised.stamp !== undefined;
    if (isTakenUpAgain || goesOn || followsAnother(message)) return undefined;
    return this.#options.refusesNew?.();
  }

  /** Holds a request until the rules know its number, a bounded number of times. */
  #await({ number }: PendingKey, underway: Underway): void {
    const { numbersAwaited } = underway;
    const isTooMany =
      this.#awaitingNumbers >= pipelineLimits.pendingRequestsMax ||
      numbersAwaited >= pipelineLimits.numbersPerRequestMax;
    if (isTooMany) return this.#outcome.drop('waiting-for-enum');
    this.#awaitingNumbers++;
    void this.#options.ports.numberKnown(number).finally(() => {
      this.#awaitingNumbers--;
      this.#outcome.guard(() => this.#assign({ ...underway, numbersAwaited: numbersAwaited + 1 }));
    });
  }
}
