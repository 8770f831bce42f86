import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { stop } from '../support/cluster.ts';
import { freeTcpPort, freeUdpPort } from '../support/free-port.ts';
import { startPeers } from '../support/peers.ts';
import { listens } from '../support/sipp-process.ts';
import { runSipp } from '../support/sipp.ts';
import { requireTool } from '../support/tools.ts';

/** SIPp's own UAS scenario; gives its port when it is ready. */
async function startUas(t: TestContext, transport: 'udp' | 'tcp'): Promise<number> {
  const port = transport === 'udp' ? await freeUdpPort() : await freeTcpPort();
  const mode = transport === 'udp' ? 'u1' : 't1';
  const child = spawn(
    'sipp',
    ['-sn', 'uas', '-i', '127.0.0.1', '-p', String(port), '-t', mode, '-nostdin'],
    {
      stdio: 'ignore',
    },
  );
  t.after(() => stop(child));
  if (transport === 'udp') await listens(port);
  else await accepts(port);
  return port;
}

async function accepts(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (isOpen) return;
  }
}

async function startWeb(t: TestContext, name: string): Promise<{ server: Server; port: number }> {
  const server = createServer((request, response) => {
    response.setHeader('x-served-by', name);
    if (request.url?.startsWith('/login') === true) {
      response.setHeader('set-cookie', `JSESSIONID=${name}-session; Path=/`);
    }
    response.end(JSON.stringify({ name, headers: request.headers }));
  }).listen(0, '127.0.0.1');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

const host = '127.0.0.1';
/** The half of an application that a test does not use; the discard port. */
const unused = { host, port: 9 };

describe('An upstream application beside each of three peers', { timeout: 120_000 }, () => {
  for (const transport of ['udp', 'tcp'] as const) {
    it(`SIPp's UAS over ${transport}: 200 calls, none fails, all three serve`, async (t) => {
      if (!requireTool('sipp', t)) return;
      const ports = [];
      for (let peer = 0; peer < 3; peer++) ports.push(await startUas(t, transport));
      const cluster = await startPeers(
        t,
        ports.map((port) => ({
          application: { kind: 'upstream', sip: { host, port, transport }, http: unused },
        })),
      );
      const result = await runSipp(t, cluster.public.sip.udp, [
        '-sn',
        'uac',
        '-r',
        '50',
        '-m',
        '200',
      ]);
      assert.deepEqual([result.successful, result.failed], [200, 0]);
      assert.equal(result.retransmissions, 0);
      for (const { admin } of cluster.peers) {
        const page = await (await fetch(`http://${admin}/metrics`)).text();
        // A peer that the rotation gives ACKs alone knows their calls from others.
        assert.match(page, /sailring_sip_requests_total\{reason="(fallback|memory)"\} [1-9]/);
      }
    });
  }

  it('a plain HTTP server: sessions stick, stamps travel as headers, what clients forge does not', async (t) => {
    const webs = [];
    for (let peer = 1; peer <= 3; peer++) webs.push(await startWeb(t, `web-${peer}`));
    const cluster = await startPeers(
      t,
      webs.map(({ port }) => ({
        application: {
          kind: 'upstream',
          sip: { ...unused, transport: 'udp' },
          http: { host, port },
        },
      })),
    );
    const base = `http://${cluster.public.http}`;
    const firsts = new Set<string | null>();
    for (let visit = 0; visit < 6; visit++) {
      const first = await fetch(`${base}/login`, { headers: { connection: 'close' } });
      const servedBy = first.headers.get('x-served-by');
      firsts.add(servedBy);
      const cookie = first.headers
        .getSetCookie()
        .map((line) => line.split(';')[0])
        .join('; ');
      assert.match(cookie, /JSESSIONID=web-\d-session.*BEKEY=.*BEROUTE=peer-\d\./);
      for (let again = 0; again < 5; again++) {
        const next = await fetch(`${base}/page`, {
          headers: {
            cookie,
            connection: 'close',
            'proxy-beroute': 'forged',
            'x-forwarded-for': '203.0.113.9',
          },
        });
        assert.equal(next.headers.get('x-served-by'), servedBy);
        const { headers } = (await next.json()) as { headers: Record<string, string> };
        assert.match(headers['proxy-beroute'] ?? '', /^peer-\d$/);
        assert.equal(headers['x-forwarded-for'], '127.0.0.1');
      }
    }
    assert.equal(firsts.size, 3);
  });

  it('answers 500 for SIP and 502 or 504 for HTTP when nobody is there', async (t) => {
    if (!requireTool('sipp', t)) return;
    const [sipPort, httpPort] = [await freeUdpPort(), await freeTcpPort()];
    const cluster = await startPeers(t, [
      {
        application: {
          kind: 'upstream',
          sip: { host, port: sipPort, transport: 'udp' },
          http: { host, port: httpPort },
        },
      },
    ]);
    const response = await fetch(`http://${cluster.public.http}/`);
    assert.ok([502, 503, 504].includes(response.status), String(response.status));
    assert.doesNotMatch(await response.text(), /at .*\.ts|node:/);
    const result = await runSipp(t, cluster.public.sip.udp, ['-sn', 'uac', '-m', '3', '-r', '10']);
    assert.equal(result.failed, 3);
    for (const call of result.calls)
      assert.ok(call.received.includes('INVITE 500'), call.received.join());
  });
});
