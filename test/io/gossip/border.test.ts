import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { gossipLimits } from '../../../src/config/defaults.ts';
import { encodeMessage } from '../../../src/gossip/codec.ts';
import { Keyring } from '../../../src/gossip/keyring.ts';
import { encodePacket, labelHeader } from '../../../src/gossip/packet.ts';
import { encodeStreamMessage } from '../../../src/gossip/stream-codec.ts';
import { Border, type BorderOptions } from '../../../src/io/gossip/border.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import { stopAgents, Watched } from '../../support/watched-agent.ts';

const key = new Uint8Array(32).fill(1);
const nextKey = new Uint8Array(16).fill(2);
const packet = encodePacket(
  labelHeader('blue'),
  [encodeMessage({ kind: 'nack', seqNo: 1 })],
  false,
);

function border(options: Partial<BorderOptions>): { border: Border; counters: Counters } {
  const counters = new Counters();
  return {
    border: new Border({ label: 'blue', keys: [], allow: [], counters, ...options }),
    counters,
  };
}

/** Nobody is a member. */
const stranger = (): boolean => false;

function started(...agents: readonly Watched[]): Promise<unknown> {
  return Promise.all(agents.map(({ agent }) => agent.start()));
}

afterEach(stopAgents);

describe('the border of gossip', () => {
  it('lets only the networks that it is told to speak, by packets and by streams', () => {
    const { border: one, counters } = border({ allow: ['10.1.0.0/16', '2001:db8::/32'] });
    for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '2001:db8::1']) {
      assert.equal(one.openPacket(packet, address), packet);
      assert.ok(one.admitsStream(address, stranger));
    }
    assert.equal(counters.get('gossip_drops', 'not-allowed'), 0);
    for (const address of ['10.2.0.1', '127.0.0.1', '::1', 'fe80::1%eth0']) {
      assert.equal(one.openPacket(packet, address), undefined);
      assert.ok(!one.admitsStream(address, stranger));
    }
    assert.equal(counters.get('gossip_drops', 'not-allowed'), 8);
  });

  it('never reads what comes from elsewhere', () => {
    const { border: one, counters } = border({ allow: ['10.1.0.0/16'], keys: [key] });
    one.openPacket(new Uint8Array(65_000), '192.0.2.1');
    assert.deepEqual(
      [...counters.entries()].map(([name, reasons]) => [name, [...reasons]]),
      [['gossip_drops', [['not-allowed', 1]]]],
    );
  });

  it('reads so many packets of one source at once, and serves others meanwhile', () => {
    const { border: one, counters } = border({});
    for (let i = 0; i < 3 * gossipLimits.packetsBurst; i++) one.openPacket(packet, '192.0.2.1');
    const dropped = counters.get('gossip_drops', 'packet-rate');
    assert.ok(dropped > 0 && dropped <= 2 * gossipLimits.packetsBurst, `${dropped}`);
    assert.equal(one.openPacket(packet, '192.0.2.2'), packet);
  });

  it('takes so many streams of one source at once, and serves others meanwhile', () => {
    const { border: one, counters } = border({});
    for (let i = 0; i < 3 * gossipLimits.streamsBurst; i++) one.admitsStream('192.0.2.1', stranger);
    assert.ok(counters.get('gossip_drops', 'stream-rate') > 0);
    assert.ok(one.admitsStream('192.0.2.2', stranger));
  });

  it('takes so many streams of all sources together', () => {
    const { border: one, counters } = border({});
    for (let i = 0; i < 2 * gossipLimits.allStreamsBurst; i++) {
      one.admitsStream(`192.0.${i >> 8}.${i & 0xff}`, stranger);
    }
    assert.ok(counters.get('gossip_drops', 'all-streams-rate') > 0);
    assert.equal(counters.get('gossip_drops', 'stream-rate'), 0);
    assert.ok(one.admitsStream('192.0.2.77', () => true));
  });

  it('counts why a packet is no message of the cluster', () => {
    const { border: one, counters } = border({ keys: [key] });
    const { border: other } = border({ keys: [nextKey] });
    one.openPacket(packet, '192.0.2.1');
    one.openPacket(other.sealPacket(packet), '192.0.2.1');
    one.openPacket(new Uint8Array(gossipLimits.receivedPacketBytesMax + 1), '192.0.2.1');
    for (const reason of ['not-encrypted', 'wrong-key', 'too-large']) {
      assert.equal(counters.get('gossip_drops', reason), 1, reason);
    }
  });

  it('encrypts each packet with another nonce', () => {
    const { border: one } = border({ keys: [key] });
    const nonces = Array.from({ length: 100 }, () =>
      Buffer.from(one.sealPacket(packet).subarray(7, 19)).toString('hex'),
    );
    assert.equal(new Set(nonces).size, 100);
  });

  it('has no keys where gossip is plain, and refuses keys and networks that are none', () => {
    assert.equal(border({}).border.keyring, undefined);
    assert.throws(() => border({ keys: [new Uint8Array(5)] }), RangeError);
    assert.throws(() => border({ allow: ['everybody'] }), TypeError);
  });
});

describe('encrypted agents', { timeout: 60_000 }, () => {
  it('join and stay, by packets and by streams', async () => {
    const one = new Watched('one', { keys: [key] });
    await one.agent.start();
    const two = new Watched('two', { keys: [nextKey, key], seeds: [one.seed] });
    one.agent.keys!.install(nextKey);
    await two.agent.start();
    await Promise.all([one.sees('two', 'alive'), two.sees('one', 'alive')]);
    await two.agent.leave();
    await one.sees('two', 'left');
    for (const reason of ['not-encrypted', 'encrypted', 'wrong-key', 'malformed']) {
      assert.equal(one.counters.get('gossip_drops', reason), 0, reason);
      assert.equal(two.counters.get('gossip_drops', reason), 0, reason);
    }
  });

  it('say nothing in clear but the name of the cluster', async () => {
    const heard: Buffer[] = [];
    const ear = createSocket('udp4');
    ear.on('message', (bytes) => heard.push(bytes));
    ear.bind(0, '127.0.0.1');
    await once(ear, 'listening');
    const one = new Watched('secret-name', { keys: [key], tags: { zone: 'secret-zone' } });
    await one.agent.start();
    const alive = encodeMessage({
      kind: 'alive',
      incarnation: 1,
      node: 'ear',
      address: '127.0.0.1',
      port: ear.address().port,
      meta: new Uint8Array(0),
      versions: Uint8Array.of(1, 5, 2, 2, 5, 4),
    });
    const plain = encodePacket(labelHeader('test'), [alive], false);
    const { border: sealing } = border({ label: 'test', keys: [key] });
    ear.send(sealing.sealPacket(plain), one.agent.port, '127.0.0.1');
    await one.sees('ear', 'suspect');
    ear.close();
    assert.ok(heard.length > 0);
    const opener = new Keyring([key]);
    for (const bytes of heard) {
      assert.ok(!bytes.includes('secret'));
      assert.deepEqual([...bytes.subarray(0, 6)], [...labelHeader('test')]);
      assert.ok(opener.open(bytes.subarray(6), Buffer.from('test')).ok);
      assert.ok(bytes.length <= gossipLimits.packetBytesMax);
    }
  });

  it('change their key while they run, and nobody is suspected', async () => {
    const one = new Watched('one', { keys: [key] });
    await one.agent.start();
    const two = new Watched('two', { keys: [key], seeds: [one.seed] });
    const three = new Watched('three', { keys: [key], seeds: [one.seed] });
    await started(two, three);
    const all = [one, two, three];
    const names = ['one', 'two', 'three'];
    for (const peer of all) for (const name of names) await peer.sees(name, 'alive');
    let tags = 0;
    const rounds = async (): Promise<void> => {
      for (const peer of all) {
        const tag = `${++tags}`;
        peer.agent.setTags({ tag });
        for (const other of all) {
          await other.until(
            () =>
              all.every(({ agent }) => agent.members().length === 3) &&
              other.member(names[all.indexOf(peer)]!)?.tags['tag'] === tag,
          );
        }
      }
    };
    for (const { agent } of all) assert.equal(agent.keys!.install(nextKey), 'done');
    await rounds();
    // One after the other: the cluster speaks both keys meanwhile.
    for (const { agent } of all) {
      assert.equal(agent.keys!.use(nextKey), 'done');
      await rounds();
    }
    for (const { agent } of all) assert.equal(agent.keys!.remove(key), 'done');
    await rounds();
    for (const { counters } of all) {
      assert.equal(counters.get('gossip_events', 'suspect'), 0);
      assert.equal(counters.get('gossip_drops', 'wrong-key'), 0);
    }
  });

  it('never meet one without keys, nor one with another key, and all count it', async () => {
    const one = new Watched('one', { keys: [key] });
    await one.agent.start();
    const plain = new Watched('plain', { seeds: [one.seed] });
    const other = new Watched('other', { keys: [nextKey], seeds: [one.seed] });
    await started(plain, other);
    await one.until(
      () =>
        one.counters.get('gossip_drops', 'not-encrypted') > 0 &&
        one.counters.get('gossip_drops', 'wrong-key') > 0,
    );
    const late = new Watched('late', { keys: [key], seeds: [plain.seed] });
    await late.agent.start();
    await plain.until(() => plain.counters.get('gossip_drops', 'encrypted') > 0);
    for (const { agent } of [one, plain, other, late]) assert.equal(agent.members().length, 1);
  });

  it('never meet one at an address that is not allowed', async () => {
    const one = new Watched('one', { allow: ['192.0.2.0/24'] });
    await one.agent.start();
    const two = new Watched('two', { seeds: [one.seed] });
    await two.agent.start();
    await one.until(() => one.counters.get('gossip_drops', 'not-allowed') > 0);
    await two.until(() => two.counters.get('gossip_syncs', 'failed') > 0);
    assert.equal(one.agent.members().length, 1);
    assert.equal(two.agent.members().length, 1);
  });

  it('believe in no member at an address that is not allowed', async () => {
    const one = new Watched('one', { allow: ['127.0.0.0/8'] });
    await one.agent.start();
    const alive = (node: string, address: string): Uint8Array =>
      encodeMessage({
        kind: 'alive',
        incarnation: 1,
        node,
        address,
        port: 9,
        meta: new Uint8Array(0),
        versions: Uint8Array.of(1, 5, 2, 2, 5, 4),
      });
    const news = [alive('far', '192.0.2.1'), alive('near', '127.0.0.9')];
    const teller = createSocket('udp4');
    teller.send(encodePacket(labelHeader('test'), news, false), one.agent.port, '127.0.0.1');
    await one.until(() => one.member('near') !== undefined);
    teller.close();
    assert.equal(one.member('far'), undefined);
    assert.equal(one.counters.get('gossip_drops', 'not-allowed'), 1);
  });
});

describe('streams that never end', { timeout: 60_000 }, () => {
  /** A stream that says this and reads nothing. */
  function dial(to: Watched, bytes: Uint8Array, localAddress = '127.0.0.1'): Socket {
    const socket = connect({ port: to.agent.port, host: '127.0.0.1', localAddress });
    socket.on('error', () => undefined);
    socket.pause();
    socket.write(bytes);
    return socket;
  }

  /** Two that know each other; a full sync of the first with the second goes well. */
  async function pair(keys: readonly Uint8Array[]): Promise<{
    one: Watched;
    sync: () => Promise<void>;
  }> {
    const two = new Watched('two', { keys });
    await two.agent.start();
    const one = new Watched('one', { keys, seeds: [two.seed] });
    await one.agent.start();
    await one.sees('two', 'alive');
    const sync = async (): Promise<void> => {
      const ended = (): number =>
        one.counters.get('gossip_syncs', 'done') + one.counters.get('gossip_syncs', 'failed');
      const before = ended();
      one.agent.syncWith('two');
      await one.until(() => ended() > before);
      assert.equal(one.counters.get('gossip_syncs', 'failed'), 0);
    };
    return { one, sync };
  }

  it('hold no more than their share of memory together, and none of ours', async () => {
    const { one, sync } = await pair([key]);
    const head = Buffer.alloc(5);
    head[0] = 10;
    head.writeUInt32BE(gossipLimits.streamBytesMax, 1);
    const half = gossipLimits.streamsBytesMax / 2;
    const part = Buffer.concat([labelHeader('test'), head, Buffer.alloc(half - 50)]);
    const sockets = [1, 2, 3].map(() => dial(one, part));
    await one.until(() => one.counters.get('gossip_drops', 'streams-bytes') === 1);
    assert.equal(one.counters.get('gossip_drops', 'stream-bytes'), 0);
    await sync();
    for (const socket of sockets) socket.destroy();
  });

  it('take no place of ours', async () => {
    const { one, sync } = await pair([]);
    const sockets: Socket[] = [];
    for (let i = 0; i <= gossipLimits.streamsMax; i++) {
      sockets.push(dial(one, labelHeader('test'), `127.0.0.${2 + Math.floor(i / 64)}`));
    }
    await one.until(() => one.counters.get('gossip_drops', 'streams-full') > 0);
    await sync();
    for (const socket of sockets) socket.destroy();
  });

  it('get no more answers than their share of memory holds', async () => {
    const one = new Watched('one');
    await one.agent.start();
    one.agent.setUserState(new Uint8Array(gossipLimits.ownStateBytesMax));
    const states = {
      kind: 'pushPull',
      join: true,
      states: [],
      userState: new Uint8Array(0),
    } as const;
    const sockets = Array.from({ length: 9 }, () =>
      dial(one, encodeStreamMessage(labelHeader('test'), states)),
    );
    await one.until(() => one.counters.get('gossip_drops', 'streams-bytes') > 0);
    for (const socket of sockets) socket.destroy();
  });
});
