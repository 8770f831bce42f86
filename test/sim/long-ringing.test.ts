import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OutgoingCall } from './call.ts';
import { keyModes, keyOptions, type KeyMode } from './keys.ts';
import { Simulation } from './simulation.ts';

/** Longer than rings are remembered, shorter than Timer C (RFC 3261 section 16.6). */
const ringingMs = 150_000;

const changes: readonly (readonly [name: string, change: (simulation: Simulation) => void])[] = [
  ['nothing changes', () => undefined],
  [
    'two peers join',
    (simulation) => {
      simulation.join();
      simulation.join();
    },
  ],
  [
    'six peers join one after another',
    (simulation) => {
      for (let joined = 0; joined < 6; joined++) {
        simulation.join();
        simulation.clock.run(5_000);
      }
    },
  ],
  ['four of five peers are replaced', replaceFour],
  ['one peer drains', (simulation) => simulation.drain('p1')],
  [
    'a peer joins and one leaves',
    (simulation) => {
      simulation.join();
      simulation.leave('p1');
    },
  ],
];

/** As an operator upgrades a cluster: drain, leave, come again. */
function replaceFour(simulation: Simulation): void {
  for (let number = 1; number <= 4; number++) {
    simulation.drain(`p${number}`);
    simulation.clock.run(5_000);
    simulation.leave(`p${number}`);
    simulation.join();
    simulation.clock.run(5_000);
  }
}

function ringingCalls(simulation: Simulation): OutgoingCall[] {
  return Array.from({ length: 40 }, (_, index) => {
    const headers = [`Room-Id: ${index}`];
    const call = simulation.phone().call({ uri: 'sip:ring@example.com', headers });
    call.start();
    simulation.clock.run(50);
    return call;
  });
}

function cancelLate(keys: KeyMode, change: (simulation: Simulation) => void): string[] {
  const simulation = new Simulation({
    seed: 2,
    sprayer: 'per-packet',
    peers: 5,
    ...keyOptions(keys),
  });
  const calls = ringingCalls(simulation);
  assert.ok(calls.every(({ state }) => state === 'ringing'));
  change(simulation);
  simulation.clock.run(ringingMs);
  const living = calls.filter(
    ({ callId }) => simulation.endedAt(simulation.homeOf(callId) ?? '') === undefined,
  );
  for (const call of living) call.cancel();
  simulation.clock.run(40_000);
  const faults = living
    .filter((call) => call.statuses('CANCEL').join() !== '200')
    .map(({ callId }) => simulation.trace.ofCall(callId));
  return [...faults, ...simulation.faults()];
}

for (const keys of keyModes) {
  describe(`a call that rings for minutes is cancelled where it rings (${keys})`, () => {
    for (const [name, change] of changes) {
      it(`though ${name} meanwhile`, () => {
        const faults = cancelLate(keys, change);
        assert.equal(faults.length, 0, `${faults.length} faults, the first:\n${faults[0] ?? ''}`);
      });
    }
  });
}
