import type { Envelope } from '../../src/pipeline/envelope.ts';
import { assignmentKey, parseSipMessage, type SipMessage } from '../../src/sip/index.ts';

/**
 * Where a message travelled: between a user agent and a peer, between two peers, between a peer and
 * its application.
 */
export type Leg = 'outside' | 'link' | 'application';

/** What was said over a link that is no SIP message. */
export type Word = 'note' | 'ask' | 'answer';

/** What became of a message on its leg. */
export type Fate = 'arrived' | 'lost' | 'refused';

/** One message on one leg, from whom to whom. */
export interface Hop {
  /** When it was sent. */
  readonly atMs: number;
  readonly leg: Leg;
  readonly from: string;
  readonly to: string;
  /** Undefined for words of the directory. */
  readonly message: SipMessage | undefined;
  readonly word: Word | undefined;
  /** Of requests over a link or to an application. */
  readonly envelope: Envelope | undefined;
  /** Call-ID, or the transaction's name for words of the directory. */
  readonly subject: string;
  fate: Fate;
}

/** Every hop of a simulation in the order of sending. */
export class Trace {
  readonly hops: Hop[] = [];
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** @throws when the bytes are no SIP message: nobody in a simulation sends such */
  sip(leg: Leg, from: string, to: string, bytes: Buffer, envelope?: Envelope): Hop {
    const parsed = parseSipMessage(bytes);
    if (!parsed.ok) throw new Error(`${from} sent no SIP message: ${parsed.fault}`);
    const { message } = parsed;
    return this.#add({
      leg,
      from,
      to,
      message,
      word: undefined,
      envelope,
      subject: message.callId,
    });
  }

  word(word: Word, from: string, to: string, transaction: string): Hop {
    return this.#add({
      leg: 'link',
      from,
      to,
      message: undefined,
      word,
      envelope: undefined,
      subject: transaction,
    });
  }

  /** Readable lines of one call, for a failed test. */
  ofCall(callId: string): string {
    const transactions = new Set<string>();
    for (const { message, subject } of this.hops) {
      if (message !== undefined && subject === callId) transactions.add(assignmentKey(message));
    }
    return this.hops
      .filter(({ subject }) => subject === callId || transactions.has(subject))
      .map(describeHop)
      .join('\n');
  }

  #add(hop: Omit<Hop, 'atMs' | 'fate'>): Hop {
    const added: Hop = { atMs: this.#now(), ...hop, fate: 'arrived' };
    this.hops.push(added);
    return added;
  }
}

/** One line: time, leg, who to whom, what, and why there. */
export function describeHop(hop: Hop): string {
  const { message, envelope } = hop;
  const what = message === undefined ? (hop.word ?? '') : describeMessage(message);
  const why =
    envelope === undefined
      ? ''
      : ` [${envelope.reason} → ${envelope.instance}, hop ${envelope.hop}]`;
  const fate = hop.fate === 'arrived' ? '' : ` (${hop.fate})`;
  return `${hop.atMs.toFixed(1).padStart(9)} ${hop.leg.padEnd(11)} ${hop.from} → ${hop.to}: ${what}${why}${fate}`;
}

function describeMessage(message: SipMessage): string {
  const start = message.isRequest ? message.method : `${message.status} to ${message.cseqMethod}`;
  return `${start} ${message.cseqNumber} branch=${message.topVia?.branch ?? '?'}`;
}
