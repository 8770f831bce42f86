import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, isIPv6, type Socket } from 'node:net';
import { after, before, describe, it, type TestContext } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { WebSocket } from 'ws';
import type { SipListenerConfig } from '../../../src/config/config.ts';
import { acceptLimits } from '../../../src/config/defaults.ts';
import { request } from '../../support/sip-text.ts';
import { Certificates, tlsOf, withoutOpenssl } from '../accept/certificates.ts';
import type { Transport } from './sip-client.ts';
import {
  closing,
  listener,
  listening,
  readText,
  tcpClient,
  tcpServer,
  type ListenerRig,
  type RigOptions,
} from './sip-rig.ts';

const text = request({ body: 'v=0' }).toString('latin1');
const host = '127.0.0.1';
const v1 = Buffer.from('PROXY TCP4 203.0.113.7 192.0.2.1 40000 5060\r\n');
const v2 = Buffer.concat([
  Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'),
  Buffer.from([0x21, 0x11, 0, 12, 203, 0, 113, 7, 192, 0, 2, 1, 0x9c, 0x40, 0x13, 0xc4]),
]);
const local = Buffer.concat([v2.subarray(0, 12), Buffer.from([0x20, 0, 0, 0])]);

async function bind(
  t: TestContext,
  given: Partial<SipListenerConfig> = {},
  options: RigOptions = {},
): Promise<ListenerRig> {
  const proxyProtocol = ['192.0.2.9', '127.0.0.0/8'];
  return listening(t, [listener({ transport: 'tcp', proxyProtocol, ...given })], options);
}

/** Writes in pieces that the peer reads one by one. */
async function writePieces(socket: Socket, pieces: readonly Buffer[]): Promise<void> {
  socket.setNoDelay(true);
  for (const piece of pieces) {
    await new Promise<void>((resolve) => socket.write(piece, () => resolve()));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a listener behind a sprayer that writes PROXY headers', () => {
  for (const [name, header] of [
    ['version 1', v1],
    ['version 2', v2],
  ] as const) {
    it(`takes the source from a header of ${name}`, async (t) => {
      const rig = await bind(t);
      const socket = await tcpClient(t, host, rig.port());
      socket.write(Buffer.concat([header, Buffer.from(text), Buffer.from(text)]));
      const { message, arrival } = await rig.inbox.take();
      assert.equal(message, text);
      assert.equal((await rig.inbox.take()).message, text);
      assert.equal(arrival.address, '203.0.113.7');
      assert.equal(arrival.port, 40_000);
      rig.answer(arrival.flow, 'answer');
      assert.equal(await readText(socket, 6), 'answer');
    });

    it(`takes a header of ${name} that comes in pieces`, async (t) => {
      const rig = await bind(t);
      const socket = await tcpClient(t, host, rig.port());
      await writePieces(
        socket,
        [...header].map((byte) => Buffer.of(byte)),
      );
      socket.write(text);
      const { message, arrival } = await rig.inbox.take();
      assert.equal(message, text);
      assert.equal(arrival.address, '203.0.113.7');
    });
  }

  it('keeps the address of a sprayer that speaks for itself', async (t) => {
    const rig = await bind(t);
    const socket = await tcpClient(t, host, rig.port());
    socket.write(Buffer.concat([local, Buffer.from(text)]));
    const { arrival } = await rig.inbox.take();
    assert.equal(arrival.address, host);
    assert.equal(arrival.port, socket.localPort);
  });

  it('closes a connection without a header', async (t) => {
    const rig = await bind(t);
    const socket = await tcpClient(t, host, rig.port());
    socket.write(text);
    await closing(socket);
    assert.equal(rig.counters.get('sip_handshake_failures', 'proxy-header'), 1);
  });

  it('closes a connection whose header is longer than any', async (t) => {
    const rig = await bind(t);
    const socket = await tcpClient(t, host, rig.port());
    const length = Buffer.alloc(2);
    length.writeUInt16BE(acceptLimits.proxyHeaderBytesMax + 1);
    socket.write(Buffer.concat([v2.subarray(0, 14), length]));
    await closing(socket);
    assert.equal(rig.counters.get('sip_handshake_failures', 'proxy-header'), 1);
  });

  it('closes a connection whose header does not come in time', async (t) => {
    const rig = await bind(t, {}, { limits: { handshakeTimeoutMs: 10 } });
    const socket = await tcpClient(t, host, rig.port());
    socket.write(v1.subarray(0, 10));
    await closing(socket);
    assert.equal(rig.counters.get('sip_handshake_failures', 'proxy-timeout'), 1);
  });

  it('does not take long for messages once the header was there', async (t) => {
    const rig = await bind(t, {}, { limits: { handshakeTimeoutMs: 10 } });
    const socket = await tcpClient(t, host, rig.port());
    socket.write(Buffer.concat([v1, Buffer.from(text)]));
    await rig.inbox.take();
    // Another handshake that began later has run out of time: so would this one have.
    await closing(await tcpClient(t, host, rig.port()));
    socket.write(text);
    assert.equal((await rig.inbox.take()).message, text);
  });

  it('closes connections from elsewhere at once', async (t) => {
    const rig = await bind(t, { proxyProtocol: ['192.0.2.9', '2001:db8::/32'] });
    const socket = await tcpClient(t, host, rig.port());
    await closing(socket);
    assert.equal(rig.counters.get('sip_handshake_failures', 'proxy-source'), 1);
  });

  it('counts connections by their source, not by the sprayer', async (t) => {
    const rig = await bind(t, {}, { connections: { perSourceMax: 1 } });
    const other = Buffer.from(v1.toString().replace('203.0.113.7', '203.0.113.8'));
    for (const header of [v1, other]) {
      const socket = await tcpClient(t, host, rig.port());
      socket.write(Buffer.concat([header, Buffer.from(text)]));
      await rig.inbox.take();
    }
    const third = await tcpClient(t, host, rig.port());
    third.write(Buffer.concat([v1, Buffer.from(text)]));
    await closing(third);
    assert.equal(rig.counters.get('sip_connections_lost', 'source-limit'), 1);
  });

  it('counts the connections of an IPv6 source by its /64', async (t) => {
    const rig = await bind(t, {}, { connections: { perSourceMax: 1 } });
    const from = (address: string): string => `PROXY TCP6 ${address} 2001:db8::1 40000 5060\r\n`;
    for (const address of ['2001:db8:0:1::7', '2001:db8:0:2::7']) {
      const socket = await tcpClient(t, host, rig.port());
      socket.write(from(address) + text);
      assert.equal((await rig.inbox.take()).arrival.address, address);
    }
    const third = await tcpClient(t, host, rig.port());
    third.write(from('2001:db8:0:1::8') + text);
    await closing(third);
    assert.equal(rig.counters.get('sip_connections_lost', 'source-limit'), 1);
  });

  it('is a matter of its configuration: without it a header is no SIP', async (t) => {
    const rig = await bind(t, { proxyProtocol: [] });
    const socket = await tcpClient(t, host, rig.port());
    socket.write(Buffer.concat([v1, Buffer.from(text)]));
    await closing(socket);
    assert.equal(rig.counters.get('sip_drops', 'not-sip'), 1);
  });

  describe('in front of TLS and WebSockets', { skip: withoutOpenssl }, () => {
    let made: Certificates;
    before(() => {
      made = new Certificates();
      made.authority('ours');
    });
    after(() => {
      made.remove();
    });

    async function secured(t: TestContext, transport: Transport): Promise<ListenerRig> {
      const pair = made.issue('server', 'ours', 'DNS:sip.example.org,IP:127.0.0.1');
      return bind(t, { transport, ...(transport === 'ws' ? {} : { tls: tlsOf(pair) }) });
    }

    it('leaves the handshake of TLS alone', async (t) => {
      const rig = await secured(t, 'tls');
      const tcp = await tcpClient(t, host, rig.port());
      tcp.write(v2);
      const socket = connectTls({
        socket: tcp,
        ca: made.ca('ours'),
        servername: 'sip.example.org',
      });
      socket.write(text);
      const { message, arrival } = await rig.inbox.take();
      assert.equal(message, text);
      assert.equal(arrival.address, '203.0.113.7');
      assert.equal(arrival.transport, 'TLS');
      rig.answer(arrival.flow, 'answer');
      assert.equal(await readText(socket, 6), 'answer');
    });

    for (const transport of ['ws', 'wss'] as const) {
      it(`leaves the handshake of ${transport} alone`, async (t) => {
        const rig = await secured(t, transport);
        const tcp = connect({ host, port: rig.port() });
        t.after(() => tcp.destroy());
        tcp.write(v1);
        const below =
          transport === 'ws'
            ? tcp
            : connectTls({ socket: tcp, ca: made.ca('ours'), servername: 'sip.example.org' });
        const socket = new WebSocket(`${transport}://sip.example.org`, 'sip', {
          createConnection: () => below,
        });
        t.after(() => {
          socket.terminate();
        });
        await once(socket, 'open');
        socket.send(text);
        const { message, arrival } = await rig.inbox.take();
        assert.equal(message, text);
        assert.equal(arrival.address, '203.0.113.7');
        assert.ok(!isIPv6(arrival.address));
        const answered = once(socket, 'message');
        rig.answer(arrival.flow, 'answer');
        const [data] = (await answered) as [Buffer];
        assert.equal(data.toString(), 'answer');
      });
    }

    it('finds the hello of TLS behind the header in one piece', async (t) => {
      const rig = await secured(t, 'tls');
      const far = await tcpClient(t, host, rig.port());
      // The client's bytes are held back until they can follow the header in one write.
      const { server, client } = await pairOf(t);
      const socket = connectTls({
        socket: client,
        ca: made.ca('ours'),
        servername: 'sip.example.org',
      });
      socket.on('error', () => undefined);
      const [hello] = (await once(server, 'data')) as [Buffer];
      far.write(Buffer.concat([v1, hello]));
      far.pipe(server);
      server.pipe(far);
      await once(socket, 'secureConnect');
      socket.write(text);
      assert.equal((await rig.inbox.take()).arrival.address, '203.0.113.7');
    });
  });
});

/** Two ends of one connection. */
async function pairOf(t: TestContext): Promise<{ server: Socket; client: Socket }> {
  const { port, accepted } = await tcpServer(t);
  const client = await tcpClient(t, host, port);
  return { server: await accepted.take(), client };
}
