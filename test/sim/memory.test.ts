import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TransactionMemory } from '../../src/sip/index.ts';
import { keyOptions } from './keys.ts';
import { Simulation } from './simulation.ts';

const invitesRemembered = 20;
const othersRemembered = 10;

function flooded(): Simulation {
  const limits = {
    timeoutMs: 32_000,
    inviteTimeoutMs: 200_000,
    invitesRemembered,
    othersRemembered,
  };
  const simulation = new Simulation({
    seed: 3,
    sprayer: 'per-packet',
    ...keyOptions('private header'),
    createMemory: () => new TransactionMemory(limits),
  });
  for (let call = 0; call < 300; call++) {
    const phone = simulation.phone();
    const headers = [`Room-Id: ${call}`];
    simulation.clock.after(call * 5, () => {
      phone.call({ uri: 'sip:busy@example.com', headers }).start();
      phone.single('MESSAGE', headers);
    });
  }
  return simulation;
}

describe('the transaction memories of a cluster', () => {
  it('stay within their limits while a flood passes, and every call ends all the same', () => {
    const simulation = flooded();
    const most = 2 * (invitesRemembered + othersRemembered);
    for (let at = 0; at < 200; at++) {
      simulation.clock.run(20);
      for (const { name, memory } of simulation.peers.values()) {
        assert.ok(memory.size <= most, `${name} keeps ${memory.size}`);
      }
    }
    simulation.clock.run(40_000);
    const refused = simulation.trace.hops.filter(
      ({ message, to }) => message?.status === 486 && to.startsWith('phone'),
    );
    assert.equal(new Set(refused.map(({ subject }) => subject)).size, 300);
  });

  it('forget what is over: nothing is left some time after the last call', () => {
    const simulation = new Simulation({ seed: 4, sprayer: 'per-packet' });
    for (let call = 0; call < 20; call++) {
      const phone = simulation.phone();
      phone.call({ uri: 'sip:busy@example.com' }).start();
      phone.single('MESSAGE', []);
    }
    simulation.clock.run(1_000);
    const kept = [...simulation.peers.values()].map(({ memory }) => memory.size);
    assert.ok(kept.some((size) => size > 0));
    simulation.clock.run(600_000);
    // Entries have no timers: the next look-ups turn the generations.
    for (const { memory } of simulation.peers.values()) {
      for (const name of ['i0', 'n0']) memory.get(name, simulation.clock.nowMs);
      assert.equal(memory.size, 0);
    }
  });
});
