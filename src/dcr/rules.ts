import type { HttpSubject, SipSubject, UriReader } from './subject.ts';

/**
 * Answers for numbers that rules want resolved (ENUM, RFC 6116). Synchronous, so that a rule costs
 * no promise: an answer that is not known yet makes the evaluation `pending`, the caller waits for
 * it and evaluates again.
 */
export interface NumberResolver {
  /**
   * @param number canonical: `+` and digits, or digits
   * @returns the SIP URI found; the number itself when there is none, ENUM is off or timed out;
   *   undefined while the look-up runs
   */
  resolve(number: string): string | undefined;
}

/** The key could not be told yet: `number` is being looked up. */
export interface PendingKey {
  readonly number: string;
}

/** A key (never empty), null (no rule yields one: use the fallback), or a wait for ENUM. */
export type KeyResult = string | null | PendingKey;

/** One step of an evaluation, for the explain tools. */
export interface TraceStep {
  /** 1-based; 0 for a plug-in. */
  readonly line: number;
  readonly depth: number;
  /** As it stands in the file, e.g. `header name="Room-Id"`. */
  readonly element: string;
  /** The variable that was read, where one was. */
  readonly variable?: string;
  /** Null: the element gave no value. */
  readonly value: string | null;
}

/** Receives the steps in the order of evaluation; leave it out on the path of a message. */
export type Trace = (step: TraceStep) => void;

/** What rules need from outside, fixed when they are loaded. */
export interface RuleTools {
  readonly uris: UriReader;
  readonly numbers: NumberResolver;
}

/** Loaded rules: a compiled XML file or a plug-in module. */
export interface Rules {
  readonly kind: 'rule' | 'plugin';
  sipKey(subject: SipSubject, trace?: Trace): KeyResult;
  httpKey(subject: HttpSubject, trace?: Trace): KeyResult;
}
