import { gossipLimits } from '../../../src/config/defaults.ts';
import type {
  Endpoint,
  Member,
  MemberState,
  Seal,
  StreamId,
  Swim,
  SwimEffect,
  SwimEvent,
  SwimInput,
} from '../../../src/gossip/index.ts';
import type { Clock } from '../clock.ts';
import type { Connection } from './streams.ts';
import type { View } from './views.ts';

/** What the system keeps for each waiting datagram beside its bytes. */
const datagramOverheadBytes = 512;

/** What an effect of one machine means for the network around it. */
export interface Surroundings {
  readonly clock: Clock;
  carryOut(peer: SimulatedPeer, effect: SwimEffect): void;
}

interface Arrival {
  /** 0 for streams, which the system does not drop. */
  readonly datagramBytes: number;
  readonly read: () => void;
}

/** What a machine has for the layer above it. */
export type Delivery = SwimEffect & { readonly kind: 'userState' | 'userMessage' };

export interface PeerEvent {
  readonly at: number;
  readonly event: SwimEvent;
}

/**
 * One process: the real machine inside what Node and the system do around it. It obeys the shell's
 * rules: one input at a time, timers before what waits in the sockets.
 */
export class SimulatedPeer {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly seal: Seal;
  readonly swim: Swim;
  readonly view: View;
  readonly events: PeerEvent[] = [];
  /** What it got for the layer above. */
  readonly received: Delivery[] = [];
  /** Kinds of what it got and of what happened, in their order. */
  readonly order: string[] = [];
  readonly counts: Map<string, number> = new Map<string, number>();
  /** Streams that the shell holds open. */
  readonly streams: Map<StreamId, Connection> = new Map<StreamId, Connection>();
  nextAccepted: StreamId = 1;
  /** `host-down`: nothing answers at the address, not even a refusal. */
  life: 'running' | 'stopped' | 'host-down' = 'running';
  sentPackets = 0;
  sentBytes = 0;
  largestPacketBytes = 0;
  /** The process handles what arrives so much later. */
  receiveDelayMs = 0;
  /** What it sends leaves so much later. */
  sendDelayMs = 0;
  /** Whether events and counts are kept for a test to look at: in large clusters that takes its time. */
  readonly keepsRecords: boolean;

  readonly #surroundings: Surroundings;
  readonly #inputs: SwimInput[] = [];
  readonly #inbox: Arrival[] = [];
  readonly #dueWhilePaused: (() => void)[] = [];
  #isHandling = false;
  #isPaused = false;
  #inboxBytes = 0;
  /** Its clock shows so much more than the world's. */
  #clockAheadMs = 0;
  #wakeAt: number | undefined;
  /** The earliest appointment with the clock that stands for `#wakeAt` or a time before it. */
  #appointedAt = Infinity;

  constructor(
    surroundings: Surroundings,
    options: {
      readonly name: string;
      readonly endpoint: Endpoint;
      readonly seal: Seal;
      readonly swim: Swim;
      readonly view: View;
      /** Whether events and counts are kept for a test to look at: in large clusters that takes its time. */
      readonly keepsRecords: boolean;
    },
  ) {
    this.#surroundings = surroundings;
    this.name = options.name;
    this.endpoint = options.endpoint;
    this.seal = options.seal;
    this.swim = options.swim;
    this.view = options.view;
    this.keepsRecords = options.keepsRecords;
  }

  get isRunning(): boolean {
    return this.life === 'running';
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  member(name: string): Member | undefined {
    return this.swim.members().find((member) => member.name === name);
  }

  state(name: string): MemberState | undefined {
    return this.member(name)?.state;
  }

  has(kind: SwimEvent['kind'], name?: string): boolean {
    return this.events.some(
      ({ event }) =>
        event.kind === kind &&
        (name === undefined || ('member' in event && event.member.name === name)),
    );
  }

  count(key: string): number {
    return this.counts.get(key) ?? 0;
  }

  addCount(key: string, by = 1): void {
    this.counts.set(key, this.count(key) + by);
  }

  /** Gives the machine one input; what its effects bring at once waits until they are done. */
  input(input: SwimInput): void {
    if (!this.isRunning) return;
    this.#inputs.push(input);
    if (this.#isHandling) return;
    this.#isHandling = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        for (const effect of this.swim.handle(next, this.#localMs())) {
          if (effect.kind === 'wake') this.#wakeUp(effect.at);
          else this.#surroundings.carryOut(this, effect);
        }
      }
    } finally {
      this.#isHandling = false;
    }
  }

  /** Something reached this process from the network; `read` gives it to the shell. */
  arrive(datagramBytes: number, read: () => void): void {
    if (!this.isRunning) return;
    if (this.receiveDelayMs > 0) {
      this.#surroundings.clock.after(this.receiveDelayMs, () => {
        this.#take({ datagramBytes, read });
      });
      return;
    }
    this.#take({ datagramBytes, read });
  }

  /** A timer of the shell, other than the machine's. */
  after(delayMs: number, run: () => void): void {
    this.#surroundings.clock.after(delayMs, () => {
      if (!this.isRunning) return;
      if (this.#isPaused) this.#dueWhilePaused.push(run);
      else run();
    });
  }

  /** SIGSTOP, or a main thread that is busy: the system still takes what arrives. */
  pause(): void {
    this.#isPaused = true;
  }

  /** SIGCONT: first the timers that are due, then what waits in the sockets. */
  resume(): void {
    if (!this.#isPaused || !this.isRunning) return;
    this.#isPaused = false;
    for (const run of this.#dueWhilePaused.splice(0)) run();
    this.#wakeIfDue();
    for (const { datagramBytes, read } of this.#inbox.splice(0)) {
      if (datagramBytes > 0) this.#inboxBytes -= datagramBytes + datagramOverheadBytes;
      read();
    }
  }

  /** What waits in the sockets of a process that stands still is lost. */
  loseWaiting(): void {
    this.#inbox.length = 0;
    this.#inboxBytes = 0;
  }

  /** The clock that the machine is told of jumps ahead, as when a virtual machine was suspended. */
  jumpAhead(ms: number): void {
    this.#clockAheadMs += ms;
    this.#wakeIfDue();
  }

  /** Ends the process; `host` when its machine goes with it. */
  stop(life: 'stopped' | 'host-down'): void {
    this.life = life;
    this.#inbox.length = 0;
  }

  #take(arrival: Arrival): void {
    if (!this.isRunning) return;
    if (!this.#isPaused) {
      arrival.read();
      return;
    }
    const { datagramBytes } = arrival;
    if (datagramBytes > 0) {
      const takenBytes = datagramBytes + datagramOverheadBytes;
      if (this.#inboxBytes + takenBytes > gossipLimits.receiveBufferBytes) return;
      this.#inboxBytes += takenBytes;
    }
    this.#inbox.push(arrival);
  }

  #localMs(): number {
    return this.#surroundings.clock.nowMs + this.#clockAheadMs;
  }

  #wakeUp(at: number): void {
    this.#wakeAt = at;
    this.#appoint();
  }

  /** Wishes change with nearly every packet; an appointment that comes too early is made anew. */
  #appoint(): void {
    if (this.#wakeAt === undefined) return;
    const { clock } = this.#surroundings;
    const at = Math.max(this.#wakeAt - this.#clockAheadMs, clock.nowMs);
    if (at >= this.#appointedAt) return;
    this.#appointedAt = at;
    clock.at(at, () => {
      // A later appointment, made before an earlier one, finds nothing left to do.
      if (at !== this.#appointedAt) return;
      this.#appointedAt = Infinity;
      if (!this.#isPaused) this.#wakeIfDue();
    });
  }

  #wakeIfDue(): void {
    if (this.#wakeAt === undefined || !this.isRunning) return;
    if (this.#localMs() < this.#wakeAt) {
      this.#appoint();
      return;
    }
    this.#wakeAt = undefined;
    this.input({ kind: 'timer' });
  }
}
