import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { createServer, Server } from 'node:net';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { AdminSource, PeerStatus } from '../../src/admin/index.ts';
import { AdminServer, json, type Route } from '../../src/admin/index.ts';
import { parseHostPort } from '../../src/config/address.ts';
import { adminLimits } from '../../src/config/defaults.ts';
import { Counters } from '../../src/pipeline/counters.ts';

const status: PeerStatus = {
  name: 'peer-1',
  state: 'ready',
  calls: 7,
  members: [
    {
      name: 'peer-1',
      state: 'alive',
      address: '127.0.0.1:7946',
      status: 'ready',
      weight: 1,
      stateDigest: 'AAAAAAAA',
      link: 'self',
    },
    {
      name: 'peer-2',
      state: 'suspect',
      address: '127.0.0.1:7956',
      status: 'draining',
      weight: 2,
      link: 'down',
    },
    { name: 'peer-3', state: 'dead', address: '127.0.0.1:7966', status: 'ready', weight: 1 },
  ],
  health: 3,
  ring: { version: 'abc', members: [{ name: 'peer-1', weight: 1 }] },
  clusterState: { clock: 7, digest: 'AAAAAAAA' },
  rules: {
    source: 'file',
    digest: 'BBBBBBBB',
    clusters: 'CCCCCCCC',
    odd: ['peer-1'],
    isOverdue: false,
  },
  addresses: { admin: '127.0.0.1:7948' },
};

class Source implements AdminSource {
  readonly counters = new Counters();
  current: PeerStatus = status;
  drains = 0;
  readonly routes: readonly Route[] = [
    {
      method: 'PUT',
      path: '/things/',
      serve: async ({ rest, query, body }) =>
        json(200, { rest, query: [...query], body: await body() }),
    },
    { method: 'DELETE', path: '/things/', serve: ({ rest }) => json(200, { gone: rest }) },
  ];

  status(): PeerStatus {
    return this.current;
  }

  drain(): void {
    this.drains++;
  }

  undrain(): void {
    this.drains--;
  }
}

interface Given {
  readonly source: Source;
  readonly audit: readonly string[];
  readonly ask: (
    method: string,
    path: string,
    headers?: Record<string, string>,
    body?: string,
  ) => Promise<Answer>;
}

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

async function setUp(t: TestContext, token?: string): Promise<Given> {
  const source = new Source();
  const audit: string[] = [];
  const config = { listen: { address: '127.0.0.1', port: 0 }, ...(token && { token }) };
  const server = new AdminServer(config, source, (line) => audit.push(line));
  const address = await server.start();
  t.after(() => server.stop());
  const { port } = parseHostPort(address)!;
  return {
    source,
    audit,
    async ask(method, path, headers = {}, body = '') {
      const client = request({ port, host: '127.0.0.1', method, path, headers, agent: false });
      client.end(body);
      const [answer] = (await once(client, 'response')) as [IncomingMessage];
      return { status: answer.statusCode, headers: answer.headers, body: await text(answer) };
    },
  };
}

describe('the admin server', () => {
  it('says that the process lives', async (t) => {
    const { ask } = await setUp(t);
    assert.equal((await ask('GET', '/livez')).status, 200);
  });

  it('is ready when the peer is', async (t) => {
    const { ask } = await setUp(t);
    const { status: code, body } = await ask('GET', '/readyz');
    assert.deepEqual([code, JSON.parse(body)], [200, { ready: true, reasons: [] }]);
  });

  for (const state of ['joining', 'draining', 'disabled'] as const)
    it(`is not ready while the peer is ${state} or the ring is empty, and says why`, async (t) => {
      const { ask, source } = await setUp(t);
      source.current = { ...status, state, ring: { version: '', members: [] } };
      const { status: code, body } = await ask('GET', '/readyz');
      assert.deepEqual(
        [code, JSON.parse(body)],
        [503, { ready: false, reasons: [`the peer is ${state}`, 'the ring is empty'] }],
      );
    });

  it('is not ready once it has run other rules than the cluster for too long', async (t) => {
    const { ask, source } = await setUp(t);
    assert.equal((await ask('GET', '/readyz')).status, 200);
    source.current = { ...status, rules: { ...status.rules, isOverdue: true } };
    const answer = await ask('GET', '/readyz');
    assert.deepEqual(
      [answer.status, JSON.parse(answer.body)],
      [
        503,
        { ready: false, reasons: ['it runs other rules (BBBBBBBB) than the cluster (CCCCCCCC)'] },
      ],
    );
  });

  it('gives further pages what stands behind their path, the query and the body', async (t) => {
    const { ask } = await setUp(t);
    const put = await ask('PUT', '/things/a%2Fb?x=1&y=', {}, 'content');
    assert.deepEqual(JSON.parse(put.body), {
      rest: 'a/b',
      query: [
        ['x', '1'],
        ['y', ''],
      ],
      body: 'content',
    });
    assert.deepEqual(JSON.parse((await ask('DELETE', '/things/%zz')).body), { gone: '%zz' });
    const refused = await ask('GET', '/things/a');
    assert.deepEqual([refused.status, refused.headers.allow], [405, 'PUT, DELETE']);
  });

  it('refuses a body above the limit', async (t) => {
    const { ask, source } = await setUp(t);
    const most = 'x'.repeat(adminLimits.bodyBytesMax);
    assert.equal((await ask('PUT', '/things/a', {}, most)).status, 200);
    assert.equal((await ask('PUT', '/things/a', {}, `${most}x`)).status, 413);
    assert.equal(source.counters.get('admin_requests', 'refused_413'), 1);
  });

  it('asks for the token on further pages too', async (t) => {
    const { ask } = await setUp(t, 'a-token-of-some-length');
    assert.equal((await ask('PUT', '/things/a')).status, 401);
  });

  it('shows status, instances and counters', async (t) => {
    const { ask, source } = await setUp(t);
    source.counters.count('sip_drops', 'too_large', 3);
    const answer = await ask('GET', '/status?pretty');
    assert.equal(answer.headers['content-type'], 'application/json');
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.deepEqual(JSON.parse(answer.body), {
      ...status,
      instances: [
        { name: 'peer-1', status: 'ready', weight: 1 },
        { name: 'peer-2', status: 'draining', weight: 2 },
      ],
      counters: { sip_drops: { too_large: 3 } },
    });
  });

  it('shows metrics: counters, gauges, the process', async (t) => {
    const { ask, source } = await setUp(t);
    source.counters.count('sip_drops', 'too_large', 3);
    await ask('GET', '/metrics');
    source.counters.count('sip_drops', 'too_large');
    source.counters.count('sip-other', 'x');
    const { headers, body } = await ask('GET', '/metrics');
    assert.match(headers['content-type'] ?? '', /^text\/plain/u);
    for (const line of [
      'sailring_sip_drops_total{reason="too_large"} 4',
      'sailring_sip_other_total{reason="x"} 1',
      'sailring_ready 1',
      'sailring_members{state="alive"} 1',
      'sailring_members{state="dead"} 1',
      'sailring_gossip_health 3',
      'sailring_ring_members 1',
      'sailring_ring_info{version="abc"} 1',
      'sailring_cluster_state_info{digest="AAAAAAAA"} 1',
      'sailring_rules_info{digest="BBBBBBBB",source="file"} 1',
      'sailring_rules_odd_members 1',
    ])
      assert.ok(body.includes(`${line}\n`), line);
    assert.match(body, /process_cpu_seconds_total/u);
  });

  it('shows a gauge for the link to each living peer, and none for others', async (t) => {
    const { ask, source } = await setUp(t);
    const shown = async (): Promise<string[]> => {
      const { body } = await ask('GET', '/metrics');
      return body.split('\n').filter((line) => line.startsWith('sailring_link_up'));
    };
    assert.deepEqual(await shown(), ['sailring_link_up{peer="peer-2"} 0']);
    const [own, other] = status.members;
    source.current = { ...status, members: [own!, { ...other!, link: 'up' }] };
    assert.deepEqual(await shown(), ['sailring_link_up{peer="peer-2"} 1']);
    source.current = { ...status, members: [own!] };
    assert.deepEqual(await shown(), []);
  });

  it('drains on POST alone and writes who asked', async (t) => {
    const { ask, source, audit } = await setUp(t);
    assert.equal((await ask('GET', '/drain')).status, 405);
    assert.equal(source.drains, 0);
    const answer = await ask('POST', '/drain');
    assert.deepEqual([answer.status, source.drains], [202, 1]);
    assert.deepEqual(audit, ['admin: drain asked for by 127.0.0.1']);
    assert.equal((await ask('POST', '/undrain')).status, 202);
    assert.equal(source.drains, 0);
  });

  it('knows no other page and no other method', async (t) => {
    const { ask } = await setUp(t);
    assert.equal((await ask('GET', '/')).status, 404);
    const answer = await ask('DELETE', '/status');
    assert.deepEqual([answer.status, answer.headers.allow], [405, 'GET, HEAD']);
    assert.deepEqual(await ask('HEAD', '/livez').then(({ status: code, body }) => [code, body]), [
      200,
      '',
    ]);
  });

  it('answers a defect without telling about it', async (t) => {
    const { ask, source, audit } = await setUp(t);
    source.status = () => {
      throw new Error('inner workings');
    };
    const answer = await ask('GET', '/status');
    assert.equal(answer.status, 500);
    assert.doesNotMatch(answer.body, /inner workings/u);
    assert.match(audit[0] ?? '', /inner workings/u);
  });

  it('refuses headers above its limit', async (t) => {
    const { ask } = await setUp(t);
    const answer = await ask('GET', '/livez', { 'x-long': 'x'.repeat(9_000) });
    assert.equal(answer.status, 431);
  });

  it('goes on, and says so, when it cannot accept a connection', async (t) => {
    const listen = t.mock.method(Server.prototype, 'listen');
    const { ask, audit } = await setUp(t);
    const server = listen.mock.calls[0]!.this as Server;
    server.emit('error', new Error('accept EMFILE'));
    assert.equal((await ask('GET', '/livez')).status, 200);
    assert.match(audit.join('\n'), /accept EMFILE/);
  });

  it('rejects when its port is taken', async (t) => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    t.after(() => taken.close());
    const { port } = taken.address() as AddressInfo;
    const server = new AdminServer(
      { listen: { address: '127.0.0.1', port } },
      new Source(),
      () => undefined,
    );
    await assert.rejects(server.start(), { code: 'EADDRINUSE', port });
  });
});

describe('the admin server without a token', () => {
  for (const host of ['localhost', 'localhost:80', '127.0.0.1:7948', '127.1.2.3', '[::1]:1'])
    it(`serves requests to ${host}`, async (t) => {
      const { ask } = await setUp(t);
      assert.equal((await ask('GET', '/status', { host })).status, 200);
    });

  for (const host of [
    'evil.example',
    'localhost.evil.example',
    '192.0.2.1',
    '127.evil.example',
    'a b',
  ])
    it(`refuses requests to ${host}: a page may have given its name our address`, async (t) => {
      const { ask, source } = await setUp(t);
      assert.equal((await ask('POST', '/drain', { host })).status, 403);
      assert.equal(source.drains, 0);
      assert.equal(source.counters.get('admin_requests', 'refused_403'), 1);
    });

  for (const origin of ['https://evil.example', 'null', 'http://localhost:3000'])
    it(`refuses requests of pages of ${origin}`, async (t) => {
      const { ask, source } = await setUp(t);
      assert.equal((await ask('POST', '/drain', { origin, host: 'localhost' })).status, 403);
      assert.equal(source.drains, 0);
    });

  it('serves requests of its own pages', async (t) => {
    const { ask } = await setUp(t);
    const headers = { host: 'localhost:7948', origin: 'http://localhost:7948' };
    assert.equal((await ask('GET', '/status', headers)).status, 200);
  });

  it('answers probes whatever they call the host', async (t) => {
    const { ask } = await setUp(t);
    assert.equal((await ask('GET', '/readyz', { host: 'peer-1.example' })).status, 200);
  });
});

describe('the admin server with a token', () => {
  const token = '0123456789abcdef';

  it('serves whoever brings it, under any name', async (t) => {
    const { ask } = await setUp(t, token);
    const headers = { authorization: `Bearer ${token}`, host: 'peer-1.example' };
    assert.equal((await ask('GET', '/metrics', headers)).status, 200);
  });

  for (const authorization of ['', 'Bearer', 'Bearer wrong', `Basic ${token}`, `Bearer ${token}0`])
    it(`refuses "${authorization}"`, async (t) => {
      const { ask, source } = await setUp(t, token);
      const answer = await ask('POST', '/drain', { authorization });
      assert.deepEqual([answer.status, answer.headers['www-authenticate']], [401, 'Bearer']);
      assert.equal(source.drains, 0);
    });

  it('refuses pages of other sites even with it', async (t) => {
    const { ask } = await setUp(t, token);
    const headers = { authorization: `Bearer ${token}`, origin: 'https://evil.example' };
    assert.equal((await ask('GET', '/status', headers)).status, 403);
  });

  it('answers probes without it and shows it nowhere', async (t) => {
    const { ask } = await setUp(t, token);
    assert.equal((await ask('GET', '/livez')).status, 200);
    const headers = { authorization: `Bearer ${token}` };
    for (const path of ['/status', '/metrics'])
      assert.ok(!(await ask('GET', path, headers)).body.includes(token));
  });
});
