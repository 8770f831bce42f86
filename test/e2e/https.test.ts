import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent, createServer, request, type IncomingMessage } from 'node:http';
import { connect as connectTcp, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { connect } from 'node:tls';
import { makeCertificate } from '../support/certificate.ts';
import { metric } from '../support/cluster.ts';
import { freeTcpPort } from '../support/free-port.ts';
import { ringOf, startPeerProcess } from '../support/peers.ts';
import { requireTool } from '../support/tools.ts';

const host = '127.0.0.1';
const anyPort = { address: host, port: 0 };

/** An application that answers with the head of the request as it got it; its port. */
async function startApplication(t: TestContext): Promise<number> {
  const server = createServer((incoming, outgoing) => {
    outgoing.end(JSON.stringify(incoming.headers));
  });
  server.listen(0, host);
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function upstream(port: number): Readonly<Record<string, unknown>> {
  return { sip: { listeners: [] }, application: { kind: 'upstream', http: { host, port } } };
}

describe('a peer that serves HTTPS behind PROXY headers', { timeout: 60_000 }, () => {
  it('tells the application who asks, and refuses those who do not say', async (t) => {
    if (!requireTool('openssl', t)) return;
    const folder = await mkdtemp(join(tmpdir(), 'sailring-https-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const tls = await makeCertificate(folder, 'server');
    const port = await freeTcpPort();
    const peer = await startPeerProcess(t, 'peer-1', {
      ...upstream(await startApplication(t)),
      http: { listeners: [{ address: host, port, tls, proxyProtocol: ['127.0.0.0/8'] }] },
    });
    const open = async (begin: string): Promise<string> => {
      const tcp = connectTcp({ host, port });
      tcp.write(begin);
      const socket = connect({ socket: tcp, host, ca: await readFile(tls.certificate) });
      t.after(() => socket.destroy());
      socket.on('error', () => undefined);
      socket.write('GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n');
      return text(socket).catch(() => '');
    };
    const answer = await open('PROXY TCP4 203.0.113.7 192.0.2.1 40000 443\r\n');
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
    const headers = JSON.parse(answer.slice(answer.indexOf('{'))) as Record<string, string>;
    assert.equal(headers['x-forwarded-for'], '203.0.113.7');
    assert.equal(headers['x-forwarded-proto'], 'https');
    assert.match(headers['traceparent'] ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-/);
    assert.equal(await open(''), '');
    assert.equal(
      await metric(
        `http://${peer.admin}`,
        'sailring_http_handshake_failures_total',
        'proxy-header',
      ),
      1,
    );
  });
});

describe('a peer that drains', { timeout: 60_000 }, () => {
  it('answers on kept connections once more and asks clients to connect anew', async (t) => {
    const application = upstream(await startApplication(t));
    const peer = await startPeerProcess(t, 'peer-1', application);
    const seeds = [peer.gossip];
    const other = { ...application, gossip: { listen: anyPort, seeds } };
    await startPeerProcess(t, 'peer-2', other);
    await ringOf([peer.admin], 2);
    const { port } = new URL(`http://${peer.http}`);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => {
      agent.destroy();
    });
    const get = async (): Promise<IncomingMessage> => {
      const sent = request({ agent, host, port });
      sent.end();
      const [response] = (await once(sent, 'response')) as [IncomingMessage];
      await text(response);
      return response;
    };
    const before = await get();
    assert.equal(before.statusCode, 200);
    assert.notEqual(before.headers.connection, 'close');
    assert.ok((await fetch(`http://${peer.admin}/drain`, { method: 'POST' })).ok);
    for (let at = 0; at < 3; at++) {
      const after = await get();
      assert.equal(after.statusCode, 200);
      assert.equal(after.headers.connection, 'close');
    }
  });
});
