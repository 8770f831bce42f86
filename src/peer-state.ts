import type { ChangeOutcome, StateVersion } from './admin/index.ts';
import {
  announcedDigest,
  CatchUp,
  ClusterState,
  instanceKey,
  type AnnouncedState,
  type ChangeFault,
  type ClusterRules,
  type DecidedInstance,
  type Entry,
  type InstanceFlags,
  type Policy,
  type StateFault,
} from './cluster/index.ts';
import type { Config } from './config/index.ts';
import { Alarm } from './io/alarm.ts';
import { StateFolder } from './io/state/index.ts';
import type { Counters } from './pipeline/counters.ts';

type LogLine = (fields: object, message: string) => void;

/** What the state side needs of the rest of the peer. */
export interface StateSideParts {
  readonly config: Pick<Config, 'name' | 'cluster' | 'dataDir'>;
  readonly log: { readonly info: LogLine; readonly warn: LogLine; readonly error: LogLine };
  readonly counters: Counters;
  /** 0 to 1, below 1. */
  readonly random: () => number;
  /** Whether this peer has met its cluster, and knows what was decided. */
  readonly hasJoined: () => boolean;
  readonly gossip: () => StateGossip;
  /** What operators decided about this peer's instance; undefined: nothing. Only when it changes. */
  readonly onFlags: (flags: InstanceFlags | undefined) => void;
  /** Rules that all peers run; undefined: those of their configurations. Only when they change. */
  readonly onRules: (rules: ClusterRules | undefined) => void;
  /** Only when it changes. */
  readonly onPolicy: (policy: Policy) => void;
}

/** How the state reaches the others. */
export interface StateGossip {
  /** Tells the others that there is another state, and what full syncs bring from now on. */
  shareState(): void;
  /** Exchanges all with a member at once. */
  syncWith(name: string): void;
}

/** The state that all peers share, put together: what was decided, its file, and who has news of it. */
export class StateSide {
  readonly #parts: StateSideParts;
  readonly #state: ClusterState;
  readonly #catchUp: CatchUp;
  readonly #alarm: Alarm;
  readonly #folder: StateFolder | undefined;
  #policy: Policy = {};

  constructor(parts: StateSideParts) {
    const { config, counters, log, random } = parts;
    this.#parts = parts;
    this.#state = new ClusterState(config.name);
    this.#catchUp = new CatchUp(this.#state, random);
    this.#alarm = new Alarm(() => this.#catchUpNow(), now);
    const { name: peer, dataDir: folder, cluster } = config;
    this.#folder =
      folder === undefined
        ? undefined
        : new StateFolder({ folder, peer, cluster: cluster.name, counters, log });
  }

  /** Reads what this peer kept. Rejects with a remedy when `dataDir` cannot be used. */
  async start(): Promise<void> {
    if (this.#folder === undefined) return;
    const kept = await this.#folder.open();
    if (kept !== undefined) {
      const fault = this.#take(kept, 'file');
      if (fault !== undefined) await this.#folder.setAside(fault);
    }
    // Shows at once whether the folder can be written, and whose it is.
    if (!(await this.#folder.save(this.#state.bytes))) {
      throw new Error(
        `dataDir ${String(this.#parts.config.dataDir)} cannot be written; the log has the reason. ` +
          'Name a folder that this user may write, on a disk with room',
      );
    }
  }

  async stop(): Promise<void> {
    this.#alarm.set(Infinity);
    await this.#folder?.close();
  }

  /** What full syncs bring to others. */
  get bytes(): Uint8Array {
    return this.#state.bytes;
  }

  /** What is announced of the state. */
  get announced(): string {
    return announcedDigest(this.#state.digest);
  }

  get status(): StateVersion {
    return { clock: this.#state.clock, digest: this.announced };
  }

  /** Whether no living member announces a state that this peer has not taken in. */
  get isCaughtUp(): boolean {
    return this.#catchUp.isCaughtUp;
  }

  get rules(): ClusterRules | undefined {
    return this.#state.rules;
  }

  get policy(): Policy {
    return this.#policy;
  }

  /** What was decided about this peer's instance. */
  get flags(): InstanceFlags | undefined {
    return this.#state.instance(this.#parts.config.name);
  }

  instance(name: string): InstanceFlags | undefined {
    return this.#state.instance(name);
  }

  instances(): readonly DecidedInstance[] {
    return this.#state.instances();
  }

  entries(): readonly Entry[] {
    return this.#state.entries();
  }

  /** A full sync brought the state of another peer. */
  received(bytes: Uint8Array): void {
    this.#take(bytes, 'gossip');
  }

  /** @param members the living ones but for this peer */
  membersChanged(members: readonly AnnouncedState[]): void {
    this.#catchUp.membersChanged(members, now());
    this.#alarm.set(this.#catchUp.dueMs);
  }

  /** Undefined takes the rules of the cluster away again. They must have been checked. */
  setRules(rules: ClusterRules | undefined): Promise<ChangeOutcome> {
    return this.#change('rules', () => this.#state.setRules(rules));
  }

  setPolicy(policy: Policy | undefined): Promise<ChangeOutcome> {
    return this.#change('policy', () => this.#state.setPolicy(policy));
  }

  /** The instance's peer hears of it at once, the others soon. */
  async setInstance(name: string, flags: InstanceFlags | undefined): Promise<ChangeOutcome> {
    const outcome = this.#change(instanceKey(name), () => this.#state.setInstance(name, flags));
    if (name !== this.#parts.config.name) this.#parts.gossip().syncWith(name);
    return outcome;
  }

  async #change(key: string, set: () => ChangeFault | undefined): Promise<ChangeOutcome> {
    const { counters, log, hasJoined } = this.#parts;
    const fault = hasJoined() ? set() : 'joining';
    counters.count('cluster_state', fault ?? 'changed');
    if (fault !== undefined) {
      log.warn({ key, fault }, 'a change of the cluster state was not taken');
      return { ok: false, fault };
    }
    log.info({ key, clock: this.#state.clock }, 'an operator changed the cluster state');
    this.#spread(new Set([key]));
    if (this.#folder === undefined) return { ok: true, stored: 'memory' };
    return { ok: true, stored: (await this.#folder.save(this.#state.bytes)) ? 'disk' : 'failed' };
  }

  /** Why it could not be taken in; undefined when it was. */
  #take(bytes: Uint8Array, source: 'gossip' | 'file'): StateFault | undefined {
    const { counters, log } = this.#parts;
    const received = this.#state.receive(bytes);
    if (received.kind === 'refused') {
      counters.count('cluster_state', received.fault);
      log.error({ source, fault: received.fault }, 'a state of the cluster could not be taken in');
    }
    // Even one that brought nothing was perhaps what this peer waited for.
    this.#lookAhead();
    if (received.kind === 'refused') return received.fault;
    if (received.kind === 'known') return undefined;
    const keys = [...received.keys];
    log.info({ source, keys, clock: this.#state.clock }, 'the cluster state changed');
    if (source === 'gossip') {
      counters.count('cluster_state', 'merged');
      void this.#folder?.save(this.#state.bytes);
    }
    this.#spread(received.keys);
    return undefined;
  }

  /** Lets everybody who has to do with these keys know. */
  #spread(keys: ReadonlySet<string>): void {
    const { config, onFlags, onPolicy, onRules, gossip } = this.#parts;
    if (keys.has('policy')) {
      this.#policy = this.#state.policy;
      onPolicy(this.#policy);
    }
    if (keys.has('rules')) onRules(this.#state.rules);
    if (keys.has(instanceKey(config.name))) onFlags(this.flags);
    this.#lookAhead();
    gossip().shareState();
  }

  #lookAhead(): void {
    this.#catchUp.stateChanged(now());
    this.#alarm.set(this.#catchUp.dueMs);
  }

  #catchUpNow(): void {
    const name = this.#catchUp.due(now());
    if (name !== undefined) this.#parts.gossip().syncWith(name);
    this.#alarm.set(this.#catchUp.dueMs);
  }
}

/** Milliseconds that never run backwards. */
const now = (): number => performance.now();
