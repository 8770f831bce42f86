import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { waitForMembers } from '../../src/cli/cluster-members.ts';

type Status = 'joining' | 'ready' | 'draining' | 'disabled' | undefined;

/** What a peer answers whose cluster it sees so, itself first. */
function seen(statuses: readonly Status[], onRing: number, gossip = 'alive'): object {
  const members = statuses.map((status, at) => ({ state: at === 0 ? 'alive' : gossip, status }));
  return { state: statuses[0], members, ring: { members: new Array(onRing).fill({}) } };
}

/** An admin server that answers these one after another, the last one for ever. */
async function answering(
  t: TestContext,
  answers: readonly object[],
): Promise<{ url: string; asked: () => number }> {
  let asked = 0;
  const server = createServer((_request, response) => {
    response.end(JSON.stringify(answers[Math.min(asked++, answers.length - 1)]));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, asked: () => asked };
}

describe('waiting for the peers of a cluster', { timeout: 20_000 }, () => {
  it('ends when all are there and the ready ones on the ring', async (t) => {
    const { url, asked } = await answering(t, [
      seen(['ready'], 1),
      seen(['ready', 'ready'], 2, 'dead'),
      seen(['ready', undefined], 1),
      seen(['ready', 'joining'], 1),
      seen(['joining', 'ready'], 1),
      seen(['ready', 'ready'], 1),
      seen(['ready', 'ready'], 2),
    ]);
    await waitForMembers([url], 2, AbortSignal.timeout(10_000));
    assert.equal(asked(), 7);
  });

  it('does not wait for those that operators keep off the ring', async (t) => {
    const { url, asked } = await answering(t, [
      seen(['draining', 'ready', 'disabled'], 2),
      seen(['draining', 'ready', 'disabled'], 1),
    ]);
    await waitForMembers([url], 3, AbortSignal.timeout(10_000));
    assert.equal(asked(), 2);
  });
});
