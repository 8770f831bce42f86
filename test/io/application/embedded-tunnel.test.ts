import assert from 'node:assert/strict';
import { it } from 'node:test';
import { HeaderBlock } from '../../../src/http/index.ts';
import { envelope, HostBench, HttpClient } from './embedded-bench.ts';

it('a module answers a request for another protocol as one without body', async () => {
  const seen: (string | undefined)[] = [];
  const bench = new HostBench(() => ({
    http: async (request) => {
      for await (const chunk of request.body) seen.push(`body ${chunk.length}`);
      seen.push(request.header('Upgrade'), request.header('Sec-WebSocket-Version'));
      return { status: 426, body: 'HTTP only' };
    },
  }));
  await bench.host.start();
  const client = new HttpClient();
  const headers = HeaderBlock.of([
    ['Host', 'a'],
    ['Upgrade', 'websocket'],
    ['Sec-WebSocket-Version', '13'],
  ]);
  const request = { method: 'GET', target: '/', headers, framing: { kind: 'tunnel' } } as const;
  const sender = bench.host.serveHttp(request, envelope, client);
  await client.over;
  // The asker ends the body when it knows that there is no tunnel.
  sender.end([]);
  assert.deepEqual(seen, [undefined, '13']);
  assert.equal(client.status, 426);
  assert.deepEqual(client.calls, ['head', 'data', 'end']);
});
