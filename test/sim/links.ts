import { transactionLimits } from '../../src/config/defaults.ts';
import type { Envelope } from '../../src/pipeline/envelope.ts';
import type { Question } from '../../src/pipeline/ports.ts';
import type { SipTarget } from '../../src/pipeline/sip-target.ts';
import type { Assignment } from '../../src/sip/index.ts';
import type { Clock } from './clock.ts';
import type { Hop, Trace } from './trace.ts';

/** What a peer does with what comes over a link. */
export interface LinkEnd {
  readonly name: string;
  sipRequest(message: Buffer, envelope: Envelope): void;
  sipResponse(message: Buffer): void;
  toApplication(message: Buffer): void;
  toFlow(message: Buffer, flow: string, target: SipTarget | undefined): void;
  note(transaction: string, assignment: Assignment): void;
  ask(transaction: string, claim: Assignment | undefined): Assignment | undefined;
}

/**
 * How a peer's end of its links ceased: `reset`: its process died and its host says so; `silent`: its
 * host died, what is sent vanishes until somebody knows of it.
 */
type Ending = 'reset' | 'silent';

export interface LinksOptions {
  readonly clock: Clock;
  readonly trace: Trace;
  readonly random: () => number;
}

/** Links between all peers: ordered and reliable, but what is under way dies with its peer. */
export class SimulatedLinks {
  readonly #options: LinksOptions;
  readonly #ends = new Map<string, LinkEnd>();
  readonly #ended = new Map<LinkEnd, Ending>();
  /** The peers that each peer keeps links to: those that membership told it of. */
  readonly #known = new Map<string, ReadonlySet<string>>();
  /** When the last frame of a direction arrives: later ones never overtake it. */
  readonly #arrivals = new Map<string, number>();
  /** Directions that are down although both ends live. */
  readonly #cut = new Set<string>();
  /** A fault on purpose: notes are lost and questions never answered. */
  isDirectoryDown = false;

  constructor(options: LinksOptions) {
    this.#options = options;
  }

  attach(end: LinkEnd): void {
    this.#ends.set(end.name, end);
  }

  end(name: string, ending: Ending): void {
    const end = this.#ends.get(name);
    if (end !== undefined) this.#ended.set(end, ending);
  }

  /** Two peers lose sight of each other, while all others see both. */
  cut(peer: string, other: string): void {
    this.#cut.add(`${peer}>${other}`).add(`${other}>${peer}`);
  }

  /** Replaces the list of living members that a peer knows; links to others are closed. */
  setPeers(peer: string, others: readonly string[]): void {
    this.#known.set(peer, new Set(others));
  }

  sendSipRequest(from: string, to: string, message: Buffer, envelope: Envelope): boolean {
    const hop = this.#options.trace.sip('link', from, to, message, envelope);
    return this.#send(hop, (end) => end.sipRequest(Buffer.from(message), envelope));
  }

  sendSipResponse(from: string, to: string, message: Buffer): boolean {
    const hop = this.#options.trace.sip('link', from, to, message);
    return this.#send(hop, (end) => end.sipResponse(Buffer.from(message)));
  }

  sendToApplication(from: string, to: string, message: Buffer): boolean {
    const hop = this.#options.trace.sip('link', from, to, message);
    return this.#send(hop, (end) => end.toApplication(Buffer.from(message)));
  }

  sendToFlow(
    from: string,
    to: string,
    flow: string,
    target: SipTarget | undefined,
    message: Buffer,
  ): boolean {
    const hop = this.#options.trace.sip('link', from, to, message);
    return this.#send(hop, (end) => end.toFlow(Buffer.from(message), flow, target));
  }

  sendNote(from: string, to: string, transaction: string, assignment: Assignment): void {
    const hop = this.#options.trace.word('note', from, to, transaction);
    if (this.isDirectoryDown) hop.fate = 'lost';
    else this.#send(hop, (end) => end.note(transaction, { ...assignment }));
  }

  /** As the real links do: the first known assignment, or undefined when all know none or time is up. */
  ask(
    from: string,
    questions: readonly Question[],
    answered: (assignment: Assignment | undefined) => void,
  ): void {
    const { clock } = this.#options;
    let open = questions.length;
    let isDone = false;
    const finish = (assignment: Assignment | undefined): void => {
      if (isDone) return;
      isDone = true;
      deadline.cancel();
      answered(assignment);
    };
    const deadline = clock.after(transactionLimits.askTimeoutMs, () => finish(undefined));
    const told = (assignment: Assignment | undefined): void => {
      open--;
      if (assignment !== undefined || open === 0) finish(assignment);
    };
    if (questions.length === 0) clock.after(0, () => finish(undefined));
    for (const question of questions) this.#askOne(from, question, told);
  }

  #askOne(from: string, question: Question, told: (found: Assignment | undefined) => void): void {
    const { clock, trace } = this.#options;
    const { peer, transaction, claim } = question;
    const asked = trace.word('ask', from, peer, transaction);
    const isSent = this.#send(asked, (end) => {
      if (this.isDirectoryDown) return;
      const found = end.ask(transaction, claim);
      const answer = trace.word('answer', peer, from, transaction);
      // It goes back on the stream of the question, whether its sender is known here or not.
      this.#carry(answer, () => told(found));
    });
    if (!isSent) clock.after(0, () => told(undefined));
  }

  /** @returns false when nothing was sent */
  #send(hop: Hop, arrive: (end: LinkEnd) => void): boolean {
    // A peer takes links of its members alone.
    const isKnown = this.#known.get(hop.from)?.has(hop.to) === true;
    const isTaken = this.#known.get(hop.to)?.has(hop.from) === true;
    if (isKnown && isTaken) return this.#carry(hop, arrive);
    hop.fate = 'refused';
    return false;
  }

  #carry(hop: Hop, arrive: (end: LinkEnd) => void): boolean {
    const { clock, random } = this.#options;
    const { from, to } = hop;
    const direction = `${from}>${to}`;
    const end = this.#ends.get(to);
    const isDown = this.#cut.has(direction) || end === undefined;
    if (isDown || this.#ended.get(end) === 'reset') {
      hop.fate = 'refused';
      return false;
    }
    const sender = this.#ends.get(from);
    const atMs = Math.max(clock.nowMs + 0.1 + random(), this.#arrivals.get(direction) ?? 0);
    this.#arrivals.set(direction, atMs);
    clock.at(atMs, () => {
      // What was under way is lost when either end died meanwhile.
      const isCut = this.#ended.has(end) || (sender !== undefined && this.#ended.has(sender));
      if (isCut) hop.fate = 'lost';
      else arrive(end);
    });
    return true;
  }
}
