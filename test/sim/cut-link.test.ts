import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OutgoingCall } from './call.ts';
import { keyModes, keyOptions, type KeyMode } from './keys.ts';
import { Simulation } from './simulation.ts';

/** A call that found no link from its ingress peer to its owner. */
interface Diverted {
  readonly simulation: Simulation;
  readonly call: OutgoingCall;
  readonly owner: string;
}

/** Cuts one link, then calls until one had to go to a third peer for it. */
function divertedCall(keys: KeyMode, behaviour: string): Diverted {
  const simulation = new Simulation({
    seed: 11,
    sprayer: 'per-packet',
    peers: 5,
    ...keyOptions(keys),
  });
  simulation.cut('p1', 'p2');
  for (let attempt = 0; attempt < 300; attempt++) {
    const phone = simulation.phone();
    const headers = [`Room-Id: ${attempt}`];
    const call = phone.call({ uri: `sip:${behaviour}@example.com`, headers });
    call.start();
    simulation.clock.run(1_000);
    const refused = simulation.trace.hops.find(
      ({ fate, message }) => fate === 'refused' && message?.callId === call.callId,
    );
    const isThird = !['p1', 'p2'].includes(simulation.instanceOf(call.callId) ?? 'p1');
    if (refused?.message?.method === 'INVITE' && isThird) {
      return { simulation, call, owner: refused.to };
    }
  }
  throw new Error('no call met a link that was cut');
}

for (const keys of keyModes) {
  describe(`a call whose owner cannot be reached from its ingress peer (${keys})`, () => {
    it('goes to a successor at once, and its dialog stays there whichever peer a request enters at', () => {
      const { simulation, call, owner } = divertedCall(keys, 'answer');
      const instance = simulation.instanceOf(call.callId);
      assert.notEqual(instance, owner);
      assert.equal(call.state, 'established');
      for (let again = 0; again < 5; again++) call.inDialog('INFO');
      simulation.clock.run(2_000);
      call.bye();
      simulation.clock.run(40_000);
      assert.deepEqual(call.statuses('INFO'), [200, 200, 200, 200, 200]);
      assert.deepEqual(call.statuses('BYE'), [200]);
      const instances = simulation.deliveries(call.callId).map((delivery) => delivery.instance);
      assert.deepEqual(new Set(instances), new Set([instance]));
    });

    it('is cancelled there', () => {
      const { simulation, call, owner } = divertedCall(keys, 'ring');
      assert.equal(call.state, 'ringing');
      call.cancel();
      simulation.clock.run(40_000);
      assert.deepEqual(call.statuses('CANCEL'), [200]);
      assert.deepEqual(call.statuses('INVITE'), [487]);
      assert.notEqual(simulation.instanceOf(call.callId), owner);
    });
  });
}
