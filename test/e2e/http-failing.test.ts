import assert from 'node:assert/strict';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { startPeerProcess, startPeers } from '../support/peers.ts';

const host = '127.0.0.1';

interface Origin {
  readonly port: number;
  readonly seen: { readonly url: string; readonly headers: IncomingHttpHeaders }[];
  up(): Promise<void>;
  down(): Promise<void>;
}

/** A server that can go away and come back on the same port. */
async function startOrigin(t: TestContext, name: string): Promise<Origin> {
  const seen: Origin['seen'] = [];
  let port = 0;
  let server: Server | undefined;
  const down = async (): Promise<void> => {
    const stopped = server;
    server = undefined;
    stopped?.closeAllConnections();
    if (stopped !== undefined) await new Promise((resolve) => stopped.close(resolve));
  };
  const up = async (): Promise<void> => {
    const started = createServer((request, response) => {
      seen.push({ url: request.url ?? '', headers: request.headers });
      response.end(name);
    });
    await new Promise<void>((resolve) => started.listen(port, host, resolve));
    ({ port } = started.address() as AddressInfo);
    server = started;
  };
  await up();
  t.after(down);
  return { port, seen, up, down };
}

async function statuses(address: string, count: number): Promise<number[]> {
  const all: number[] = [];
  for (let at = 0; at < count; at++) {
    const response = await fetch(`http://${address}/${at}`);
    await response.text();
    all.push(response.status);
  }
  return all;
}

/** Nobody calls. */
const sip = { host, port: 9 };
const long = { failures: 1, baseMs: 3_600_000, maxMs: 3_600_000 };

describe('applications that fail', { timeout: 60_000 }, () => {
  it('cost no request while another one lives, and are back with the first that has none', async (t) => {
    const [a, b] = [await startOrigin(t, 'a'), await startOrigin(t, 'b')];
    const { peers } = await startPeers(
      t,
      [a, b].map(({ port }) => ({
        application: { kind: 'upstream', sip, http: { host, port, ejection: long } },
      })),
    );
    const [first] = peers;
    await a.down();
    assert.deepEqual([...new Set(await statuses(first!.http, 20))], [200]);
    assert.equal(b.seen.length, 20);
    await b.down();
    assert.deepEqual([...new Set(await statuses(first!.http, 4))], [502]);
    await b.up();
    // Both are ejected for an hour: the one asked last is tried, here or over the link.
    assert.equal((await statuses(first!.http, 2)).at(-1), 200);
    assert.deepEqual([...new Set(await statuses(first!.http, 10))], [200]);
  });

  it('leave their requests to the host for that, which hears nothing of the cluster', async (t) => {
    const sorry = await startOrigin(t, 'sorry');
    const gone = await startOrigin(t, 'gone');
    await gone.down();
    const peer = await startPeerProcess(t, 'peer-1', {
      application: { kind: 'upstream', sip, http: { host, port: gone.port } },
      http: {
        listeners: [{ address: host, port: 0 }],
        unavailableHost: { host: `${host}:${sorry.port}`, mode: 'proxy' },
      },
    });
    const response = await fetch(`http://${peer.http}/a?b`, { method: 'POST', body: 'abc' });
    assert.equal(await response.text(), 'sorry');
    assert.equal(response.headers.get('set-cookie'), null);
    const [request] = sorry.seen;
    assert.equal(request?.url, '/a?b');
    assert.equal(request.headers.host, peer.http);
    assert.deepEqual(
      Object.keys(request.headers).filter((name) => name.startsWith('proxy-')),
      [],
    );
  });
});
