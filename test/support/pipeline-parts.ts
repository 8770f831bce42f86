import assert from 'node:assert/strict';
import type { Arrival, ListenerNames, SipNames } from '../../src/pipeline/arrival.ts';
import { Counters } from '../../src/pipeline/counters.ts';
import type { Envelope } from '../../src/pipeline/envelope.ts';
import { KeyDeriver } from '../../src/pipeline/key.ts';
import type { PipelineOptions, PipelinePorts, Question } from '../../src/pipeline/ports.ts';
import type { ResponseTarget } from '../../src/pipeline/return-response.ts';
import type { SipDestination, SipTarget } from '../../src/pipeline/sip-target.ts';
import { Stamper } from '../../src/pipeline/stamp.ts';
import {
  jvmRoutesOf,
  type ClusterView,
  type InstanceStatus,
  type InstanceView,
} from '../../src/pipeline/view.ts';
import { createRing } from '../../src/ring/index.ts';
import {
  parseSipMessage,
  TransactionMemory,
  type Assignment,
  type SipMessage,
} from '../../src/sip/index.ts';

/** The message that these bytes are; fails the test when they are none. */
export function parsed(bytes: Buffer): SipMessage {
  const result = parseSipMessage(bytes);
  assert.ok(result.ok);
  return result.message;
}

/** A UDP listener on the outside, seen as the sprayer's address. */
export function listenerNames(overrides: Partial<ListenerNames> = {}): ListenerNames {
  return {
    type: 'default',
    transport: 'UDP',
    advertised: 'sip.example.net:5060',
    own: '192.0.2.1:5060',
    isV6: false,
    ...overrides,
  };
}

/** From a client at 198.51.100.7:5070 over UDP. */
export function arrivalOf(overrides: Partial<Arrival> = {}): Arrival {
  const transport = overrides.transport ?? 'UDP';
  return {
    transport,
    address: '198.51.100.7',
    port: 5070,
    flow: 'u0',
    listener: listenerNames({ transport }),
    ...overrides,
  };
}

/** A peer of the cluster that clients know as `sip.example.net`. */
export function sipNamesOf(self: string, overrides: Partial<SipNames> = {}): SipNames {
  const publicAddress = 'sip.example.net:5060';
  const own = new Set([publicAddress, '192.0.2.1:5060']);
  return { self, publicAddress, own, listeners: [listenerNames()], ...overrides };
}

/** An upstream application at the peer `name`; the number makes its addresses. */
export function instanceOf(
  name: string,
  number: number,
  overrides: Partial<InstanceView> = {},
): InstanceView {
  return {
    name,
    status: 'ready',
    sipInternal: `10.0.0.${number}:5090`,
    sipTransport: 'UDP',
    applications: [`10.0.0.${number}:5080`],
    ...overrides,
  };
}

/** Instances by name; a letter's place in the alphabet makes its number, so it keeps its addresses. */
export function clusterView(
  self: string,
  statuses: Readonly<Record<string, InstanceStatus>>,
  overrides: Partial<ClusterView> = {},
): ClusterView {
  const instances = Object.entries(statuses).map(([name, status]) =>
    instanceOf(name, name.charCodeAt(0) - 0x60, { status }),
  );
  const ready = instances.filter(({ status }) => status === 'ready');
  return {
    self,
    ring: createRing(ready.map(({ name }) => ({ name, weight: 1 }))),
    instances: new Map(instances.map((instance) => [instance.name, instance])),
    applications: new Map(
      instances.flatMap(({ name, applications }) => applications.map((address) => [address, name])),
    ),
    departed: new Map(),
    jvmRoutes: jvmRoutesOf(instances),
    ringSinceMs: 0,
    pastRings: [],
    unsettledUntilMs: 0,
    doubts: new Map(),
    ...overrides,
  };
}

/** A request as an application gets it. */
export interface Delivered {
  readonly message: SipMessage;
  readonly envelope: Envelope;
}

/** An answer on its way to a client. */
export interface Answered {
  readonly flow: string;
  readonly target: ResponseTarget;
  readonly message: SipMessage;
}

/** Ports that record what they are given. Names in `unreachable` take nothing. */
export class RecordedPorts implements PipelinePorts {
  readonly delivered: Delivered[] = [];
  readonly relayed: { peer: string; message: Buffer }[] = [];
  readonly deliveredResponses: { instance: string; message: Buffer }[] = [];
  readonly answered: Answered[] = [];
  readonly onFlows: {
    peer: string | undefined;
    flow: string;
    target: SipTarget | undefined;
    message: Buffer;
  }[] = [];
  readonly sent: { target: SipTarget; message: Buffer; failed: () => void }[] = [];
  readonly notes: { peer: string; transaction: string; assignment: Assignment }[] = [];
  readonly questions: Question[] = [];
  readonly defects: unknown[] = [];
  readonly unreachable: Set<string> = new Set<string>();
  readonly silent: Set<string> = new Set<string>();
  /** What other peers' directories know; asked one by one, when the test lets answers arrive. */
  directory: (question: Question) => Assignment | undefined = () => undefined;
  targets: readonly SipTarget[] = [];
  known: () => Promise<void> = () => Promise.resolve();
  #answers: (() => void)[] = [];

  deliver(message: Buffer, envelope: Envelope): boolean {
    if (this.unreachable.has(envelope.instance)) return false;
    this.delivered.push({ message: parsed(message), envelope });
    return true;
  }

  isSilent(instance: string): boolean {
    return this.silent.has(instance);
  }

  relayResponse(peer: string, message: Buffer): boolean {
    if (this.unreachable.has(peer)) return false;
    this.relayed.push({ peer, message });
    return true;
  }

  deliverResponse(instance: string, message: Buffer): boolean {
    if (this.unreachable.has(instance)) return false;
    this.deliveredResponses.push({ instance, message });
    return true;
  }

  answer(flow: string, target: ResponseTarget): void {
    this.answered.push({ flow, target, message: parsed(target.message) });
  }

  sendOnFlow(flow: string, target: SipTarget | undefined, message: Buffer): boolean {
    if (this.unreachable.has(flow)) return false;
    this.onFlows.push({ peer: undefined, flow, target, message });
    return true;
  }

  relayToFlow(peer: string, flow: string, target: SipTarget | undefined, message: Buffer): boolean {
    if (this.unreachable.has(peer)) return false;
    this.onFlows.push({ peer, flow, target, message });
    return true;
  }

  resolve(
    _destination: SipDestination,
    _seed: string,
    found: (targets: readonly SipTarget[]) => void,
  ): void {
    found(this.targets);
  }

  send(target: SipTarget, message: Buffer, failed: () => void): void {
    this.sent.push({ target, message, failed });
  }

  note(peer: string, transaction: string, assignment: Assignment): void {
    this.notes.push({ peer, transaction, assignment });
  }

  ask(
    questions: readonly Question[],
    answered: (assignment: Assignment | undefined) => void,
  ): void {
    this.questions.push(...questions);
    this.#answers.push(() => {
      for (const question of questions) {
        const assignment = this.directory(question);
        if (assignment !== undefined) return answered(assignment);
      }
      answered(undefined);
    });
  }

  /** Lets all answers of directories arrive that are under way. */
  letAnswersArrive(): void {
    for (const arrive of this.#answers.splice(0)) arrive();
  }

  numberKnown(): Promise<void> {
    return this.known();
  }

  defect(error: unknown): void {
    this.defects.push(error);
  }

  /** The request that was delivered last; fails the test when there is none. */
  get last(): Delivered {
    const last = this.delivered.at(-1);
    assert.ok(last !== undefined, 'nothing was delivered');
    return last;
  }
}

/** Options of a peer's pipeline without rules; all peers made here share one stamp key. */
export function pipelineOptions(
  self: string,
  ports: PipelinePorts,
  view: () => ClusterView,
  overrides: Partial<PipelineOptions> = {},
): PipelineOptions {
  const keys = new KeyDeriver(undefined);
  return {
    names: sipNamesOf(self),
    stamper: new Stamper([{ id: 'k1', secret: Buffer.alloc(32, 7) }]),
    counters: new Counters(),
    onInvalidStamp: 'ignore',
    algorithm: () => 'consistent-hash',
    viaNamesSprayer: false,
    keys: () => keys,
    view,
    memory: new TransactionMemory(),
    now: () => 0,
    ports,
    ...overrides,
  };
}
