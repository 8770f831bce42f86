import { gossipLimits } from '../../config/defaults.ts';
import {
  SerfDelegate,
  type Endpoint,
  type KeyAnswer,
  type KeyAnswers,
  type KeyOperation,
  type Member,
  type SerfEffect,
  type SerfInput,
  type SwimInput,
} from '../../gossip/index.ts';
import type { Counters } from '../../pipeline/counters.ts';

export interface SerfBridgeOptions {
  readonly name: string;
  readonly endpoint: Endpoint;
  /** Answers of members are waited for so many rounds. */
  readonly gossipIntervalMs: number;
  readonly counters: Counters;
  readonly members: () => readonly Member[];
  /** Takes what is for the machine of the membership. */
  readonly onInput: (input: SwimInput) => void;
  /** What another peer of ours said in a full sync. */
  readonly onOwnState: (bytes: Uint8Array, from: string | undefined) => void;
  /** Does this to the keys of this peer. Never throws. */
  readonly onKeys: (operation: KeyOperation) => KeyAnswer | Promise<KeyAnswer>;
}

/** Clock and chance around the machine that speaks serf, between it and that of the membership. */
export class SerfBridge {
  readonly #options: SerfBridgeOptions;
  readonly #delegate: SerfDelegate;
  readonly #asking = new Map<number, (answers: KeyAnswers) => void>();
  readonly #wakes = new Set<NodeJS.Timeout>();
  #tickets = 0;

  constructor(options: SerfBridgeOptions) {
    this.#options = options;
    const { name, endpoint, members } = options;
    this.#delegate = new SerfDelegate({ name, endpoint, members, random: Math.random });
  }

  /** What full syncs shall bring to other peers. Throws RangeError above 4 MiB. */
  setOwnState(bytes: Uint8Array): void {
    this.#input({ kind: 'setOwnState', bytes });
  }

  /** A full sync brought user state. */
  state(bytes: Uint8Array, from: string | undefined): void {
    this.#input({ kind: 'state', bytes, from });
  }

  /** A user message came. */
  message(bytes: Uint8Array): void {
    this.#input({ kind: 'message', bytes });
  }

  /** Tells that this peer goes by its own word, and has the membership tell that it is gone. */
  leave(): void {
    this.#input({ kind: 'leave' });
  }

  /** Has this done to the keys of all members, this peer's first; settles when all answered or in time. */
  askKeys(operation: KeyOperation): Promise<KeyAnswers> {
    const ticket = ++this.#tickets;
    const rounds =
      gossipLimits.serfQueryTimeoutMult * Math.ceil(Math.log10(this.#options.members().length + 1));
    const timeoutMs = rounds * this.#options.gossipIntervalMs;
    return new Promise((resolve) => {
      this.#asking.set(ticket, resolve);
      this.#input({ kind: 'askKeys', operation, ticket, timeoutMs });
    });
  }

  /** Answers nobody any more; who still asks here gets the answers that came. */
  stop(): void {
    for (const wake of this.#wakes) clearTimeout(wake);
    this.#wakes.clear();
    for (const resolve of this.#asking.values()) resolve({ answers: new Map(), of: 0 });
    this.#asking.clear();
  }

  #input(input: SerfInput): void {
    for (const effect of this.#delegate.handle(input, performance.now())) this.#do(effect);
  }

  #do(effect: SerfEffect): void {
    switch (effect.kind) {
      case 'broadcast':
      case 'sendUser':
        this.#options.onInput(effect);
        return;
      case 'userState':
        this.#options.onInput({ kind: 'setUserState', bytes: effect.bytes });
        return;
      case 'leaveIntent':
        this.#options.onInput({ kind: 'leave', intent: effect.bytes });
        return;
      case 'ownState':
        this.#options.onOwnState(effect.bytes, effect.from);
        return;
      case 'keys':
        void this.#keys(effect);
        return;
      case 'keyAnswers':
        this.#asking.get(effect.ticket)?.(effect.answers);
        this.#asking.delete(effect.ticket);
        return;
      case 'wake':
        this.#wakeAt(effect.at);
        return;
      case 'count':
        this.#options.counters.count(effect.name, effect.reason);
        return;
    }
  }

  async #keys({ operation, query }: Extract<SerfEffect, { kind: 'keys' }>): Promise<void> {
    const answer = await this.#options.onKeys(operation);
    this.#input({ kind: 'keysDone', query, answer });
  }

  #wakeAt(at: number): void {
    const wake = setTimeout(
      () => {
        this.#wakes.delete(wake);
        // The clock of timers knows whole milliseconds only, so it may be a little early.
        if (performance.now() < at) this.#wakeAt(at);
        else this.#input({ kind: 'timer' });
      },
      Math.max(0, Math.ceil(at - performance.now())),
    );
    this.#wakes.add(wake);
  }
}
