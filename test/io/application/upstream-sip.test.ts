import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { sipSocketLimits, upstreamLimits } from '../../../src/config/defaults.ts';
import type { UpstreamSip } from '../../../src/io/application/upstream-sip.ts';
import { createUpstreamSip } from '../../../src/io/application/upstream.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import { buildResponse, parseSipMessage } from '../../../src/sip/index.ts';
import { request } from '../../support/sip-text.ts';
import { Inbox, readText, tcpServer, udpClient } from '../sip/sip-rig.ts';

const invite = request({ body: 'v=0' });
const text = invite.toString('latin1');
const parsed = parseSipMessage(invite);
assert.ok(parsed.ok);
const ok = buildResponse(parsed.message, { status: 200, toTag: 'to1' });

class Rig {
  readonly counters = new Counters();
  readonly responses = new Inbox<string>();
  readonly refused = new Inbox<string>();
  nowMs = 0;
  readonly sip: UpstreamSip;

  constructor(transport: 'udp' | 'tcp', port: number) {
    this.sip = createUpstreamSip({
      host: '127.0.0.1',
      port,
      transport,
      local: { address: '127.0.0.1', port: 0 },
      counters: this.counters,
      now: () => this.nowMs,
      response: (message) => this.responses.put(message.toString('latin1')),
      refused: (message) => this.refused.put(message.toString('latin1')),
    });
  }
}

async function started(t: TestContext, transport: 'udp' | 'tcp', port: number): Promise<Rig> {
  const rig = new Rig(transport, port);
  await rig.sip.start();
  t.after(() => rig.sip.stop());
  return rig;
}

/** A port on which nobody listens. */
async function freePort(t: TestContext): Promise<number> {
  const { server, port } = await tcpServer(t);
  server.close();
  await once(server, 'close');
  return port;
}

describe('Upstream SIP over UDP', () => {
  it('delivers from the address that it names, and takes the response', async (t) => {
    const server = await udpClient(t, '127.0.0.1');
    const { sip, responses, counters } = await started(t, 'udp', server.address().port);
    const delivered = once(server, 'message');
    assert.ok(sip.deliver(invite));
    const [bytes, source] = (await delivered) as [Buffer, { port: number }];
    assert.equal(bytes.toString('latin1'), text);
    assert.equal(sip.localAddress, `127.0.0.1:${source.port}`);
    server.send(invite, source.port, '127.0.0.1');
    server.send(ok, source.port, '127.0.0.1');
    assert.equal(await responses.take(), ok.toString('latin1'));
    assert.equal(counters.get('sip_drops', 'request-of-application'), 1);
  });

  it('turns requests away for a while after the server was not there', async (t) => {
    const rig = await started(t, 'udp', await freePort(t));
    const counted = new Inbox<string>();
    const count = rig.counters.count.bind(rig.counters);
    rig.counters.count = (name, reason, by) => {
      count(name, reason, by);
      counted.put(reason);
    };
    assert.ok(rig.sip.deliver(invite));
    assert.equal(await counted.take(), 'udp-unreachable');
    assert.ok(!rig.sip.deliver(invite));
    rig.nowMs = upstreamLimits.unreachableMs;
    assert.ok(rig.sip.deliver(invite));
  });

  it('refuses what no datagram holds, and serves the next request', async (t) => {
    const server = await udpClient(t, '127.0.0.1');
    const { sip, refused } = await started(t, 'udp', server.address().port);
    const large = request({ body: 'x'.repeat(sipSocketLimits.datagramBytesMax) });
    assert.ok(sip.deliver(large));
    assert.equal(await refused.take(), large.toString('latin1'));
    const delivered = once(server, 'message');
    assert.ok(sip.deliver(invite));
    assert.equal(String((await delivered)[0]), text);
  });
});

describe('Upstream SIP over TCP', () => {
  it('delivers what waited for the connection, takes responses, answers keep-alives', async (t) => {
    const { port, accepted } = await tcpServer(t);
    const { sip, responses } = await started(t, 'tcp', port);
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
    const rig = await started(t, 'tcp', port);
    const { sip, refused } = rig;
    assert.ok(sip.deliver(invite) && sip.deliver(invite));
    assert.deepEqual([await refused.take(), await refused.take()], [text, text]);
    assert.ok(!sip.deliver(invite));
    const { accepted } = await tcpServer(t, port);
    rig.nowMs = upstreamLimits.unreachableMs;
    assert.ok(sip.deliver(invite));
    assert.equal(await readText(await accepted.take(), text.length), text);
  });

  it('bounds what waits', async (t) => {
    const { port } = await tcpServer(t);
    const { sip } = await started(t, 'tcp', port);
    for (let at = 0; at < upstreamLimits.waitingMessagesMax; at++) assert.ok(sip.deliver(invite));
    assert.ok(!sip.deliver(invite));
  });

  it('dials again after the server closed or wrote what cannot be cut', async (t) => {
    const { port, accepted } = await tcpServer(t);
    const { sip } = await started(t, 'tcp', port);
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
