import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ringChangeLimits } from '../../src/config/defaults.ts';
import type { Member } from '../../src/gossip/index.ts';
import { announcementTags, type InstanceStatus } from '../../src/pipeline/view.ts';
import type { OutgoingCall } from './call.ts';
import { keyModes, keyOptions, type KeyMode } from './keys.ts';
import { Simulation } from './simulation.ts';

/** What one peer believes of one member; `undefined`: it does not know it. */
type Belief =
  | { readonly state: Member['state']; readonly status: InstanceStatus; readonly weight: number }
  | undefined;

/** Beliefs of every peer about every member, the peers' own number first. */
type Beliefs = readonly (readonly Belief[])[];

const peersMax = 4;
/** One more than there are peers: some believe in a member that is nowhere. */
const membersMax = peersMax + 1;

const belief: fc.Arbitrary<Belief> = fc.oneof(
  { weight: 1, arbitrary: fc.constant(undefined) },
  {
    weight: 5,
    arbitrary: fc.record({
      state: fc.constantFrom<Member['state'][]>(
        'alive',
        'alive',
        'alive',
        'suspect',
        'dead',
        'left',
      ),
      status: fc.constantFrom<InstanceStatus[]>(
        'ready',
        'ready',
        'joining',
        'draining',
        'disabled',
      ),
      weight: fc.constantFrom(0, 0.1, 1, 1, 3),
    }),
  },
);

const beliefs: fc.Arbitrary<Beliefs> = fc.array(
  fc.array(belief, { minLength: membersMax, maxLength: membersMax }),
  { minLength: peersMax, maxLength: peersMax },
);

interface Run {
  readonly seed: number;
  readonly keys: KeyMode;
  readonly peers: number;
  /** Until requests have begun, and from then on. */
  readonly before: Beliefs;
  readonly after: Beliefs;
}

const runs: fc.Arbitrary<Run> = fc.record({
  seed: fc.integer({ min: 1, max: 1e6 }),
  keys: fc.constantFrom<KeyMode[]>(...keyModes),
  peers: fc.integer({ min: 2, max: peersMax }),
  before: beliefs,
  after: beliefs,
});

/** Lets every peer believe what it is told of the others; of itself it knows that it lives. */
function believe(simulation: Simulation, told: Beliefs): void {
  for (const [at, peer] of [...simulation.peers.values()].entries()) {
    const members = told[at]!.flatMap((each, number): Member[] => {
      const name = `p${number + 1}`;
      const isSelf = name === peer.name;
      if (each === undefined && !isSelf) return [];
      const { state, status, weight } = each ?? { state: 'alive', status: 'ready', weight: 1 };
      const { internal, application } = simulation.peers.get(name)?.addresses ?? {
        internal: '10.0.1.99:5070',
        application: '10.0.1.99:5080',
      };
      const tags = announcementTags({
        epoch: 1,
        status,
        weight,
        link: `${name}:7000`,
        sipInternal: internal,
        sipTransport: 'UDP',
        applications: [application],
      });
      const known = { name, address: name, port: 7946, tags, incarnation: 1 };
      return [{ ...known, state: isSelf ? 'alive' : state }];
    });
    peer.membersChanged(members);
  }
  simulation.clock.run(ringChangeLimits.waitMsMax + 1);
}

/** Links that copies of one request crossed, by what they have in common. */
function linksCrossed(simulation: Simulation): Map<string, number> {
  const crossed = new Map<string, number>();
  for (const { leg, fate, message } of simulation.trace.hops) {
    if (leg !== 'link' || fate === 'refused' || message?.isRequest !== true) continue;
    const name = `${message.callId} ${message.cseqNumber} ${message.method}`;
    crossed.set(name, (crossed.get(name) ?? 0) + 1);
  }
  return crossed;
}

/** Final responses that a caller got to the requests of one method. */
function finalsOf(simulation: Simulation, callId: string, method: string): number[] {
  return simulation.trace.hops
    .filter(
      ({ to, message }) =>
        to.startsWith('phone') && message?.isRequest === false && message.callId === callId,
    )
    .map(({ message }) => ({ status: message!.status, of: message!.cseqMethod }))
    .filter(({ status, of }) => status >= 200 && of === method)
    .map(({ status }) => status);
}

function isServedOrRefused(status: number | undefined): boolean {
  return status !== undefined && [200, 481, 487, 500, 503].includes(status);
}

/** Requests of all kinds, some of which begin before the peers change their minds and some after. */
class Requests {
  readonly simulation: Simulation;
  readonly singles: readonly string[];
  readonly calls: readonly OutgoingCall[];
  readonly ringing: readonly OutgoingCall[];

  constructor({ seed, keys, peers, before, after }: Run) {
    const options = { seed, sprayer: 'per-packet', peers, ...keyOptions(keys) } as const;
    const simulation = (this.simulation = new Simulation(options));
    believe(simulation, before);
    const rooms = Array.from({ length: 2 * peers + 1 }, (_, room) => [`Room-Id: ${room}`]);
    this.singles = rooms.map((headers) => simulation.phone().single('MESSAGE', headers).callId);
    this.calls = rooms.map((headers) => this.#call('answer', headers));
    this.ringing = rooms.map((headers) => this.#call('ring', headers));
    simulation.clock.run(400);
    believe(simulation, after);
    for (const call of this.calls) if (call.state === 'established') call.bye();
    for (const call of this.ringing) if (call.state === 'ringing') call.cancel();
    simulation.clock.run(40_000);
  }

  #call(behaviour: string, headers: readonly string[]): OutgoingCall {
    const uri = `sip:${behaviour}@example.com`;
    const call = this.simulation.phone().call({ uri, headers });
    call.start();
    return call;
  }
}

/** A request outside of dialogs is given to one instance, or refused. @returns whether it was served */
function checkSingle({ simulation }: Requests, callId: string): boolean {
  const trace = simulation.trace.ofCall(callId);
  const finals = finalsOf(simulation, callId, 'MESSAGE');
  assert.equal(finals.length, 1, trace);
  assert.ok(isServedOrRefused(finals[0]), trace);
  const isServed = finals[0] === 200;
  assert.equal(simulation.deliveries(callId, 'MESSAGE').length, isServed ? 1 : 0, trace);
  return isServed;
}

/** Every request of a call is answered once; its INVITE comes to one instance at most. */
function checkCall({ simulation }: Requests, call: OutgoingCall, methods: readonly string[]): void {
  const trace = simulation.trace.ofCall(call.callId);
  for (const method of methods) {
    const statuses = call.statuses(method);
    assert.ok(statuses.length <= 1 && statuses.every(isServedOrRefused), `${method}\n${trace}`);
  }
  const homes = simulation.deliveries(call.callId, 'INVITE').map(({ instance }) => instance);
  assert.ok(new Set(homes).size <= 1, trace);
}

describe('peers with any views that differ', () => {
  it('serve or refuse each request once, and send it over two links at most', () => {
    let served = 0;
    let refused = 0;
    fc.assert(
      fc.property(runs, (run) => {
        const requests = new Requests(run);
        for (const callId of requests.singles) {
          if (checkSingle(requests, callId)) served++;
          else refused++;
        }
        for (const call of requests.calls) {
          assert.ok(call.statuses('INVITE').length === 1);
          checkCall(requests, call, ['INVITE', 'BYE']);
        }
        for (const call of requests.ringing) checkCall(requests, call, ['CANCEL']);
        for (const [name, links] of linksCrossed(requests.simulation)) {
          // An ACK comes again with each 200 that it answers.
          assert.ok(links <= 2 || name.endsWith('ACK'), `${name}: ${links} links`);
        }
        for (const { defects } of requests.simulation.peers.values()) assert.deepEqual(defects, []);
      }),
      { numRuns: 60 },
    );
    assert.ok(served > 0 && refused > 0, `${served} served, ${refused} refused`);
  });
});
