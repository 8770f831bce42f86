import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { sipSocketLimits, upstreamLimits } from '../../../src/config/defaults.ts';
import { buildResponse, parseSipMessage } from '../../../src/sip/index.ts';
import { request } from '../../support/sip-text.ts';
import { readText } from '../sip/sip-rig.ts';
import { datagram, started, tcpNode, udpNode, UpstreamRig } from './upstream-rig.ts';

const invite = request({ body: 'v=0' });
const text = invite.toString('latin1');
const parsed = parseSipMessage(invite);
assert.ok(parsed.ok);
const ok = buildResponse(parsed.message, { status: 200, toTag: 'to1' });

/** A port on which nobody listens. */
async function freePort(t: TestContext): Promise<number> {
  const { server, port } = await tcpNode(t);
  server.close();
  await once(server, 'close');
  return port;
}

describe('Upstream SIP over UDP', () => {
  it('delivers from the address that it names, and takes the response', async (t) => {
    const server = await udpNode(t, '127.0.0.1');
    const { sip, responses, counters } = await started(t, { port: server.address().port });
    const delivered = once(server, 'message');
    assert.ok(sip.deliver(invite));
    const [bytes, source] = (await delivered) as [Buffer, { port: number }];
    assert.equal(bytes.toString('latin1'), text);
    assert.equal(sip.localAddress, `127.0.0.1:${source.port}`);
    server.send('\r\n\r\n', source.port, '127.0.0.1');
    server.send(ok, source.port, '127.0.0.1');
    assert.equal(await responses.take(), ok.toString('latin1'));
    assert.equal(counters.get('sip_drops', 'keep-alive'), 1);
  });

  it('turns requests away for a while after the server was not there', async (t) => {
    const rig = await started(t, { port: await freePort(t) });
    const { sip } = rig;
    assert.ok(sip.deliver(invite));
    await rig.counted('application_failures udp-unreachable');
    assert.ok(!sip.deliver(invite) && !sip.deliverResponse(ok));
    rig.nowMs = upstreamLimits.unreachableMs;
    assert.ok(sip.deliver(invite));
    await rig.counted('application_failures udp-unreachable');
    assert.equal(rig.logged.length, 1);
  });

  it('refuses what no datagram holds, and serves the next request', async (t) => {
    const server = await udpNode(t, '127.0.0.1');
    const { sip, refused } = await started(t, { port: server.address().port });
    const large = request({ body: 'x'.repeat(sipSocketLimits.datagramBytesMax) });
    assert.ok(sip.deliver(large));
    assert.equal(await refused.take(), large.toString('latin1'));
    const delivered = once(server, 'message');
    assert.ok(sip.deliver(invite));
    assert.equal(String((await delivered)[0]), text);
    assert.ok(!sip.deliverResponse(large));
  });

  it('delivers responses that another peer hands over', async (t) => {
    const server = await udpNode(t, '127.0.0.1');
    const { sip } = await started(t, { port: server.address().port });
    const delivered = datagram(server);
    assert.ok(sip.deliverResponse(ok));
    assert.equal(await delivered, ok.toString('latin1'));
  });

  it('finds a server again that has got another address', async (t) => {
    const server = await udpNode(t, '127.0.0.2');
    const found = [[], ['::1', '127.0.0.1'], ['127.0.0.2']];
    const rig = await started(t, {
      host: 'application.test',
      port: server.address().port,
      local: { address: '0.0.0.0', port: 0 },
      lookup: () => Promise.resolve(found.shift() ?? []),
    });
    assert.ok(!rig.sip.deliver(invite), 'the name is not known yet');
    // Look-up and connect need no more than a turn of the event loop.
    await setImmediate();
    rig.nowMs += upstreamLimits.unreachableMs;
    assert.ok(rig.sip.deliver(invite), 'nobody is at the first address');
    await rig.counted('application_failures udp-unreachable');
    await setImmediate();
    rig.nowMs += upstreamLimits.unreachableMs;
    const delivered = datagram(server);
    assert.ok(rig.sip.deliver(invite));
    assert.equal(await delivered, text);
  });

  it('asks for a name once at a time, however long that takes', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const asked: ((found: string[]) => void)[] = [];
    const rig = await started(t, {
      host: 'application.test',
      port: 5_060,
      local: { address: '0.0.0.0', port: 0 },
      lookup: () =>
        asked.length === 0
          ? (asked.push(() => undefined), Promise.resolve([]))
          : new Promise((resolve) => asked.push(resolve)),
    });
    for (let at = 0; at < 5; at++) {
      rig.nowMs += upstreamLimits.unreachableMs;
      assert.ok(!rig.sip.deliver(invite));
      t.mock.timers.tick(upstreamLimits.resolveIntervalMs);
    }
    assert.equal(asked.length, 2, 'the start and one more');
    asked[1]!([]);
    await setImmediate();
    t.mock.timers.tick(upstreamLimits.resolveIntervalMs);
    assert.equal(asked.length, 3);
  });

  it('looks a name up from time to time', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const server = await udpNode(t, '127.0.0.1');
    const found = [['127.0.0.2'], ['127.0.0.1'], []];
    const rig = await started(t, {
      host: 'application.test',
      port: server.address().port,
      local: { address: '0.0.0.0', port: 0 },
      lookup: () => Promise.resolve(found.shift() ?? []),
    });
    for (let at = 0; at < 2; at++) {
      t.mock.timers.tick(upstreamLimits.resolveIntervalMs);
      await setImmediate();
      const delivered = datagram(server);
      assert.ok(rig.sip.deliver(invite));
      assert.equal(await delivered, text);
    }
    assert.equal(found.length, 0);
  });
});

describe('Upstream SIP over TCP', () => {
  it('delivers what waited for the connection, takes responses, answers keep-alives', async (t) => {
    const { port, accepted } = await tcpNode(t);
    const { sip, responses } = await started(t, { transport: 'tcp', port });
    assert.ok(sip.deliver(invite) && sip.deliver(invite));
    const socket = await accepted.take();
    assert.equal(await readText(socket, 2 * text.length), text + text);
    socket.write(ok.subarray(0, 10));
    socket.write(Buffer.concat([ok.subarray(10), Buffer.from('\r\n\r\n')]));
    assert.equal(await responses.take(), ok.toString('latin1'));
    assert.equal(await readText(socket, 2), '\r\n');
  });

  it('refuses what waited when nobody is there, and asks again after a while', async (t) => {
    const port = await freePort(t);
    const rig = await started(t, { transport: 'tcp', port });
    const { sip, refused } = rig;
    assert.ok(sip.deliver(invite) && sip.deliver(invite));
    assert.ok(sip.deliverResponse(ok));
    assert.deepEqual([await refused.take(), await refused.take()], [text, text]);
    assert.ok(!sip.deliver(invite));
    assert.equal(rig.counters.get('sip_drops', 'application-unreachable'), 1);
    assert.equal(rig.logged.length, 1);
    const { accepted } = await tcpNode(t, port);
    rig.nowMs = upstreamLimits.unreachableMs;
    assert.ok(sip.deliver(invite));
    assert.equal(await readText(await accepted.take(), text.length), text);
  });

  it('dials the addresses of a name that its own can reach', async (t) => {
    const { port, accepted } = await tcpNode(t);
    for (const address of ['127.0.0.1', '::', '0.0.0.0']) {
      const rig = await started(t, {
        transport: 'tcp',
        host: 'application.test',
        port,
        local: { address, port: 0 },
        lookup: () => Promise.resolve(['::1', '127.0.0.1']),
      });
      assert.ok(rig.sip.deliver(invite), address);
      assert.equal(await readText(await accepted.take(), text.length), text, address);
    }
  });

  it('refuses what waits for a name without an address', async (t) => {
    const rig = await started(t, {
      transport: 'tcp',
      host: 'application.test',
      port: 5_060,
      lookup: () => Promise.resolve([]),
    });
    assert.ok(rig.sip.deliver(invite));
    assert.equal(await rig.refused.take(), text);
    assert.deepEqual(
      rig.logged.map((details) => 'error' in details && details.error),
      ['no address is known'],
    );
  });

  it('dials nobody once it stops', async (t) => {
    const { port, accepted } = await tcpNode(t);
    const { sip } = await started(t, { transport: 'tcp', port });
    assert.ok(sip.deliver(invite));
    const socket = await accepted.take();
    const closed = once(socket, 'close');
    socket.resume();
    const stopped = sip.stop();
    assert.ok(!sip.deliver(invite) && !sip.deliverResponse(ok));
    await Promise.all([stopped, closed]);
    assert.ok(!sip.deliver(invite));
  });

  it('leaves nothing open when it is stopped while it starts', async (t) => {
    const { server } = await tcpNode(t);
    const { port } = server.address() as AddressInfo;
    let tell: (found: string[]) => void = () => undefined;
    const rig = new UpstreamRig({
      host: 'application.test',
      port,
      lookup: () => new Promise((resolve) => (tell = resolve)),
    });
    const starting = rig.sip.start();
    const stopped = rig.sip.stop();
    tell(['127.0.0.1']);
    await assert.rejects(starting, /stopped/);
    await stopped;
    assert.equal(rig.port, 0, 'no port was taken');
  });

  it('bounds what waits', async (t) => {
    const { port } = await tcpNode(t);
    const { sip } = await started(t, { transport: 'tcp', port });
    for (let at = 0; at < upstreamLimits.waitingMessagesMax; at++) assert.ok(sip.deliver(invite));
    assert.ok(!sip.deliver(invite));
  });

  it('dials again after the server closed or wrote what cannot be cut', async (t) => {
    const { port, accepted } = await tcpNode(t);
    const { sip } = await started(t, { transport: 'tcp', port });
    for (const last of ['SIP/2.0 200 OK\r\nContent-Length: x\r\n\r\n', '']) {
      assert.ok(sip.deliver(invite));
      const socket = await accepted.take();
      assert.equal(await readText(socket, text.length), text);
      const closed = once(socket, 'close');
      socket.resume();
      socket.end(last);
      await closed;
    }
    assert.ok(sip.deliver(invite));
    assert.equal(await readText(await accepted.take(), text.length), text);
  });
});
