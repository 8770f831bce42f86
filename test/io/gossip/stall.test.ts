import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, describe, it } from 'node:test';
import { encodeMessage, ourVersions } from '../../../src/gossip/codec.ts';
import type { Message } from '../../../src/gossip/message.ts';
import { encodePacket, labelHeader } from '../../../src/gossip/packet.ts';
import { stopAgents, Watched } from '../../support/watched-agent.ts';

const label = labelHeader('test');
/** More than libuv reads of one socket in one turn of the loop, several times over. */
const waitingPackets = 200;

afterEach(stopAgents);

/** A member that is a bare socket: it says what it is told to, and answers nothing. */
async function mute(to: Watched): Promise<{ socket: Socket; say: (message: Message) => void }> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  // A connected socket sends within the call, so what it says waits before the loop stands still.
  socket.connect(to.agent.port, '127.0.0.1');
  await once(socket, 'connect');
  return {
    socket,
    say: (message) => {
      socket.send(encodePacket(label, [encodeMessage(message)], false));
    },
  };
}

function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

describe('an event loop that stands still', { timeout: 60_000 }, () => {
  it('condemns nobody whose refutation waits behind many packets, and counts against the peer', async () => {
    const one = new Watched('one');
    await one.agent.start();
    const { socket, say } = await mute(one);
    const alive = (incarnation: number): Message => ({
      kind: 'alive',
      incarnation,
      node: 'mute',
      address: '127.0.0.1',
      port: socket.address().port,
      meta: new Uint8Array(0),
      versions: ourVersions,
    });
    say(alive(1));
    // Nobody answers its probes: 2 s after the suspicion it would be dead.
    await one.sees('mute', 'suspect');
    for (let i = 0; i < waitingPackets; i++) say({ kind: 'nack', seqNo: i });
    say(alive(2));
    standStill(2_500);
    await one.sees('mute', 'alive');
    assert.equal(one.counters.get('gossip_events', 'fail'), 0);
    assert.ok(one.counters.get('gossip_timers', 'late') > 0);
    assert.ok(one.agent.health > 0);
    socket.close();
  });
});
