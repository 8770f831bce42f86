import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OutgoingCall } from './call.ts';
import { keyModes, keyOptions, type KeyMode } from './keys.ts';
import { Simulation } from './simulation.ts';

const accused = 'p2';

/** No multiple of the peers, so that the copies of a call do not all come to the peer of the first. */
const callsAtOnce = 43;

function simulationOf(keys: KeyMode): Simulation {
  return new Simulation({ seed: 5, sprayer: 'per-packet', peers: 5, ...keyOptions(keys) });
}

/** Calls that begin now, each with copies through other peers before it is cancelled through yet another. */
function callsNow(simulation: Simulation): OutgoingCall[] {
  return Array.from({ length: callsAtOnce }, (_, index) => {
    const headers = [`Room-Id: ${index}`];
    const call = simulation.phone().call({ uri: 'sip:ring@example.com', headers });
    call.start();
    for (const afterMs of [500, 1_500, 2_500]) {
      simulation.clock.after(afterMs, () => call.sendInviteAgain());
    }
    simulation.clock.after(3_000, () => call.cancel());
    return call;
  });
}

/** What is wrong with calls that all ended. */
function faultsOf(simulation: Simulation, calls: readonly OutgoingCall[]): string[] {
  const faults = calls
    .filter((call) => {
      const instances = simulation.deliveries(call.callId).map(({ instance }) => instance);
      const isAtOne = new Set(instances).size === 1;
      const isCancelled = call.statuses('CANCEL').join() === '200';
      return !isAtOne || !isCancelled || call.statuses('INVITE').join() !== '487';
    })
    .map(({ callId }) => simulation.trace.ofCall(callId));
  return [...faults, ...simulation.faults()];
}

function check(simulation: Simulation, calls: readonly OutgoingCall[]): void {
  simulation.clock.run(40_000);
  const faults = faultsOf(simulation, calls);
  assert.equal(faults.length, 0, `${faults.length} faults, the first:\n${faults[0] ?? ''}`);
}

for (const keys of keyModes) {
  describe(`a peer that lives is suspect (${keys})`, () => {
    it('to all others: what they begin goes elsewhere, to one instance each', () => {
      const simulation = simulationOf(keys);
      simulation.suspect(accused, 20_000);
      simulation.settle();
      const calls = callsNow(simulation);
      check(simulation, calls);
      const there = calls.filter(({ callId }) => simulation.instanceOf(callId) === accused);
      for (const { callId } of there) {
        const [first] = simulation.deliveries(callId, 'INVITE');
        assert.equal(first?.hop.envelope?.ingressPeer, accused);
      }
      assert.ok(there.length < 12, `${there.length} of ${callsAtOnce} went to it`);
    });

    it('to some: what begins is at one instance, whoever gets its copies', () => {
      const simulation = simulationOf(keys);
      simulation.suspect(accused, 20_000, ['p1', 'p3']);
      simulation.settle();
      check(simulation, callsNow(simulation));
    });

    it('and refutes it: what began elsewhere stays there', () => {
      const simulation = simulationOf(keys);
      simulation.suspect(accused, simulation.newsMsMax + 300);
      simulation.clock.run(simulation.newsMsMax);
      check(simulation, callsNow(simulation));
    });

    it('and dies: what began elsewhere stays there', () => {
      const simulation = simulationOf(keys);
      simulation.suspect(accused, 20_000);
      simulation.clock.run(simulation.newsMsMax);
      simulation.kill(accused, 'host', 1_000);
      const calls = callsNow(simulation);
      simulation.clock.run(40_000);
      const [lost, others] = [
        calls.filter(({ callId }) => simulation.instanceOf(callId) === accused),
        calls.filter(({ callId }) => simulation.instanceOf(callId) !== accused),
      ];
      assert.equal(lost.length, 0);
      assert.deepEqual(faultsOf(simulation, others), []);
    });
  });
}
