import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Answer, Route } from '../../src/admin/index.ts';
import type { ChangeFault } from '../../src/cluster/index.ts';
import { SharedPages } from '../support/shared-pages.ts';

class Given extends SharedPages {
  /** Asks a page; `target` is `/path` or `/path/rest?query`. */
  async ask(
    method: Route['method'],
    target: string,
    body?: unknown,
  ): Promise<Answer & { json: Record<string, unknown> }> {
    const [full = '', query] = target.split('?');
    const isAt = (path: string): boolean =>
      path === full || (path.endsWith('/') && full.startsWith(path));
    const route = this.routes.find((each) => each.method === method && isAt(each.path));
    assert.ok(route, `${method} ${target}`);
    const answer = await route.serve({
      query: new Map(new URLSearchParams(query)),
      rest: route.path.endsWith('/') ? full.slice(route.path.length) : '',
      by: '127.0.0.1',
      body: () => Promise.resolve(typeof body === 'string' ? body : JSON.stringify(body)),
    });
    return { ...answer, json: JSON.parse(answer.body) as Record<string, unknown> };
  }
}

describe('the rules of the cluster, for operators', () => {
  it('are set, shown and taken away', async () => {
    const given = new Given();
    assert.deepEqual((await given.ask('GET', '/rules')).json, { ...given.running, text: null });
    const set = await given.ask('PUT', '/rules', 'good');
    assert.equal(set.status, 200);
    assert.deepEqual([set.json['clock'], set.json['stored']], [1, 'memory']);
    assert.deepEqual(given.state.rules, { format: 'xml', text: 'good' });
    assert.equal((await given.ask('GET', '/rules')).json['text'], 'good');
    assert.equal((await given.ask('DELETE', '/rules')).status, 200);
    assert.equal(given.state.rules, undefined);
    assert.deepEqual(given.audit, [
      'admin: rules of the cluster set by 127.0.0.1',
      'admin: rules of the cluster taken away by 127.0.0.1',
    ]);
  });

  it('are refused with the places of their faults, and nobody gets them', async () => {
    const given = new Given();
    const refused = await given.ask('PUT', '/rules?file=my.xml', 'bad');
    assert.equal(refused.status, 422);
    assert.deepEqual(refused.json['faults'], ['my.xml:3:5: error: bad']);
    assert.match(String(refused.json['error']), /given to nobody/);
    assert.equal(given.state.clock, 0);
    const odd = await given.ask('PUT', '/rules?file=%0a', 'bad');
    assert.deepEqual(odd.json['faults'], ['rules:3:5: error: bad']);
  });

  const faults: readonly (readonly [fault: ChangeFault, says: RegExp])[] = [
    ['entries-full', /4096 entries/],
    ['bytes-full', /larger than 2359296 bytes/],
    ['clock-full', /clock .* at its end/],
  ];
  for (const [fault, says] of faults) {
    it(`are answered 507 with a remedy at the limit ${fault}`, async () => {
      const given = new Given();
      given.fault = fault;
      const refused = await given.ask('PUT', '/rules', 'good');
      assert.equal(refused.status, 507);
      assert.match(String(refused.json['error']), says);
    });
  }
});

describe('what operators decide about instances', () => {
  it('goes over what they decided before', async () => {
    const given = new Given();
    const put = (body: unknown): Promise<{ status: number }> =>
      given.ask('PUT', '/instances/peer-1', body);
    assert.equal((await put({ weight: 2 })).status, 200);
    assert.deepEqual(given.state.instance('peer-1'), { status: 'enabled', weight: 2 });
    assert.equal((await put({ status: 'disabled', quiesceMs: 5 })).status, 200);
    assert.deepEqual(given.state.instance('peer-1'), {
      status: 'disabled',
      weight: 2,
      quiesceMs: 5,
    });
    await put({ weight: null });
    assert.deepEqual(given.state.instance('peer-1'), { status: 'disabled', quiesceMs: 5 });
    await put({ status: 'enabled' });
    assert.deepEqual(given.state.instance('peer-1'), { status: 'enabled' });
    assert.deepEqual((await given.ask('GET', '/instances')).json, {
      instances: [
        {
          name: 'peer-1',
          state: 'alive',
          status: 'ready',
          weight: 1,
          decided: { status: 'enabled' },
        },
      ],
    });
    assert.equal((await given.ask('DELETE', '/instances/peer-1')).status, 200);
    assert.equal(given.state.instance('peer-1'), undefined);
    const again = await given.ask('DELETE', '/instances/peer-1');
    assert.equal(again.status, 404);
    assert.equal(again.json['error'], 'nothing is decided about peer-1');
  });

  it('needs a word more for an instance that nobody knows yet', async () => {
    const given = new Given();
    const refused = await given.ask('PUT', '/instances/peer-9', { status: 'disabled' });
    assert.equal(refused.status, 404);
    assert.match(String(refused.json['error']), /called peer-9; \?create=1 \(sailring: --create\)/);
    await given.ask('PUT', '/instances/peer-9?create=1', { status: 'disabled' });
    await given.ask('PUT', '/instances/peer-9', { weight: 3 });
    assert.deepEqual(given.state.instance('peer-9'), { status: 'disabled', weight: 3 });
    const { instances } = (await given.ask('GET', '/instances')).json;
    assert.deepEqual((instances as unknown[])[1], {
      name: 'peer-9',
      state: null,
      status: null,
      weight: null,
      decided: { status: 'disabled', weight: 3 },
    });
  });

  const bad: readonly (readonly [target: string, body: unknown, status: number])[] = [
    ['/instances/peer-1', 'no JSON', 400],
    ['/instances/peer-1', [], 400],
    ['/instances/peer-1', {}, 400],
    ['/instances/peer-1', { status: 'off' }, 400],
    ['/instances/peer-1', { status: null }, 400],
    ['/instances/peer-1', { weight: 0 }, 400],
    ['/instances/peer-1', { weight: 1, more: 1 }, 400],
    ['/instances/', { weight: 1 }, 404],
    ['/instances/a/b?create=1', { weight: 1 }, 404],
  ];
  for (const [target, body, status] of bad) {
    it(`is refused at ${target} as ${JSON.stringify(body)}`, async () => {
      const given = new Given();
      assert.equal((await given.ask('PUT', target, body)).status, status);
      assert.equal(given.state.clock, 0);
    });
  }
});

describe('the policy of the cluster', () => {
  it('is set, shown and taken away', async () => {
    const given = new Given();
    const policy = { algorithm: 'round-robin' };
    assert.equal((await given.ask('PUT', '/policy', policy)).status, 200);
    assert.deepEqual((await given.ask('GET', '/policy')).json, { policy });
    await given.ask('DELETE', '/policy');
    assert.deepEqual((await given.ask('GET', '/policy')).json, { policy: {} });
  });

  for (const body of ['x', { algorithm: 'any' }, { other: 1 }]) {
    it(`is refused as ${JSON.stringify(body)}`, async () => {
      const given = new Given();
      assert.equal((await given.ask('PUT', '/policy', body)).status, 400);
      assert.equal(given.state.clock, 0);
    });
  }
});

describe('the state of the cluster, for operators', () => {
  it('shows who decided what, and its digest', async () => {
    const given = new Given();
    given.state.setPolicy({ algorithm: 'round-robin' });
    given.state.setPolicy(undefined);
    assert.deepEqual((await given.ask('GET', '/state')).json, {
      clock: 2,
      digest: given.state.digest.slice(0, 8),
      entries: [{ key: 'policy', clock: 2, author: 'peer-1', isRemoved: true }],
    });
  });
});
