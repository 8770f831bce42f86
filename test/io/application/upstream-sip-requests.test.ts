import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { sipSocketLimits, upstreamLimits } from '../../../src/config/defaults.ts';
import { EmbeddedApplicationHost } from '../../../src/io/application/embedded.ts';
import { systemTime } from '../../../src/io/application/system-time.ts';
import { UpstreamApplication } from '../../../src/io/application/upstream.ts';
import type { Application } from '../../../src/io/application/application.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import type { ResponseTarget } from '../../../src/pipeline/return-response.ts';
import { request, sip as sipText } from '../../support/sip-text.ts';
import { readText } from '../sip/sip-rig.ts';
import { datagram, dial, started, tcpNode, udpNode, type UpstreamRig } from './upstream-rig.ts';

const notify = request({ method: 'NOTIFY' });
const text = notify.toString('latin1');
const ok = sipText(['SIP/2.0 200 OK', 'Content-Length: 0']);

function target(address: string, port: number, message = ok): ResponseTarget {
  return { message, transport: 'UDP', address, port };
}

/** A node's request, as it shows that the connection of the rig takes them. */
async function flowOf(rig: UpstreamRig, socket: Socket): Promise<string> {
  socket.write(notify);
  const { arrival } = await rig.requests.take();
  return arrival.flow;
}

describe('Requests of the upstream application over UDP', () => {
  it('come from its address, and are answered there', async (t) => {
    const server = await udpNode(t, '127.0.0.1');
    const { port } = server.address();
    const rig = await started(t, { port });
    const { sip, requests } = rig;
    server.send(notify, rig.port, '127.0.0.1');
    const own = `127.0.0.1:${rig.port}`;
    const listener = { type: 'internal', transport: 'UDP', advertised: own, own, isV6: false };
    assert.deepEqual(await requests.take(), {
      text,
      arrival: { transport: 'UDP', address: '127.0.0.1', port, flow: 'a0', listener },
    });
    assert.deepEqual(sip.listeners, [listener, { ...listener, transport: 'TCP' }]);
    const answered = datagram(server);
    sip.answer('a0', target('127.0.0.1', port));
    assert.equal(await answered, ok.toString('latin1'));
  });

  it('come from nobody else', async (t) => {
    const server = await udpNode(t, '127.0.0.1');
    const stranger = await udpNode(t, '127.0.0.1');
    const rig = await started(t, { port: server.address().port });
    const { sip, counters } = rig;
    // Loopback keeps the order, so the stranger's is dealt with before the server's.
    stranger.send(notify, rig.port, '127.0.0.1');
    server.send(request({ method: 'INFO' }), rig.port, '127.0.0.1');
    assert.match((await rig.requests.take()).text, /^INFO /);
    sip.answer('a0', target('127.0.0.2', server.address().port));
    assert.equal(counters.get('sip_drops', 'not-the-application'), 1);
  });

  it('come from extra nodes, by address and port', async (t) => {
    const server = await udpNode(t, '127.0.0.1');
    const { port } = server.address();
    const twin = await udpNode(t, '127.0.0.2', port);
    const other = await udpNode(t, '127.0.0.3');
    const stranger = await udpNode(t, '127.0.0.2');
    const extraServerNodes = ['127.0.0.2', `127.0.0.3:${other.address().port}`];
    const rig = await started(t, {
      port,
      extraServerNodes,
      local: { address: '0.0.0.0', port: 0 },
    });
    const { sip, counters } = rig;
    stranger.send(notify, rig.port, '127.0.0.1');
    await rig.counted('sip_drops not-the-application');
    for (const node of [server, twin, other]) {
      node.send(notify, rig.port, '127.0.0.1');
      const { arrival } = await rig.requests.take();
      const { address, port: source } = node.address();
      assert.deepEqual([arrival.address, arrival.port], [address, source]);
      const answered = datagram(node);
      sip.answer(arrival.flow, target(arrival.address, arrival.port));
      assert.equal(await answered, ok.toString('latin1'));
    }
    // RFC 3261 section 18.2.2: to the port that the Via names, though nothing came from it.
    const answered = datagram(stranger);
    sip.answer('a0', target('127.0.0.2', stranger.address().port));
    assert.equal(await answered, ok.toString('latin1'));
    sip.answer('a0', target('127.0.0.4', port));
    assert.equal(counters.get('sip_drops', 'not-the-application'), 2);
    const delivered = datagram(server);
    assert.ok(sip.deliver(notify));
    assert.equal(await delivered, text);
  });

  it('reach an IPv6 socket over IPv4', async (t) => {
    const server = await udpNode(t, '127.0.0.1');
    const { port } = server.address();
    for (const extraServerNodes of [[], ['127.0.0.2']]) {
      const rig = await started(t, { port, extraServerNodes, local: { address: '::', port: 0 } });
      server.send(notify, rig.port, '127.0.0.1');
      const { arrival } = await rig.requests.take();
      assert.equal(arrival.address, '127.0.0.1');
      assert.ok(arrival.listener.isV6);
      const answered = datagram(server);
      rig.sip.answer('a0', target(arrival.address, arrival.port));
      assert.equal(await answered, ok.toString('latin1'));
    }
  });

  it('get no answer that no datagram holds, nor one before the address is known', async (t) => {
    const server = await udpNode(t, '127.0.0.1');
    const { port } = server.address();
    const { sip, counters } = await started(t, { port });
    const large = Buffer.alloc(sipSocketLimits.datagramBytesMax + 1);
    sip.answer('a0', target('127.0.0.1', port, large));
    assert.equal(counters.get('application_failures', 'udp-too-large'), 1);
    const unknown = await started(t, { port, host: 'application.test', lookup: nowhere });
    server.send(notify, unknown.port, '127.0.0.1');
    await unknown.counted('sip_drops not-the-application');
    unknown.sip.answer('a0', target('127.0.0.1', port));
    assert.equal(unknown.counters.get('sip_drops', 'not-the-application'), 2);
  });
});

describe('Requests of the upstream application over TCP', () => {
  it('come on connections that it opens, whatever it gets its own requests by', async (t) => {
    for (const transport of ['udp', 'tcp'] as const) {
      const rig = await started(t, { transport, port: 9, extraServerNodes: ['127.0.0.2'] });
      for (const address of ['127.0.0.1', '127.0.0.2']) {
        const socket = await dial(t, rig.port, address);
        socket.write(Buffer.concat([notify, ok, notify.subarray(0, 9)]));
        const { text: received, arrival } = await rig.requests.take();
        assert.equal(received, text);
        assert.equal(await rig.responses.take(), ok.toString('latin1'));
        assert.match(arrival.flow, /^a1-\d+$/);
        assert.deepEqual(
          [arrival.transport, arrival.address, arrival.port, arrival.listener],
          ['TCP', address, socket.localPort, rig.sip.listeners[1]],
        );
        socket.write(Buffer.concat([notify.subarray(9), Buffer.from('\r\n\r\n')]));
        assert.equal(await readText(socket, 2), '\r\n');
        rig.sip.answer(arrival.flow, target('192.0.2.1', 5_060));
        assert.equal(await readText(socket, ok.length), ok.toString('latin1'));
        assert.deepEqual((await rig.requests.take()).arrival, arrival);
      }
    }
  });

  it('come from nobody else', async (t) => {
    const rig = await started(t, { port: 9 });
    const socket = await dial(t, rig.port, '127.0.0.2');
    await once(socket.resume(), 'close');
    assert.equal(rig.counters.get('sip_drops', 'not-the-application'), 1);
  });

  it('come on the connection that was dialled, and are answered on the next one', async (t) => {
    const { port, accepted } = await tcpNode(t);
    const rig = await started(t, { transport: 'tcp', port });
    const { sip, counters } = rig;
    assert.ok(sip.deliver(notify));
    const socket = await accepted.take();
    const flow = await flowOf(rig, socket);
    assert.equal(await readText(socket, text.length), text);
    sip.answer(flow, target('127.0.0.1', port));
    assert.equal(await readText(socket, ok.length), ok.toString('latin1'));
    const closed = once(socket.resume(), 'close');
    socket.end();
    await closed;
    sip.answer(flow, target('127.0.0.1', port));
    assert.equal(await readText(await accepted.take(), ok.length), ok.toString('latin1'));
    assert.equal(counters.get('sip_responses', 'flow-redialled'), 1);
    sip.answer(flow, target('192.0.2.1', port));
    assert.equal(counters.get('sip_drops', 'flow-lost'), 1);
  });

  it('end with a connection that cannot be cut, is idle, or stops in a message', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const rig = await started(t, { port: 9 });
    const ways: readonly [string, string, number][] = [
      ['tcp-content-length', 'INFO a SIP/2.0\r\nContent-Length: x\r\n\r\n', 0],
      ['tcp-idle', text, upstreamLimits.connectionIdleMs],
      ['tcp-partial-message', `${text}NOTIFY`, sipSocketLimits.partialMessageMs],
    ];
    for (const [reason, written, afterMs] of ways) {
      const socket = await dial(t, rig.port);
      const closed = once(socket.resume(), 'close');
      socket.write(written);
      if (afterMs > 0) await rig.requests.take();
      rig.nowMs += afterMs;
      t.mock.timers.tick(sipSocketLimits.sweepIntervalMs);
      if (afterMs > 0) assert.equal(rig.counters.get('application_failures', reason), 0);
      rig.nowMs += 1;
      t.mock.timers.tick(sipSocketLimits.sweepIntervalMs);
      await closed;
      assert.equal(rig.counters.get('application_failures', reason), 1);
    }
  });

  it('are bounded in their connections', async (t) => {
    const rig = await started(t, { port: 9 });
    const sockets = [];
    for (let at = 0; at < upstreamLimits.connectionsMax; at++)
      sockets.push(await dial(t, rig.port));
    const last = await dial(t, rig.port);
    await once(last.resume(), 'close');
    assert.equal(rig.counters.get('application_failures', 'tcp-limit'), 1);
    assert.match(await flowOf(rig, sockets[0]!), /^a1-/);
  });

  it('get no more answers than wait for a slow reader', async (t) => {
    const rig = await started(t, { port: 9 });
    const socket = await dial(t, rig.port);
    const flow = await flowOf(rig, socket);
    const large = Buffer.alloc(sipSocketLimits.connectionBacklogBytesMax);
    while (rig.counters.get('sip_drops', 'application-slow') === 0) {
      rig.sip.answer(flow, target('127.0.0.1', 9, large));
    }
    assert.equal(rig.counters.get('application_failures', 'tcp-backlog'), 1);
  });
});

describe('The address for the upstream application', () => {
  it('is the one advertised', async (t) => {
    for (const [advertise, isV6] of [
      ['peer.example:5070', false],
      ['[2001:db8::1]:5070', true],
    ] as const) {
      const { sip } = await started(t, { port: 9, advertise });
      assert.equal(sip.localAddress, advertise);
      for (const { own, advertised, isV6: speaksV6 } of sip.listeners) {
        assert.deepEqual([own, advertised, speaksV6], [advertise, advertise, isV6]);
      }
    }
  });

  it('must be free for both protocols', async (t) => {
    const { port } = (await udpNode(t, '127.0.0.1')).address();
    const local = { address: '127.0.0.1', port };
    await assert.rejects(started(t, { port: 9, local }), { code: 'EADDRINUSE' });
    const { port: tcpPort } = await tcpNode(t);
    const other = { address: '127.0.0.1', port: tcpPort };
    await assert.rejects(started(t, { port: 9, local: other }), { code: 'EADDRINUSE' });
  });
});

describe('Applications without a SIP server', () => {
  it('take no responses', () => {
    const counters = new Counters();
    const embedded: Application = new EmbeddedApplicationHost({
      instance: 'a',
      module: () => ({}),
      outlet: { sipResponse: () => undefined },
      counters,
      log: () => undefined,
      clock: systemTime,
      schedule: systemTime.schedule,
    });
    const web = new UpstreamApplication({ sip: undefined, http: undefined, counters });
    for (const application of [embedded, web]) {
      assert.ok(!application.deliverResponse(ok));
      application.answer('a0', target('127.0.0.1', 5_060));
    }
    assert.equal(counters.get('sip_drops', 'unknown-flow'), 2);
  });

  it('know no flow of another kind', async (t) => {
    const { sip, counters } = await started(t, { port: 9 });
    sip.answer('u0', target('127.0.0.1', 9));
    assert.equal(counters.get('sip_drops', 'unknown-flow'), 1);
  });
});

function nowhere(): Promise<readonly string[]> {
  return Promise.reject(new Error('not found'));
}
