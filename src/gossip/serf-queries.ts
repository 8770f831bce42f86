import { gossipLimits } from '../config/defaults.ts';
import type { Endpoint } from './address.ts';
import type { LamportClock } from './serf-clock.ts';
import type { KeyAnswers, SerfContext } from './serf-effect.ts';
import { encodeKeyResponse, keyOperation, keyQuery, type KeyOperation } from './serf-keys.ts';
import { SerfMemory } from './serf-memory.ts';
import {
  decodeKeyAnswer,
  decodeNameFilter,
  encodeQuery,
  encodeResponse,
  type KeyAnswer,
  type Query,
  type QueryResponse,
  type Relay,
} from './serf-message.ts';

/** A question of ours that waits for answers. */
interface Asked {
  readonly ticket: number;
  readonly endsAt: number;
  readonly answers: Map<string, KeyAnswer>;
  readonly of: number;
}

/** Questions to all members: passes them on, answers those about keys, asks such of its own. */
export class SerfQueries {
  readonly #context: SerfContext;
  readonly #clock: LamportClock;
  readonly #memory = new SerfMemory();
  readonly #asked = new Map<number, Asked>();

  constructor(context: SerfContext, clock: LamportClock) {
    this.#context = context;
    this.#clock = clock;
  }

  /** `bytes` is the message that the query came in. */
  take(query: Query, bytes: Uint8Array): void {
    this.#clock.witness(query.time);
    const verdict = this.#memory.note(query.time, query.id, this.#clock.time);
    if (verdict === 'seen') return;
    if (verdict !== 'new') {
      this.#context.drop(`serf-${verdict}`);
      return;
    }
    if (!query.isForUsAlone) this.#context.broadcast(bytes);
    if (!this.#isMeant(query.filters)) return;
    // Whoever has the key could otherwise make all members send packets anywhere.
    if (!this.#isMember(query.source)) {
      this.#context.drop('serf-stranger');
      return;
    }
    if (query.isAckWanted) this.#acknowledge(query);
    const operation = keyOperation(query);
    if (operation !== undefined) this.#context.add({ kind: 'keys', operation, query });
  }

  /** Sends or keeps what became of a `keys` effect. */
  keysDone(query: Query, answer: KeyAnswer): void {
    const { options, add } = this.#context;
    const asked = this.#asked.get(query.id);
    if (query.sourceNode === options.name) {
      if (asked !== undefined) this.#record(query.id, asked, options.name, answer);
      return;
    }
    add({
      kind: 'sendUser',
      to: query.source,
      bytes: encodeKeyResponse(query, options.name, answer),
    });
    add({ kind: 'count', name: 'gossip_queries', reason: 'answered' });
  }

  ask(operation: KeyOperation, ticket: number, timeoutMs: number): void {
    const { options, add, now, broadcast } = this.#context;
    const of = this.#liveCount();
    if (this.#asked.size >= gossipLimits.serfQuestionsMax) {
      add({ kind: 'keyAnswers', ticket, answers: { answers: new Map(), of } });
      this.#context.drop('serf-questions-full');
      return;
    }
    const id = Math.floor(options.random() * 0x8000_0000);
    const query = keyQuery(operation, { id, time: this.#clock.time, timeoutMs, options });
    this.#clock.witness(query.time);
    this.#memory.note(query.time, id, this.#clock.time);
    const endsAt = now + timeoutMs;
    this.#asked.set(id, { ticket, endsAt, answers: new Map(), of });
    broadcast(encodeQuery(query));
    add({ kind: 'wake', at: endsAt });
    add({ kind: 'keys', operation, query });
  }

  response(response: QueryResponse): void {
    const asked = this.#asked.get(response.id);
    const answer = decodeKeyAnswer(response.payload);
    if (asked === undefined || answer === undefined) {
      this.#context.drop(asked === undefined ? 'serf-late' : 'serf-malformed');
      return;
    }
    const isKnown = this.#context.options.members().some(({ name }) => name === response.from);
    if (isKnown) this.#record(response.id, asked, response.from, answer);
    else this.#context.drop('serf-stranger');
  }

  /** Passes an answer to the member that asked; nobody else is reached through us. */
  relay({ to, body }: Relay): void {
    if (!this.#isMember(to)) this.#context.drop('serf-stranger');
    else this.#context.add({ kind: 'sendUser', to, bytes: body });
  }

  /** Gives up questions whose time is over. */
  expire(): void {
    for (const [id, asked] of this.#asked) {
      if (asked.endsAt <= this.#context.now) this.#finish(id, asked);
    }
  }

  #record(id: number, asked: Asked, from: string, answer: KeyAnswer): void {
    if (!asked.answers.has(from)) asked.answers.set(from, answer);
    if (asked.answers.size >= asked.of) this.#finish(id, asked);
  }

  #finish(id: number, { ticket, answers, of }: Asked): void {
    this.#asked.delete(id);
    const result: KeyAnswers = { answers, of };
    this.#context.add({ kind: 'keyAnswers', ticket, answers: result });
  }

  /** A filter by tag is an expression that we do not evaluate: such a question is not for us. */
  #isMeant(filters: readonly Uint8Array[]): boolean {
    const { name } = this.#context.options;
    return filters.every((filter) => decodeNameFilter(filter)?.includes(name) ?? false);
  }

  #acknowledge({ time, id, source }: Query): void {
    const { options, add } = this.#context;
    const payload = new Uint8Array(0);
    const from = options.name;
    const bytes = encodeResponse({ kind: 'queryResponse', time, id, from, isAck: true, payload });
    add({ kind: 'sendUser', to: source, bytes });
    add({ kind: 'count', name: 'gossip_queries', reason: 'acknowledged' });
  }

  #isMember(endpoint: Endpoint): boolean {
    return this.#context.options
      .members()
      .some(({ address, port }) => address === endpoint.address && port === endpoint.port);
  }

  #liveCount(): number {
    const isLive = (state: string): boolean => state === 'alive' || state === 'suspect';
    return this.#context.options.members().filter(({ state }) => isLive(state)).length;
  }
}
