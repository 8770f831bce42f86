import type { Assignment, Refusal, SipMessage, TransactionMemory } from '../sip/index.ts';
import type { SipNames } from './arrival.ts';
import type { Counters } from './counters.ts';
import type { Envelope } from './envelope.ts';
import type { KeyDeriver } from './key.ts';
import type { ResponseTarget } from './return-response.ts';
import type { SipDestination, SipTarget } from './sip-target.ts';
import type { Stamper } from './stamp.ts';
import type { ClusterView } from './view.ts';

/** What the directory of another peer is asked about one transaction. */
export interface Question {
  readonly peer: string;
  /** {@link assignmentKey} of the transaction. */
  readonly transaction: string;
  /** Where the asker would send it: kept and answered where nothing is known yet. */
  readonly claim: Assignment | undefined;
}

/** What the pipeline makes happen; `peer.ts` wires it to the io rooms. */
export interface PipelinePorts {
  /** Gives a final request to the application of an instance, here or over its link. False: nothing was sent. */
  deliver(message: Buffer, envelope: Envelope): boolean;
  /** Whether an instance that cannot be given anything now may only be held up, and come back. */
  isSilent(instance: string): boolean;
  /** Brings a response to the peer that holds the flow. False: there is no link to it. */
  relayResponse(peer: string, message: Buffer): boolean;
  /** Brings a final response to the application of an instance. False: nothing was sent. */
  deliverResponse(instance: string, message: Buffer): boolean;
  /** Sends to the holder of a flow of this peer, client or application, whose request came in on it. */
  answer(flow: string, target: ResponseTarget): void;
  /**
   * Sends a request of the application on a flow of this peer. False: the flow is gone.
   *
   * @param target where to on a UDP socket; a stream needs none
   */
  sendOnFlow(flow: string, target: SipTarget | undefined, message: Buffer): boolean;
  /** The same on a flow of another peer. False: there is no link to it. */
  relayToFlow(peer: string, flow: string, target: SipTarget | undefined, message: Buffer): boolean;
  /**
   * Finds where a URI's requests go (RFC 3263); calls back at once when that is known already.
   * An empty list: nowhere.
   *
   * @param seed chooses among equal targets, the same for the same seed (RFC 3263 section 4.4)
   */
  resolve(
    destination: SipDestination,
    seed: string,
    found: (targets: readonly SipTarget[]) => void,
  ): void;
  /** Sends a request of the application to a target; `failed` is called when it cannot be reached. */
  send(target: SipTarget, message: Buffer, failed: () => void): void;
  /** Leaves an assignment with another peer's directory; lost without a link. */
  note(peer: string, transaction: string, assignment: Assignment): void;
  /**
   * Asks directories, all at once. `answered` is called exactly once, never before this returns: with
   * the first assignment known, or undefined when none is or the time is up.
   */
  ask(questions: readonly Question[], answered: (assignment: Assignment | undefined) => void): void;
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
  /** How an initial request without a rule's key finds its instance, as things stand now. */
  readonly algorithm: () => 'consistent-hash' | 'round-robin';
  /** Asked before something new is begun; what goes on already is never refused. Default: takes all. */
  readonly refusesNew?: () => Refusal | undefined;
  /** Our Via of requests that leave the cluster names the sprayer rather than this peer. */
  readonly viaNamesSprayer: boolean;
  readonly keys: () => KeyDeriver;
  readonly view: () => ClusterView;
  /** The peer wants no more than what comes, and tells that to OPTIONS. Default: its instance's state does. */
  readonly isUnready?: () => boolean;
  /** Another peer decided by a ring that is not known here: this one may be behind. */
  readonly otherRingSeen?: () => void;
  /** Assignments of this peer's transactions and of those that others left here. */
  readonly memory: TransactionMemory;
  /** Whether a request comes from a program that is not to be talked to. */
  readonly ignores?: (message: SipMessage) => boolean;
  /** Milliseconds that never run backwards. */
  readonly now: () => number;
  readonly ports: PipelinePorts;
}
