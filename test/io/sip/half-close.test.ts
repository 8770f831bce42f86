import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { after, before, describe, it, type TestContext } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { request } from '../../support/sip-text.ts';
import { Certificates, tlsOf, withoutOpenssl, type Pair } from '../accept/certificates.ts';
import {
  closing,
  Inbox,
  listener,
  listening,
  nowhere,
  tcpServer,
  until,
  type ListenerRig,
} from './sip-rig.ts';

const text = request().toString('latin1');
const host = '127.0.0.1';
const ringing = 'SIP/2.0 180 Ringing\r\n\r\n';
const ok = 'SIP/2.0 200 OK\r\n\r\n';
const halfCloseProbeMs = 20;

for (const transport of ['tcp', 'tls'] as const) {
  const isTls = transport === 'tls';

  describe(
    `a ${transport} client that ends its own direction`,
    {
      skip: isTls && withoutOpenssl,
    },
    () => {
      let certificates: Certificates | undefined;
      let pair: Pair | undefined;

      before(() => {
        if (!isTls) return;
        certificates = new Certificates();
        certificates.authority('ours');
        pair = certificates.issue('server', 'ours', 'IP:127.0.0.1');
      });
      after(() => certificates?.remove());

      function bind(t: TestContext, sweepIntervalMs = 20): Promise<ListenerRig> {
        const tls = pair === undefined ? {} : { tls: tlsOf(pair) };
        return listening(t, [listener({ transport, ...tls })], {
          limits: { halfCloseProbeMs, sweepIntervalMs },
        });
      }

      /** Everything that it read, whenever something comes. */
      async function client(t: TestContext, rig: ListenerRig): Promise<[Socket, Inbox<string>]> {
        const below = connectTcp({ host, port: rig.port(), allowHalfOpen: true });
        const ca = certificates?.ca('ours');
        const socket = isTls
          ? connectTls({ socket: below, host, ...(ca === undefined ? {} : { ca }) })
          : below;
        t.after(() => socket.destroy());
        await once(socket, isTls ? 'secureConnect' : 'connect');
        const inbox = new Inbox<string>();
        let read = '';
        socket.on('data', (chunk: Buffer) => {
          read += chunk.toString('latin1');
          inbox.put(read);
        });
        return [socket, inbox];
      }

      async function readTo(inbox: Inbox<string>, end: string): Promise<string> {
        for (;;) {
          const read = await inbox.take();
          // Line breaks that look for the client may have come right behind.
          if (read.includes(end)) return read;
        }
      }

      it('gets its answers on the connection, which then ends', async (t) => {
        const rig = await bind(t);
        const [socket, inbox] = await client(t, rig);
        const ended = once(socket, 'end');
        socket.end(text);
        const { flow } = (await rig.inbox.take()).arrival;
        await until(() => !rig.listeners.sendOnFlow(flow, undefined, Buffer.from('')));
        rig.answer(flow, ringing);
        await readTo(inbox, ringing);
        // Line breaks come again and again; they find nothing wrong.
        await readTo(inbox, '\r\n\r\n\r\n');
        rig.answer(flow, ok);
        const read = await readTo(inbox, ok);
        assert.equal(read.replace(/(?<=^|\r\n\r\n)(\r\n)+/g, ''), ringing + ok);
        await ended;
        assert.equal(rig.counters.get('sip_responses', 'flow-redialled'), 0);
        await until(() => rig.listeners.connectionCount === 0);
      });

      it('is closed at once when nothing of it waits', async (t) => {
        const rig = await bind(t, 1_000_000);
        const [socket, inbox] = await client(t, rig);
        socket.write(text);
        const { flow } = (await rig.inbox.take()).arrival;
        rig.answer(flow, ok);
        await readTo(inbox, ok);
        const ended = once(socket, 'end');
        socket.end(text.replace(/^[A-Z]+ /, 'ACK '));
        await ended;
        await until(() => rig.listeners.connectionCount === 0);
      });

      it('gives its place back when it was gone altogether', async (t) => {
        const rig = await bind(t, 1_000_000);
        const [socket] = await client(t, rig);
        socket.write(text);
        await rig.inbox.take();
        const closed = closing(socket);
        socket.destroy();
        await closed;
        await until(() => rig.listeners.connectionCount === 0);
      });

      if (isTls) return;

      it('is dialled for its answer when it was gone altogether', async (t) => {
        const rig = await listening(t, [listener({ transport })], {
          limits: { halfCloseProbeMs: 1_000_000, sweepIntervalMs: 1_000_000 },
        });
        const { port, accepted } = await tcpServer(t);
        const [socket] = await client(t, rig);
        socket.write(text);
        const { flow } = (await rig.inbox.take()).arrival;
        const closed = closing(socket);
        socket.destroy();
        await closed;
        await until(() => !rig.listeners.sendOnFlow(flow, undefined, Buffer.from('')));
        rig.answer(flow, ok, { ...nowhere, port });
        const [chunk] = (await once(await accepted.take(), 'data')) as [Buffer];
        assert.equal(chunk.toString('latin1'), ok);
        assert.equal(rig.counters.get('sip_responses', 'flow-redialled'), 1);
      });
    },
  );
}
