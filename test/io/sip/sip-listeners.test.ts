import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { sipSocketLimits } from '../../../src/config/defaults.ts';
import { request } from '../../support/sip-text.ts';
import { ListenerRig, listening, readText, tcpClient, tcpServer, udpClient } from './sip-rig.ts';

const invite = request({ body: 'v=0' });
const text = invite.toString('latin1');
const nowhere = { address: '127.0.0.1', port: 9 };

describe('SipListeners, UDP', () => {
  const pairs = [
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
    ['::', '127.0.0.1'],
    ['::', '::1'],
  ] as const;
  for (const [address, client] of pairs) {
    it(`on ${address} receives from ${client} and answers from the same port`, async (t) => {
      const rig = await listening(t, { transport: 'udp', address, port: 0 });
      const socket = await udpClient(t, client);
      socket.send(invite, rig.port(), client);
      const { message, arrival } = await rig.inbox.take();
      assert.equal(message, text);
      const { port } = socket.address();
      assert.deepEqual(arrival, { transport: 'UDP', address: client, port, flow: 'u0' });
      for (const flow of ['u0', '']) {
        const answered = once(socket, 'message');
        rig.answer(flow, 'answer', arrival);
        const [bytes, source] = (await answered) as [Buffer, { port: number }];
        assert.equal(bytes.toString(), 'answer');
        assert.equal(source.port, rig.port());
      }
    });
  }

  it('count what cannot be sent and flows that nobody has', async (t) => {
    const rig = await listening(t, { transport: 'udp', address: '127.0.0.1', port: 0 });
    for (const flow of ['u7', 't3-1']) rig.answer(flow, 'lost', nowhere);
    rig.answer('', 'lost', { address: '::1', port: 9 });
    assert.equal(rig.counters.get('sip_drops', 'unknown-flow'), 3);
    const socket = await udpClient(t, '127.0.0.1');
    const target = { address: '127.0.0.1', port: socket.address().port };
    rig.answer('u0', 'x'.repeat(sipSocketLimits.datagramBytesMax + 1), target);
    const received = once(socket, 'message');
    rig.answer('u0', 'small', target);
    await received;
    assert.equal(rig.counters.get('sip_send_failures', 'udp'), 1);
  });

  it('reject an occupied port', async (t) => {
    const taken = createSocket('udp4');
    t.after(() => taken.close());
    taken.bind(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address();
    const rig = new ListenerRig([{ transport: 'udp', address: '127.0.0.1', port }]);
    await assert.rejects(rig.listeners.start(), { code: 'EADDRINUSE' });
    await rig.listeners.stop();
  });
});

describe('SipListeners, TCP', () => {
  for (const [address, client] of [
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
    ['::', '127.0.0.1'],
  ] as const) {
    it(`on ${address} cuts messages of ${client} and answers on its connection`, async (t) => {
      const rig = await listening(t, { transport: 'tcp', address, port: 0 });
      const socket = await tcpClient(t, client, rig.port());
      const other = await tcpClient(t, client, rig.port());
      socket.write(text + text.slice(0, 40));
      socket.write(text.slice(40));
      const [first, second] = [await rig.inbox.take(), await rig.inbox.take()];
      assert.deepEqual([first.message, second.message], [text, text]);
      assert.equal(first.arrival.address, client);
      assert.equal(first.arrival.port, socket.localPort);
      assert.equal(first.arrival.flow, second.arrival.flow);
      other.write(text);
      assert.notEqual((await rig.inbox.take()).arrival.flow, first.arrival.flow);
      rig.answer(first.arrival.flow, 'answer', nowhere);
      assert.equal(await readText(socket, 6), 'answer');
    });
  }

  it('answer a double CRLF with one', async (t) => {
    const rig = await listening(t, { transport: 'tcp', address: '127.0.0.1', port: 0 });
    const socket = await tcpClient(t, '127.0.0.1', rig.port());
    socket.write('\r\n\r\n');
    assert.equal(await readText(socket, 2), '\r\n');
  });

  it('hand over the head of what cannot be cut, then end the connection', async (t) => {
    const rig = await listening(t, { transport: 'tcp', address: '127.0.0.1', port: 0 });
    const socket = await tcpClient(t, '127.0.0.1', rig.port());
    const ended = once(socket, 'close');
    const broken = text.replace('Content-Length: 3', 'Content-Length: x');
    socket.write(broken);
    const { message } = await rig.inbox.take();
    assert.equal(message, broken.slice(0, -3));
    socket.resume();
    await ended;
    assert.equal(rig.counters.get('sip_drops', 'content-length'), 1);
  });

  it('cut off a client that does not read', async (t) => {
    const rig = await listening(t, { transport: 'tcp', address: '127.0.0.1', port: 0 });
    const socket = await tcpClient(t, '127.0.0.1', rig.port());
    socket.pause();
    socket.on('error', () => undefined);
    socket.write(text);
    const { flow } = (await rig.inbox.take()).arrival;
    const message = 'x'.repeat(65_536);
    for (let sent = 0; rig.counters.get('sip_connections_lost', 'slow-reader') === 0; sent++) {
      assert.ok(sent < 10_000, 'never cut off');
      rig.answer(flow, message, nowhere);
    }
    assert.equal(rig.counters.get('sip_responses', 'flow-redialled'), 0);
    const closed = once(socket, 'close');
    socket.resume();
    await closed;
  });

  it('dial the sender once where the flow is gone, and keep the flow', async (t) => {
    const rig = await listening(t, { transport: 'tcp', address: '127.0.0.1', port: 0 });
    const { port, accepted } = await tcpServer(t);
    const sender = { address: '127.0.0.1', port };
    rig.answer('t0-1', 'first ', sender);
    rig.answer('t0-1', 'second ', sender);
    const socket = await accepted.take();
    assert.equal(await readText(socket, 13), 'first second ');
    socket.write(text);
    const { arrival } = await rig.inbox.take();
    assert.equal(arrival.flow, 't0-1');
    rig.answer('t0-1', 'third', nowhere);
    assert.equal(await readText(socket, 5), 'third');
    assert.equal(rig.counters.get('sip_responses', 'flow-redialled'), 1);
  });

  it('bound the dials and what waits for each', async (t) => {
    const rig = await listening(t, { transport: 'tcp', address: '127.0.0.1', port: 0 });
    const { port } = await tcpServer(t);
    const { dialsMax, messagesPerDialMax } = sipSocketLimits;
    const sender = { address: '127.0.0.1', port };
    for (let flow = 0; flow <= dialsMax; flow++) rig.answer(`t0-${flow}`, 'x', sender);
    assert.equal(rig.counters.get('sip_responses', 'flow-redialled'), dialsMax);
    assert.equal(rig.counters.get('sip_drops', 'dial-limit'), 1);
    for (let waiting = 1; waiting <= messagesPerDialMax; waiting++) rig.answer('t0-0', 'x', sender);
    assert.equal(rig.counters.get('sip_drops', 'dial-limit'), 2);
    await rig.listeners.stop();
  });

  it('reject an occupied port', async (t) => {
    const { port } = await tcpServer(t);
    const rig = new ListenerRig([
      { transport: 'udp', address: '127.0.0.1', port: 0 },
      { transport: 'tcp', address: '127.0.0.1', port },
    ]);
    await assert.rejects(rig.listeners.start(), { code: 'EADDRINUSE' });
    await rig.listeners.stop();
  });
});
