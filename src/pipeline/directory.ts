import { transactionLimits } from '../config/defaults.ts';
import type { Ring } from '../ring/index.ts';
import type { Assignment, SipMessage } from '../sip/index.ts';
import type { RoutedRequest } from './deliver.ts';
import type { Envelope } from './envelope.ts';
import { own } from './generations.ts';
import type { PipelineOptions } from './ports.ts';
import type { ClusterView } from './view.ts';

/** One transaction that nothing here knows. */
export interface Inquiry {
  readonly transaction: string;
  /** Digest of its default key: names the peers that keep its notes. */
  readonly defaultDigest: string;
  readonly message: SipMessage;
  /** Where its request would go otherwise; undefined for what begins nothing. */
  readonly claim: Assignment | undefined;
}

/** Requests of one transaction that wait for the directory. */
interface Waiting {
  readonly identities: string[];
  readonly followers: (() => void)[];
}

/** `i` or `n` and a 64-bit hash, as `assignmentKey` makes it. */
const transactionPattern = /^[in][0-9a-z]{8,14}$/;
const instancePattern = /^[\w.-]{1,128}$/;
const digestPattern = /^[\w-]{22}$/;

/**
 * Where transactions went. Each peer remembers its own and keeps notes of those whose default key
 * is near to it on the ring; a peer that knows nothing of a transaction asks there.
 */
export class Directory {
  readonly #options: PipelineOptions;
  readonly #waiting = new Map<string, Waiting>();
  /** Requests held back now. */
  #held = 0;

  constructor(options: PipelineOptions) {
    this.#options = options;
  }

  /** What this peer knows of a transaction itself. */
  recall(transaction: string): Assignment | undefined {
    return this.#options.memory.get(transaction, this.#options.now());
  }

  /**
   * Keeps in mind which instance took a request, and leaves notes when that is news.
   */
  remember(request: RoutedRequest, instance: string): void {
    const { message, located, transaction, known } = request;
    const { memory, now, names, ports } = this.#options;
    const view = this.#options.view();
    const assignment = { instance, keyDigest: own(located.keyDigest) };
    memory.set(transaction, assignment, now());
    if (known?.instance === instance || view.instances.size < 2) return;
    const isDefault = located.reason === 'fallback' || located.reason === 'round-robin';
    const digest = isDefault ? located.keyDigest : this.#defaultDigest(message);
    // Another peer may still reach the instance that this one could not, or trust the one it passed over.
    const isMoved = located.instance !== instance || located.doubtedUntilMs === Infinity;
    for (const holder of noteHolders(digest, view, now(), isMoved)) {
      if (holder === names.self || holder === instance) continue;
      ports.note(holder, transaction, assignment);
    }
  }

  /**
   * Holds a request back while its transaction is asked for, so that it neither asks again nor
   * overtakes. A retransmission of what waits already ends here.
   *
   * @param next takes the request up again
   * @returns false when nothing of the transaction waits
   */
  follow(transaction: string, message: SipMessage, next: () => void): boolean {
    const waiting = this.#waiting.get(transaction);
    if (waiting === undefined) return false;
    const { counters } = this.#options;
    const identity = identityOf(message);
    if (waiting.identities.includes(identity)) {
      counters.count('sip_drops', 'retransmitted-while-asking');
    } else if (this.#held >= transactionLimits.asksMax) {
      counters.count('sip_drops', 'too-many-asks');
    } else {
      this.#held++;
      waiting.identities.push(identity);
      waiting.followers.push(next);
    }
    return true;
  }

  /**
   * Asks the peers that may keep a note of the transaction; at most `transactionLimits.asksMax`
   * requests wait at a time, further ones go without asking.
   *
   * @param decided called exactly once, at once when there is nobody to ask: with what is known, or
   *   undefined when nothing is and the claim, if any, stands
   */
  ask(inquiry: Inquiry, decided: (known: Assignment | undefined) => void): void {
    const { transaction, defaultDigest, claim, message } = inquiry;
    const { counters, memory, now, ports } = this.#options;
    const view = this.#options.view();
    if (this.#held >= transactionLimits.asksMax) {
      counters.count('sip_directory', 'too-many-asks');
      return decided(undefined);
    }
    const [first] = view.ring.successors(defaultDigest, 1);
    // A peer that is the place of the claim itself answers others from its memory meanwhile.
    if (claim !== undefined && first === view.self) memory.set(transaction, claim, now());
    const holders = holdersOf(defaultDigest, view, now());
    const others = claim === undefined ? this.#others(holders) : [];
    if (holders.size + others.length === 0) return decided(undefined);
    const waiting: Waiting = { identities: [identityOf(message)], followers: [] };
    this.#waiting.set(transaction, waiting);
    this.#held++;
    const settle = (known: Assignment | undefined): void => {
      if (this.#waiting.get(transaction) !== waiting) return;
      this.#waiting.delete(transaction);
      this.#held -= 1 + waiting.followers.length;
      counters.count('sip_directory', known === undefined ? 'unknown' : 'known');
      decided(known);
      for (const follower of waiting.followers) follower();
    };
    this.#askEach(inquiry, first, holders, (known) => {
      if (known !== undefined || others.length === 0) return settle(known);
      ports.ask(
        others.map((peer) => ({ peer, transaction, claim: undefined })),
        settle,
      );
    });
  }

  /**
   * Peers to ask when the holders of a CANCEL or ACK know nothing. A call may ring for minutes while
   * the ring changes again and again, but the instance that it rings at always knows it.
   */
  #others(asked: ReadonlySet<string>): readonly string[] {
    const { now } = this.#options;
    const { self, instances, unsettledUntilMs } = this.#options.view();
    const { timeoutMs, inviteTimeoutMs, newsNotesMax } = transactionLimits;
    const hasChanged =
      unsettledUntilMs > 0 && now() < unsettledUntilMs - timeoutMs + inviteTimeoutMs;
    if (!hasChanged) return [];
    const others = [...instances.keys()].filter((name) => name !== self && !asked.has(name));
    return others.slice(0, newsNotesMax);
  }

  /**
   * The claim goes to the first holder alone: whoever asks there next is told of it. What another
   * holder knows, e.g. from before the ring changed, outweighs it and corrects the first one.
   */
  #askEach(
    { transaction, claim }: Inquiry,
    first: string | undefined,
    holders: ReadonlySet<string>,
    decided: (known: Assignment | undefined) => void,
  ): void {
    const { ports } = this.#options;
    const claimedAt = claim !== undefined && first !== undefined && holders.has(first);
    const others = [...holders]
      .filter((peer) => !claimedAt || peer !== first)
      .map((peer) => ({ peer, transaction, claim: undefined }));
    let open = Number(claimedAt) + Number(others.length > 0);
    if (open === 0) return decided(undefined);
    const answered = (known: Assignment | undefined): void => {
      open--;
      if (known !== undefined || open === 0) decided(known);
    };
    if (claimedAt) {
      ports.ask([{ peer: first, transaction, claim }], (known) => {
        answered(isSame(known, claim) ? undefined : known);
      });
    }
    if (others.length === 0) return;
    ports.ask(others, (known) => {
      if (claimedAt && known !== undefined) ports.note(first, transaction, known);
      answered(known);
    });
  }

  /** A request of another peer for the instance here names its transaction. */
  learn({ transaction, keyDigest }: Envelope): void {
    if (transaction !== '')
      this.note(transaction, { instance: this.#options.names.self, keyDigest });
  }

  /** Another peer left a note; a malformed one is counted. */
  note(transaction: string, assignment: Assignment): void {
    const { memory, now, counters } = this.#options;
    if (isSane(transaction, assignment)) memory.set(transaction, assignment, now());
    else counters.count('sip_directory', 'malformed');
  }

  /** Another peer asks; its claim is kept and answered where nothing is known. */
  answer(transaction: string, claim: Assignment | undefined): Assignment | undefined {
    const { memory, now, counters } = this.#options;
    if (!isSane(transaction, claim)) {
      counters.count('sip_directory', 'malformed');
      return undefined;
    }
    const known = memory.get(transaction, now());
    if (known === undefined && claim !== undefined) memory.set(transaction, claim, now());
    return known ?? claim;
  }

  #defaultDigest({ fromTag, callId }: SipMessage): string {
    return this.#options.keys().defaultDigest(fromTag ?? '', callId);
  }
}

/** Peers that keep the notes of a key under one ring. */
function successorsOn(ring: Ring, defaultDigest: string): readonly string[] {
  return ring.successors(defaultDigest, transactionLimits.noteHolders);
}

/** Living holders of a key's notes, under the ring and those that were in force until now; never this peer. */
function holdersOf(
  defaultDigest: string,
  { self, ring, pastRings, instances }: ClusterView,
  nowMs: number,
): ReadonlySet<string> {
  const holders = new Set(successorsOn(ring, defaultDigest));
  for (const past of pastRings) {
    if (past.untilMs <= nowMs) continue;
    for (const name of successorsOn(past.ring, defaultDigest)) {
      if (instances.has(name)) holders.add(name);
    }
  }
  holders.delete(self);
  return holders;
}

/**
 * Who gets notes. A peer that would decide differently and asks nobody has to be told: all, while
 * news of a change spreads, and when the request went to another instance than it belonged to. Later
 * a peer may still ask where a past ring points.
 */
function noteHolders(
  defaultDigest: string,
  view: ClusterView,
  nowMs: number,
  isMoved: boolean,
): Iterable<string> {
  const { timeoutMs, newsSpreadMs, newsNotesMax } = transactionLimits;
  const { ring, instances, unsettledUntilMs } = view;
  const isSpreading = nowMs - (unsettledUntilMs - timeoutMs) < newsSpreadMs;
  const concernsAll = isMoved || (unsettledUntilMs > nowMs && isSpreading);
  if (concernsAll && instances.size <= newsNotesMax) return instances.keys();
  if (unsettledUntilMs <= nowMs) return successorsOn(ring, defaultDigest);
  return holdersOf(defaultDigest, view, nowMs);
}

/** Same for retransmissions, different for forked copies of a request (RFC 3261 section 16.6). */
function identityOf({ method, topVia }: SipMessage): string {
  return `${method} ${topVia?.branch ?? ''}`;
}

function isSame(a: Assignment | undefined, b: Assignment): boolean {
  return a?.instance === b.instance && a.keyDigest === b.keyDigest;
}

function isSane(transaction: string, assignment: Assignment | undefined): boolean {
  if (!transactionPattern.test(transaction)) return false;
  if (assignment === undefined) return true;
  return instancePattern.test(assignment.instance) && digestPattern.test(assignment.keyDigest);
}
