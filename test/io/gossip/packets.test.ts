import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, it, mock } from 'node:test';
import type { SwimInput } from '../../../src/gossip/index.ts';
import { Border } from '../../../src/io/gossip/border.ts';
import { GossipPackets } from '../../../src/io/gossip/packets.ts';
import { bindGossipSockets } from '../../../src/io/gossip/sockets.ts';
import { Counters } from '../../../src/pipeline/counters.ts';

const opened: { close(): unknown }[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

interface Side {
  readonly socket: Socket;
  readonly port: number;
  readonly packets: GossipPackets;
  readonly counters: Counters;
  /** The next input that a packet makes. */
  input(): Promise<SwimInput>;
}

async function open(address: string): Promise<Side> {
  const { packets: socket, streams, port, isIPv6 } = await bindGossipSockets(address, 0);
  opened.push(socket, streams);
  const counters = new Counters();
  const border = new Border({ label: '', keys: [], allow: [], counters });
  const inputs = Promise.withResolvers<SwimInput>();
  const onError = inputs.reject;
  const onInput = inputs.resolve;
  const packets = new GossipPackets({ socket, isIPv6, border, counters, onInput, onError });
  return { socket, port, packets, counters, input: () => inputs.promise };
}

const hasIPv6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === '::1'),
);

describe('packets of gossip', () => {
  it('reach a socket of IPv4 from one for both families, and back', async (t) => {
    if (!hasIPv6) {
      t.skip('this machine has no IPv6');
      return;
    }
    const [both, plain] = [await open('::'), await open('127.0.0.1')];
    both.packets.send({ address: '127.0.0.1', port: plain.port }, Uint8Array.of(1));
    const there = await plain.input();
    assert.ok(there.kind === 'packet');
    assert.deepEqual(there.from, { address: '127.0.0.1', port: both.port });
    plain.packets.send(there.from, Uint8Array.of(2));
    const back = await both.input();
    assert.ok(back.kind === 'packet');
    assert.deepEqual(back.from, { address: '127.0.0.1', port: plain.port });
    assert.deepEqual([...back.bytes], [2]);
  });

  it('do not ask the system for the family of the socket', async () => {
    const { socket, packets } = await open('127.0.0.1');
    const receiver = createSocket('udp4');
    opened.push(receiver);
    receiver.bind(0, '127.0.0.1');
    await once(receiver, 'listening');
    const address = mock.method(socket, 'address');
    const arrived = once(receiver, 'message');
    packets.send({ address: '127.0.0.1', port: receiver.address().port }, Uint8Array.of(1));
    await arrived;
    assert.equal(address.mock.callCount(), 0);
  });
});
