import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, describe, it, type TestContext } from 'node:test';
import { connect, createServer } from 'node:net';
import { formatHostPort } from '../../../src/config/address.ts';
import { flowLetters, viaTransports } from '../../../src/io/sip/listener-names.ts';
import { request } from '../../support/sip-text.ts';
import { Certificates, tlsOf, withoutOpenssl, type Pair } from '../accept/certificates.ts';
import { sipClient, type SipClient, type Transport } from './sip-client.ts';
import {
  closing,
  listener,
  listening,
  nowhere,
  unexpected,
  until,
  type ListenerRig,
  type RigOptions,
} from './sip-rig.ts';

const text = request({ body: 'v=0' }).toString('latin1');

/** What every SIP transport of a peer owes the pipeline. */
export function transportContract(
  transport: Transport,
  address: string,
  skip: string | false = false,
): void {
  const isTls = transport === 'tls' || transport === 'wss';
  const isWebSocket = transport === 'ws' || transport === 'wss';
  const isUdp = transport === 'udp';
  const canDial = transport === 'tcp' || transport === 'tls';
  const letter = flowLetters[transport];

  describe(
    `SIP over ${transport} on ${address}`,
    { skip: skip || (isTls && withoutOpenssl) },
    () => {
      let certificates: Certificates | undefined;
      let pair: Pair | undefined;

      before(() => {
        if (!isTls) return;
        certificates = new Certificates();
        certificates.authority('ours');
        pair = certificates.issue('server', 'ours', 'DNS:sip.example.org,IP:127.0.0.1,IP:::1');
      });
      after(() => certificates?.remove());

      function bind(t: TestContext, options: RigOptions = {}): Promise<ListenerRig> {
        const tls = pair === undefined ? {} : { tls: tlsOf(pair) };
        const serverCa = certificates?.path('ours.pem');
        return listening(t, [listener({ transport, address, ...tls })], {
          ...options,
          connections: {
            ...options.connections,
            ...(serverCa === undefined ? {} : { serverCa }),
          },
        });
      }

      function join(t: TestContext, rig: ListenerRig): Promise<SipClient> {
        const ca = certificates?.ca('ours');
        return sipClient(t, {
          transport,
          address,
          port: rig.port(),
          ...(ca === undefined ? {} : { ca }),
        });
      }

      /** A client whose flow the peer knows. */
      async function known(t: TestContext, rig: ListenerRig): Promise<[SipClient, string]> {
        const client = await join(t, rig);
        client.send(text);
        return [client, (await rig.inbox.take()).arrival.flow];
      }

      it('hands a message over with where it came from', async (t) => {
        const rig = await bind(t);
        const client = await join(t, rig);
        client.send(text);
        const { message, arrival } = await rig.inbox.take();
        assert.equal(message, text);
        const [bound] = rig.listeners.bound;
        assert.deepEqual(arrival, {
          transport: viaTransports[transport],
          address,
          port: client.port,
          flow: arrival.flow,
          listener: bound!.names,
        });
        assert.match(arrival.flow, isUdp ? /^u0$/ : new RegExp(`^${letter}0-\\d+$`));
        assert.equal(arrival.listener.own, formatHostPort(address, rig.port()));
        assert.equal(rig.counters.get('sip_received', transport), 1);
      });

      it('answers on the flow, as often as asked, and sends requests on it', async (t) => {
        const rig = await bind(t);
        const [client, flow] = await known(t, rig);
        const [other, otherFlow] = await known(t, rig);
        if (!isUdp) assert.notEqual(flow, otherFlow);
        rig.answer(flow, 'first', client);
        rig.answer(flow, 'second', client);
        assert.equal(await client.read(11), 'firstsecond');
        const { port } = other;
        const target = { transport: viaTransports[transport], address, port, serverName: '' };
        assert.ok(rig.listeners.sendOnFlow(otherFlow, target, Buffer.from('third')));
        assert.equal(await other.read(5), 'third');
      });

      it('hands over messages that come close together', async (t) => {
        const rig = await bind(t);
        const client = await join(t, rig);
        const messages = [1, 2, 3, 4].map((cseq) =>
          request({ cseq, body: 'v=0' }).toString('latin1'),
        );
        if (isUdp || isWebSocket) for (const message of messages) client.send(message);
        else client.send(messages.join(''));
        for (const expected of messages) assert.equal((await rig.inbox.take()).message, expected);
      });

      if (!isUdp && !isWebSocket) {
        it('hands over a message that comes byte by byte', async (t) => {
          const rig = await bind(t);
          const client = await join(t, rig);
          for (const byte of Buffer.from(`\r\n${text}`, 'latin1')) {
            client.send(Buffer.of(byte));
            await new Promise((resolve) => setImmediate(resolve));
          }
          assert.equal((await rig.inbox.take()).message, text);
        });
      }

      it('does not know flows that it never had', async (t) => {
        const rig = await bind(t);
        const flow = isUdp ? 'u7' : `${letter}7-1`;
        rig.answer(flow, 'lost');
        assert.equal(rig.counters.get('sip_drops', 'unknown-flow'), 1);
        assert.ok(
          !rig.listeners.sendOnFlow(
            flow,
            { ...nowhere, transport: 'UDP', serverName: '' },
            Buffer.from('lost'),
          ),
        );
        assert.ok(
          !rig.listeners.sendOnFlow(isUdp ? 'u0' : `${letter}0-1`, undefined, Buffer.from('lost')),
        );
      });

      it('cannot be bound where a port is taken', async (t) => {
        const port = await takenPort(t, isUdp, address);
        const tls = pair === undefined ? {} : { tls: tlsOf(pair) };
        const given = [listener({ transport, address, port, ...tls })];
        await assert.rejects(listening(t, given), { code: 'EADDRINUSE' });
      });

      it('closes everything when it stops', async (t) => {
        const rig = await bind(t);
        const [client] = await known(t, rig);
        const port = rig.port();
        await rig.listeners.stop();
        if (!isUdp) assert.equal(await client.closed, isWebSocket ? 1001 : undefined);
        const tls = pair === undefined ? {} : { tls: tlsOf(pair) };
        await listening(t, [listener({ transport, address, port, ...tls })]);
      });

      if (isUdp || canDial) {
        it('sends requests to targets under the names of its listener', async (t) => {
          const rig = await bind(t);
          const far = await bind(t);
          const via = viaTransports[transport];
          const target = {
            transport: via,
            address,
            port: far.port(),
            serverName: 'sip.example.org',
          };
          assert.equal(rig.listeners.names(target), rig.listeners.bound[0]!.names);
          rig.listeners.send(target, Buffer.from(text), unexpected);
          const first = await far.inbox.take();
          assert.equal(first.message, text);
          rig.listeners.send(target, Buffer.from(text), unexpected);
          const second = await far.inbox.take();
          assert.equal(second.arrival.flow, first.arrival.flow);
          assert.equal(second.arrival.port, first.arrival.port);
          far.answer(second.arrival.flow, text, second.arrival);
          const { arrival } = await rig.inbox.take();
          assert.match(arrival.flow, isUdp ? /^u0$/ : new RegExp(`^${letter}0-\\d+$`));
          assert.equal(arrival.listener, rig.listeners.bound[0]!.names);
          assert.equal(rig.counters.get('sip_dials', 'opened'), isUdp ? 0 : 1);
        });
      } else {
        it('cannot dial anybody', async (t) => {
          const rig = await bind(t);
          const target = { transport: viaTransports[transport], ...nowhere, serverName: 'a' };
          assert.equal(rig.listeners.names(target), undefined);
          await new Promise<void>((failed) =>
            rig.listeners.send(target, Buffer.from(text), failed),
          );
        });
      }

      if (isUdp) return;

      it('answers a double CRLF with one', async (t) => {
        const rig = await bind(t);
        const client = await join(t, rig);
        client.send('\r\n\r\n');
        assert.equal(await client.read(2), '\r\n');
        client.send(text);
        assert.equal((await rig.inbox.take()).message, text);
      });

      it('bounds the answers to pings that wait', async (t) => {
        const rig = await bind(t, { limits: { pongsWaitingMax: 2 } });
        const client = await join(t, rig);
        const pings = 50;
        client.sendTogether(Array.from({ length: pings }, () => '\r\n\r\n'));
        await rig.counted('sip_received', 'keep-alive', pings);
        assert.ok(rig.counters.get('sip_drops', 'pong') > 0);
        client.send(text);
        const { flow } = (await rig.inbox.take()).arrival;
        rig.answer(flow, 'end');
        const sent = pings - rig.counters.get('sip_drops', 'pong');
        assert.equal(await client.read(2 * sent + 3), `${'\r\n'.repeat(sent)}end`);
        client.send('\r\n\r\n');
        assert.equal(await client.read(2), '\r\n');
      });

      it('cuts off a client that does not read', async (t) => {
        const rig = await bind(t);
        const [client, flow] = await known(t, rig);
        client.pause();
        const message = Buffer.from('x'.repeat(65_536));
        let sent = 0;
        while (rig.listeners.sendOnFlow(flow, undefined, message)) {
          assert.ok(++sent < 10_000, 'never cut off');
        }
        assert.equal(rig.counters.get('sip_connections_lost', 'slow-reader'), 1);
        client.resume();
        await client.closed;
      });

      it('bounds the connections of all', async (t) => {
        const rig = await bind(t, { limits: { connectionsMax: 1 } });
        const [client] = await known(t, rig);
        await turnedAway(t, rig, address);
        assert.equal(rig.counters.get('sip_connections_lost', 'limit'), 1);
        const { connectionCount } = rig.listeners;
        client.destroy();
        await until(() => rig.listeners.connectionCount < connectionCount);
        await known(t, rig);
      });

      it('bounds the connections of one source', async (t) => {
        const rig = await bind(t, { connections: { perSourceMax: 1 } });
        const [client] = await known(t, rig);
        await turnedAway(t, rig, address);
        assert.equal(rig.counters.get('sip_connections_lost', 'source-limit'), 1);
        const other = await bind(t, {
          connections: { perSourceMax: 1 },
          unlimitedSources: ['127.0.0.0/8', '::1'],
        });
        await known(t, other);
        await known(t, other);
        const { connectionCount } = rig.listeners;
        client.destroy();
        await until(() => rig.listeners.connectionCount < connectionCount);
        await known(t, rig);
      });

      it('knows when a client has gone', async (t) => {
        const rig = await bind(t);
        const [client, flow] = await known(t, rig);
        client.destroy();
        await until(() => !rig.listeners.sendOnFlow(flow, undefined, Buffer.from('lost')));
        if (canDial) return;
        rig.answer(flow, 'lost', client);
        assert.equal(rig.counters.get('sip_drops', 'flow-lost'), 1);
      });

      if (!canDial) return;

      it('dials the sender once where the flow is gone, and keeps the flow', async (t) => {
        const rig = await bind(t);
        const far = await bind(t);
        const lost = `${letter}0-1`;
        const sender = { address, port: far.port() };
        rig.answer(lost, text, sender);
        rig.answer(lost, text, sender);
        const first = await far.inbox.take();
        assert.equal((await far.inbox.take()).arrival.flow, first.arrival.flow);
        far.answer(first.arrival.flow, text);
        assert.equal((await rig.inbox.take()).arrival.flow, lost);
        rig.answer(lost, text);
        assert.equal((await far.inbox.take()).arrival.flow, first.arrival.flow);
        assert.equal(rig.counters.get('sip_dials', 'opened'), 1);
      });

      it('says when a target cannot be reached', async (t) => {
        const rig = await bind(t);
        const port = await freePort(address);
        const target = { transport: viaTransports[transport], address, port, serverName: 'a' };
        let failures = 0;
        const failed = (): void => {
          failures++;
        };
        rig.listeners.send(target, Buffer.from(text), failed);
        rig.listeners.send(target, Buffer.from(text), failed);
        assert.equal(failures, 0);
        await until(() => failures === 2);
        assert.equal(rig.counters.get('sip_dials', 'refused'), 1);
      });

      it('bounds the dials and what waits for each', async (t) => {
        const rig = await bind(t, { limits: { dialsMax: 2, messagesPerDialMax: 3 } });
        const ports = [1, 2, 3].map(() => takenPort(t, false, address));
        const [first, second, third] = (await Promise.all(ports)) as [number, number, number];
        let failures = 0;
        const send = (port: number): void => {
          const target = { transport: viaTransports[transport], address, port, serverName: 'a' };
          rig.listeners.send(target, Buffer.from(text), () => {
            failures++;
          });
        };
        for (let waiting = 0; waiting < 4; waiting++) send(first);
        assert.equal(rig.counters.get('sip_dials', 'limit'), 1);
        send(second);
        send(third);
        assert.equal(rig.counters.get('sip_dials', 'limit'), 2);
        assert.equal(failures, 0);
        await until(() => failures >= 2);
      });
    },
  );
}

/** Connects once more and waits until that is refused. */
async function turnedAway(t: TestContext, rig: ListenerRig, address: string): Promise<void> {
  const socket = connect({ host: address, port: rig.port() });
  t.after(() => socket.destroy());
  await closing(socket);
}

/** A port that somebody else has; for TCP it accepts and says nothing. */
async function takenPort(t: TestContext, isUdp: boolean, address: string): Promise<number> {
  if (isUdp) {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    t.after(() => socket.close());
    socket.bind(0, address);
    await once(socket, 'listening');
    return socket.address().port;
  }
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    t.after(() => socket.destroy());
  });
  t.after(() => server.close());
  server.listen(0, address);
  await once(server, 'listening');
  return (server.address() as { port: number }).port;
}

/** A TCP port that nobody has any more. */
async function freePort(address: string): Promise<number> {
  const server = createServer();
  server.listen(0, address);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
