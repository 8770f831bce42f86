import assert from 'node:assert/strict';
import type { Arrival } from '../../src/pipeline/arrival.ts';
import { Counters } from '../../src/pipeline/counters.ts';
import type { Envelope } from '../../src/pipeline/envelope.ts';
import { digestOf, KeyDeriver } from '../../src/pipeline/key.ts';
import { Pipeline } from '../../src/pipeline/pipeline.ts';
import type { PipelineOptions } from '../../src/pipeline/ports.ts';
import type { ClusterView, InstanceStatus } from '../../src/pipeline/view.ts';
import type { KeyResult, Rules } from '../../src/dcr/index.ts';
import { TransactionMemory, type Assignment, type SipMessage } from '../../src/sip/index.ts';
import {
  arrivalOf,
  clusterView,
  pipelineOptions,
  RecordedPorts,
  type Delivered,
} from './pipeline-parts.ts';
import { request, type RequestOptions } from './sip-text.ts';

/** One peer's pipeline on recorded ports; time stands still unless the test moves it. */
export class PipelinePeer extends RecordedPorts {
  readonly name: string;
  readonly counters: Counters = new Counters();
  readonly memory: TransactionMemory = new TransactionMemory();
  readonly pipeline: Pipeline;
  /** What the application here was given. */
  readonly served: Delivered[] = [];
  view: ClusterView;
  rules: Rules | undefined;
  nowMs = 1_000;
  /** Peers by name that take what this one sends; empty: everything ends in the records. */
  others: ReadonlyMap<string, PipelinePeer> = new Map();

  constructor(name: string, view: ClusterView, overrides: Partial<PipelineOptions> = {}) {
    super();
    this.name = name;
    this.view = view;
    const { counters, memory } = this;
    this.pipeline = new Pipeline(
      pipelineOptions(name, this, () => this.view, {
        counters,
        memory,
        keys: () => new KeyDeriver(this.rules),
        now: () => this.nowMs,
        ...overrides,
      }),
    );
    this.directory = ({ peer, transaction, claim }) =>
      this.#reachable(peer)?.pipeline.questionArrived(transaction, claim);
  }

  /** A request from outside; what it asks directories for stays open. */
  hear(options: RequestOptions, from: Arrival = arrivalOf()): void {
    this.pipeline.receive(request(options), from);
    assert.deepEqual(this.defects, []);
  }

  /** A request from outside, until it has found its instance. @returns that instance's name */
  route(options: RequestOptions, from: Arrival = arrivalOf()): string {
    const before = this.delivered.length;
    this.hear(options, from);
    this.letAnswersArrive();
    assert.deepEqual(this.defects, []);
    assert.equal(this.delivered.length, before + 1, 'it was not delivered exactly once');
    return this.last.envelope.instance;
  }

  override deliver(message: Buffer, envelope: Envelope): boolean {
    if (!super.deliver(message, envelope)) return false;
    if (envelope.instance === this.name) this.served.push(this.last);
    else this.others.get(envelope.instance)?.pipeline.receiveRelayed(message, envelope);
    return true;
  }

  override note(peer: string, transaction: string, assignment: Assignment): void {
    super.note(peer, transaction, assignment);
    this.#reachable(peer)?.pipeline.noteArrived(transaction, assignment);
  }

  #reachable(peer: string): PipelinePeer | undefined {
    return this.unreachable.has(peer) ? undefined : this.others.get(peer);
  }
}

/** A call whose key belongs to this instance, in a cluster of these. */
export function callOf(
  instance: string,
  statuses: Readonly<Record<string, InstanceStatus>>,
): string {
  const { ring } = clusterView(instance, statuses);
  const calls = Array.from({ length: 100 }, (_, call) => `call-${call}`);
  const found = calls.find((callId) => ring.owner(digestOf(`from1\n${callId}`)) === instance);
  assert.ok(found !== undefined);
  return found;
}

/** Joins peers by links that carry requests, notes and questions. */
export function connected(peers: readonly PipelinePeer[]): Readonly<Record<string, PipelinePeer>> {
  const byName = new Map(peers.map((peer) => [peer.name, peer]));
  for (const peer of peers) peer.others = byName;
  return Object.fromEntries(byName);
}

/** Rules that take the key from the header `X-Room`, which a CANCEL does not copy. */
export const roomRules: Rules = {
  kind: 'rule',
  sipKey: (subject): KeyResult => subject.header('x-room') ?? null,
  httpKey: () => null,
};

/** Routes that the caller makes of what the application was sent: the last one recorded comes first. */
export function routesOf(message: SipMessage): string[] {
  const recorded = message.headers('record-route');
  assert.ok(recorded.length > 0, 'no route was recorded');
  return [`Route: ${recorded.toReversed().join(', ')}`];
}
