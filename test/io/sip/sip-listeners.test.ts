import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createSocket } from 'node:dgram';
import { describe, it } from 'node:test';
import { sipSocketLimits } from '../../../src/config/defaults.ts';
import { request } from '../../support/sip-text.ts';
import { sipClient } from './sip-client.ts';
import {
  listener,
  listening,
  nowhere,
  readText,
  tcpClient,
  unexpected,
  until,
  withoutIpv6,
} from './sip-rig.ts';

const text = request({ body: 'v=0' }).toString('latin1');
const v4 = '127.0.0.1';

describe('SipListeners', () => {
  it('name flows and connections by the index of their listener', async (t) => {
    const rig = await listening(t, [
      listener({ transport: 'udp' }),
      listener({ transport: 'tcp' }),
      listener({ transport: 'ws' }),
      listener({ transport: 'udp' }),
    ]);
    assert.deepEqual(
      rig.listeners.bound.map(({ flow }) => flow),
      ['u0', 't1', 'w2', 'u3'],
    );
    const flows: string[] = [];
    for (const [index, transport] of (['udp', 'tcp', 'ws', 'udp'] as const).entries()) {
      const client = await sipClient(t, { transport, address: v4, port: rig.port(index) });
      client.send(text);
      flows.push((await rig.inbox.take()).arrival.flow);
    }
    assert.match(flows.join(' '), /^u0 t1-\d+ w2-\d+ u3$/);
  });

  const publicAddress = 'sip.example.com:5555';
  const named = [
    ['shows its own address alone', {}, undefined, 'own', 'own'],
    ['shows the public address', {}, publicAddress, 'own', publicAddress],
    ['shows the public host at its own port', { transport: 'ws' }, publicAddress, 'own', 'public'],
    ['shows what it is told to', { advertise: 'a.example:1' }, publicAddress, 'own', 'a.example:1'],
    [
      'on all addresses is known as shown',
      { address: '0.0.0.0' },
      publicAddress,
      publicAddress,
      publicAddress,
    ],
    ['of applications is not at the sprayer', { type: 'internal' }, publicAddress, 'own', 'own'],
  ] as const;
  for (const [title, given, shown, own, advertised] of named) {
    it(`name a listener that ${title}`, async (t) => {
      const rig = await listening(
        t,
        [listener(given)],
        shown === undefined ? {} : { publicAddress: shown },
      );
      const { names, port } = rig.listeners.bound[0]!;
      const told = new Map<string, string>([
        ['own', `127.0.0.1:${port}`],
        ['public', `sip.example.com:${port}`],
      ]);
      assert.equal(names.own, told.get(own) ?? own);
      assert.equal(names.advertised, told.get(advertised) ?? advertised);
    });
  }

  it('put IPv6 names in brackets', { skip: withoutIpv6 }, async (t) => {
    const rig = await listening(t, [listener({ address: '::1' })]);
    const { names, port } = rig.listeners.bound[0]!;
    assert.deepEqual(names, {
      type: 'default',
      transport: 'UDP',
      own: `[::1]:${port}`,
      advertised: `[::1]:${port}`,
      isV6: true,
    });
  });

  for (const transport of ['udp', 'tcp'] as const) {
    for (const address of [v4, '::1']) {
      it(
        `on all addresses receive from ${address} by ${transport}`,
        { skip: withoutIpv6 },
        async (t) => {
          const rig = await listening(t, [listener({ transport, address: '::' })]);
          const client = await sipClient(t, { transport, address, port: rig.port() });
          client.send(text);
          const { arrival } = await rig.inbox.take();
          assert.equal(arrival.address, address);
          rig.answer(arrival.flow, 'answer', arrival);
          assert.equal(await client.read(6), 'answer');
          const target = { transport: arrival.transport, ...nowhere, address, serverName: '' };
          assert.equal(rig.listeners.names(target), arrival.listener);
          const named = { ...target, port: arrival.port };
          assert.ok(rig.listeners.sendOnFlow(arrival.flow, named, Buffer.from('next')));
          assert.equal(await client.read(4), 'next');
        },
      );
    }
  }

  it(
    'send from the first listener of the family that serves the outside',
    { skip: withoutIpv6 },
    async (t) => {
      const rig = await listening(t, [
        listener({ type: 'internal' }),
        listener({ address: '::1' }),
        listener({ type: 'external' }),
        listener(),
      ]);
      const client = await sipClient(t, { transport: 'udp', address: v4, port: rig.port(2) });
      const target = { transport: 'UDP', address: v4, port: client.port, serverName: '' } as const;
      const { bound } = rig.listeners;
      assert.equal(rig.listeners.names(target), bound[2]!.names);
      assert.equal(rig.listeners.names({ ...target, address: '::1' }), bound[1]!.names);
      rig.listeners.send(target, Buffer.from(text), unexpected);
      assert.equal(await client.read(text.length), text);
      rig.answer('', 'answer', target);
      assert.equal(await client.read(6), 'answer');
    },
  );

  it('have no names for what no listener can send', async (t) => {
    const rig = await listening(t, [listener(), listener({ type: 'internal', transport: 'tcp' })]);
    for (const [transport, address] of [
      ['TCP', v4],
      ['TLS', v4],
      ['WS', v4],
      ['UDP', '::1'],
    ] as const) {
      const target = { ...nowhere, transport, address, serverName: '' };
      assert.equal(rig.listeners.names(target), undefined);
      await new Promise<void>((failed) => rig.listeners.send(target, Buffer.from(text), failed));
    }
    assert.equal(rig.counters.get('sip_drops', 'no-listener-for-target'), 4);
    rig.answer('', 'lost', { address: '::1', port: 9 });
    assert.equal(rig.counters.get('sip_drops', 'unknown-flow'), 1);
  });

  it('say when a datagram cannot be sent', async (t) => {
    const rig = await listening(t, [listener()]);
    const target = { ...nowhere, transport: 'UDP', serverName: '' } as const;
    const huge = Buffer.alloc(sipSocketLimits.datagramBytesMax + 1);
    await new Promise<void>((failed) => rig.listeners.send(target, huge, failed));
    assert.equal(rig.counters.get('sip_send_failures', 'udp'), 1);
    rig.listeners.answer('u0', { message: huge, ...target });
    await rig.counted('sip_send_failures', 'udp', 2);
  });

  for (const transport of ['UDP', 'TCP'] as const) {
    it(`say when ${transport} should go to port 0, which a client's Contact may name`, async (t) => {
      const rig = await listening(t, [listener(), listener({ transport: 'tcp' })]);
      const target = { transport, address: '127.0.0.1', port: 0, serverName: '' };
      await new Promise<void>((failed) => rig.listeners.send(target, Buffer.from('x'), failed));
    });
  }

  it('answer STUN on the port of SIP and hand over what only looks like it', async (t) => {
    const rig = await listening(t, [listener()]);
    const socket = createSocket('udp4');
    t.after(() => socket.close());
    const binding = Buffer.concat([
      Buffer.from([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]),
      Buffer.alloc(12, 7),
    ]);
    socket.send(binding, rig.port(), v4);
    const [answer] = (await once(socket, 'message')) as [Buffer];
    assert.equal(answer.readUInt16BE(0), 0x0101);
    assert.deepEqual(answer.subarray(4, 20), binding.subarray(4));
    socket.send('\r\n\r\n', rig.port(), v4);
    assert.equal((await rig.inbox.take()).message, '\r\n\r\n');
    assert.equal(rig.counters.get('sip_received', 'stun'), 1);
    assert.equal(rig.counters.get('sip_received', 'udp'), 1);
  });

  it('dial a target again once its connection is gone', async (t) => {
    const rig = await listening(t, [listener({ transport: 'tcp' })]);
    const far = await listening(t, [listener({ transport: 'tcp' })]);
    const target = { transport: 'TCP', address: v4, port: far.port(), serverName: '' } as const;
    rig.listeners.send(target, Buffer.from(text), unexpected);
    const first = (await far.inbox.take()).arrival;
    await far.listeners.stop();
    await until(() => rig.listeners.connectionCount === 0);
    const again = await listening(t, [listener({ transport: 'tcp', port: target.port })]);
    rig.listeners.send(target, Buffer.from(text), unexpected);
    assert.notEqual((await again.inbox.take()).arrival.port, first.port);
    assert.equal(rig.counters.get('sip_dials', 'opened'), 2);
  });

  it('look up no name to answer a client that is gone', async (t) => {
    const rig = await listening(t, [listener({ transport: 'tcp' })]);
    rig.answer('t0-1', text, { address: 'localhost', port: rig.port() });
    await rig.counted('sip_drops', 'flow-lost');
    assert.equal(rig.counters.get('sip_dials', 'opened'), 0);
  });

  it('hand over the head of what cannot be cut, then end the connection', async (t) => {
    const rig = await listening(t, [listener({ transport: 'tcp' })]);
    const socket = await tcpClient(t, v4, rig.port());
    const ended = once(socket, 'close');
    const broken = text.replace('Content-Length: 3', 'Content-Length: x');
    socket.write(broken);
    assert.equal((await rig.inbox.take()).message, broken.slice(0, -3));
    socket.resume();
    await ended;
    assert.equal(rig.counters.get('sip_drops', 'content-length'), 1);
  });

  it('cut off connections that do not end when the peer stops', async (t) => {
    const rig = await listening(t, [listener({ transport: 'tcp' })], {
      limits: { stopGraceMs: 1 },
    });
    const socket = await tcpClient(t, v4, rig.port());
    socket.allowHalfOpen = true;
    socket.on('error', () => undefined);
    socket.write('\r\n\r\n');
    assert.equal(await readText(socket, 2), '\r\n');
    socket.resume();
    const ended = once(socket, 'end');
    await rig.listeners.stop();
    await ended;
    assert.equal(rig.listeners.connectionCount, 0);
  });
});
