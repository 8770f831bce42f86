import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, it } from 'node:test';
import { encodeMessage } from '../../../src/gossip/codec.ts';
import { encodePacket, labelHeader } from '../../../src/gossip/packet.ts';
import { freeSipPorts } from '../../support/free-port.ts';
import { stopAgents, Watched } from '../../support/watched-agent.ts';

afterEach(stopAgents);

async function threePeers(): Promise<readonly [Watched, Watched, Watched]> {
  const one = new Watched('one', { tags: { zone: 'a' } });
  await one.agent.start();
  const two = new Watched('two', { seeds: [one.seed] });
  const three = new Watched('three', { seeds: [one.seed] });
  await Promise.all([two.agent.start(), three.agent.start()]);
  const all = [one, two, three] as const;
  for (const peer of all)
    for (const name of ['one', 'two', 'three']) await peer.sees(name, 'alive');
  return all;
}

describe('agents on loopback', { timeout: 60_000 }, () => {
  it('join through one seed and know each other with address, port and tags', async () => {
    const [one, , three] = await threePeers();
    assert.deepEqual(three.member('one'), {
      name: 'one',
      address: '127.0.0.1',
      port: one.agent.port,
      tags: { epoch: '1767225600', zone: 'a' },
      state: 'alive',
      incarnation: 1_767_225_600 - 1_577_836_800,
    });
    assert.equal(three.agent.members()[0]?.name, 'three');
    assert.ok(three.changes <= three.counters.get('gossip_events', 'join'));
  });

  it('tell all when the tags of one change', async () => {
    const [one, two, three] = await threePeers();
    two.agent.setTags({ state: 'draining' });
    for (const peer of [one, two, three]) {
      await peer.until(() => peer.member('two')?.tags['state'] === 'draining');
    }
    assert.throws(() => {
      two.agent.setTags({ big: 'x'.repeat(600) });
    }, RangeError);
  });

  it('find one dead that stopped without a word', async () => {
    const [one, two, three] = await threePeers();
    await three.agent.stop();
    await Promise.all([one.sees('three', 'dead'), two.sees('three', 'dead')]);
    assert.equal(one.member('two')?.state, 'alive');
  });

  it('know at once that one left, and take it back after a restart', async () => {
    const [one, two, three] = await threePeers();
    await three.agent.leave();
    await three.agent.stop();
    await Promise.all([one.sees('three', 'left'), two.sees('three', 'left')]);
    assert.equal(one.counters.get('gossip_events', 'suspect'), 0);
    const again = new Watched('three', { seeds: [two.seed], epoch: 1_767_225_601 });
    await again.agent.start();
    await Promise.all([one.sees('three', 'alive'), two.sees('three', 'alive')]);
    assert.equal(one.member('three')?.port, again.agent.port);
  });

  it('suspect one at once when told that a link to it failed', async () => {
    const [one, , three] = await threePeers();
    await three.agent.stop();
    one.agent.probeSoon('three');
    one.agent.probeSoon('nobody');
    await one.sees('three', 'suspect');
  });

  it('never let one with another label join', async () => {
    const one = new Watched('one');
    await one.agent.start();
    const stranger = new Watched('stranger', { seeds: [one.seed], label: 'other' });
    await stranger.agent.start();
    await one.until(() => one.counters.get('gossip_drops', 'label-wrong') > 0);
    await stranger.until(() => stranger.counters.get('gossip_syncs', 'failed') > 0);
    const packet = (label: string): Uint8Array => {
      const alive = encodeMessage({
        kind: 'alive',
        incarnation: 9,
        node: 'forged',
        address: '127.0.0.1',
        port: 9,
        meta: new Uint8Array(0),
        versions: new Uint8Array(0),
      });
      return encodePacket(labelHeader(label), [alive], false);
    };
    const rogue = createSocket('udp4');
    for (const label of ['', 'other']) rogue.send(packet(label), one.agent.port, '127.0.0.1');
    await one.until(
      () =>
        one.counters.get('gossip_drops', 'label-missing') === 1 &&
        one.counters.get('gossip_drops', 'label-wrong') >= 2,
    );
    assert.deepEqual(
      one.agent.members().map(({ name }) => name),
      ['one'],
    );
    rogue.close();
  });

  it('join through a seed that has a name', async () => {
    const one = new Watched('one');
    await one.agent.start();
    const two = new Watched('two', {
      seeds: ['no-such-host.invalid:1', `localhost:${one.agent.port}`],
    });
    await two.agent.start();
    await one.sees('two', 'alive');
    await two.sees('one', 'alive');
  });

  it('answer rubbish over a stream with its end', async () => {
    const one = new Watched('one');
    await one.agent.start();
    const socket = connect(one.agent.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(Buffer.concat([labelHeader('test'), Buffer.from([6, 0xc1])]));
    await once(socket, 'close');
    assert.equal(one.counters.get('gossip_drops', 'malformed'), 1);
  });

  it('hold at most 64 streams of one source, and 128 in all', async () => {
    const one = new Watched('one');
    await one.agent.start();
    const dropped = (reason: string): number => one.counters.get('gossip_drops', reason);
    const sockets: Socket[] = [];
    const dial = (localAddress: string, count: number): void => {
      for (let i = 0; i < count; i++) {
        const socket = connect({ port: one.agent.port, host: '127.0.0.1', localAddress });
        socket.on('error', () => undefined);
        sockets.push(socket);
      }
    };
    dial('127.0.0.2', 65);
    await one.until(() => dropped('source-streams-full') === 1);
    dial('127.0.0.3', 64);
    dial('127.0.0.4', 1);
    await one.until(() => dropped('streams-full') === 1);
    assert.equal(dropped('source-streams-full'), 1);
    for (const socket of sockets) socket.destroy();
  });

  const hasIpv6 = Object.values(networkInterfaces()).some((list) =>
    list?.some(({ address }) => address === '::1'),
  );
  it('meet over IPv6', { skip: hasIpv6 ? false : 'this machine has no ::1' }, async () => {
    const listen = { address: '::1', port: 0 };
    const one = new Watched('one', { listen });
    await one.agent.start();
    const two = new Watched('two', { listen, seeds: [`[::1]:${one.agent.port}`] });
    await two.agent.start();
    await one.sees('two', 'alive');
    assert.equal(one.member('two')?.address, '::1');
  });
});

describe('the start of an agent', { timeout: 60_000 }, () => {
  it('says that the port is in use, by UDP or by TCP', async (t) => {
    // Free for both: whoever has the other transport of the port would be named instead.
    const [udpPort = 0, tcpPort = 0] = await freeSipPorts(2);
    const udp = createSocket('udp4');
    t.after(() => udp.close());
    udp.bind(udpPort, '127.0.0.1');
    await once(udp, 'listening');
    const tcp = createServer();
    t.after(() => tcp.close());
    tcp.listen(tcpPort, '127.0.0.1');
    await once(tcp, 'listening');
    for (const [transport, port] of [
      ['UDP', udpPort],
      ['TCP', tcpPort],
    ] as const) {
      const { agent } = new Watched('one', { listen: { address: '127.0.0.1', port } });
      await assert.rejects(agent.start(), {
        message: `cannot open gossip on 127.0.0.1:${port} (${transport}): the port is in use`,
      });
    }
  });

  it('advertises what it is told to, the bound port where that is 0', async () => {
    const { agent } = new Watched('one', { advertise: { address: 'localhost', port: 0 } });
    assert.deepEqual(agent.members(), []);
    await agent.start();
    const self = agent.members()[0];
    assert.equal(self?.port, agent.port);
    assert.match(self.address, /^(127\.0\.0\.1|::1)$/);
  });

  it('refuses a seed without port and tags that do not fit', async () => {
    assert.throws(() => new Watched('one', { seeds: ['host'] }), /"host" is not host:port/);
    const { agent } = new Watched('one', { tags: { big: 'x'.repeat(600) } });
    await assert.rejects(agent.start(), RangeError);
  });

  it('alone leaves at once', async () => {
    const { agent } = new Watched('one');
    await agent.start();
    await agent.leave();
    assert.equal(agent.members()[0]?.state, 'left');
  });
});
