import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { EtcdDiscoveryConfig } from '../../../src/config/index.ts';
import { endpointText } from '../../../src/gossip/index.ts';
import { EtcdRendezvous } from '../../../src/io/discovery/etcd-rendezvous.ts';
import { Etcd } from '../../support/etcd.ts';
import { requireTool } from '../../support/tools.ts';
import {
  engineContract,
  ourself,
  peerAt,
  registryContract,
  rendezvousContract,
  seedAt,
  Visit,
  type RegistryKind,
} from './contract.ts';

const prefix = '/sailring/blue/members/';

/** A kind whose peers speak to these endpoints. */
function kindOf(etcd: Etcd, changes: Partial<EtcdDiscoveryConfig> = {}): RegistryKind {
  return {
    create: (surroundings) =>
      new EtcdRendezvous({
        etcd: { endpoints: [etcd.endpoint], prefix: '/sailring', ttlMs: 2_000, ...changes },
        cluster: 'blue',
        pollIntervalMs: 20,
        requestMs: 300,
        ...surroundings,
      }),
    list: async (seeds) => {
      await etcd.remove(`${prefix}listed-`);
      for (const [at, { host, port }] of seeds.entries()) {
        const endpoint = endpointText({ address: host, port });
        await etcd.put(`${prefix}listed-${at}`, JSON.stringify({ endpoint, epoch: at }));
      }
    },
    kill: () => etcd.kill(),
    revive: () => etcd.start(),
    hang: () => {
      etcd.pause();
    },
    wake: () => {
      etcd.resume();
    },
    lose: async () => {
      await etcd.kill();
      await etcd.wipe();
      await etcd.start();
    },
  };
}

async function open(t: TestContext): Promise<RegistryKind | undefined> {
  return requireTool('etcd', t) ? kindOf(await Etcd.start(t)) : undefined;
}

rendezvousContract('etcd', open);
engineContract('etcd', open);
registryContract('etcd', open);

/** One entry, as soon as it is there. */
async function entryOf(etcd: Etcd, name: string): Promise<{ value: string; lease: string }> {
  for (;;) {
    const found = (await etcd.entries(prefix)).find(({ key }) => key === `${prefix}${name}`);
    if (found !== undefined) return found;
  }
}

describe('discovery by etcd', { timeout: 30_000 }, () => {
  it('lists a peer under its name, with endpoint and epoch, by a lease of its own', async (t) => {
    if (!requireTool('etcd', t)) return;
    const etcd = await Etcd.start(t);
    new Visit(t, kindOf(etcd), peerAt(2));
    const { value, lease } = await entryOf(etcd, 'peer-2');
    assert.deepEqual(JSON.parse(value), { endpoint: '10.1.0.3:7946', epoch: 1_790_000_002 });
    assert.notEqual(lease, '0');
  });

  it('registers again when its lease ran out, as it does while the process is stopped', async (t) => {
    if (!requireTool('etcd', t)) return;
    const etcd = await Etcd.start(t);
    const visit = new Visit(t, kindOf(etcd), peerAt(2));
    const { lease } = await entryOf(etcd, 'peer-2');
    await etcd.revoke(lease);
    const again = await entryOf(etcd, 'peer-2');
    assert.notEqual(again.lease, lease);
    assert.equal(visit.counters.counter('discovery_etcd_registrations', 'lost').value, 1);
  });

  it('puts its entry back when another hand removed or replaced it', async (t) => {
    if (!requireTool('etcd', t)) return;
    const etcd = await Etcd.start(t);
    new Visit(t, kindOf(etcd), peerAt(2));
    const { lease } = await entryOf(etcd, 'peer-2');
    await etcd.remove(prefix);
    assert.equal((await entryOf(etcd, 'peer-2')).lease, lease);
    await etcd.put(`${prefix}peer-2`, 'rubbish');
    await etcd.until(prefix, ([entry]) => entry?.lease === lease);
  });

  it('takes its entry back at once, however long it would last', async (t) => {
    if (!requireTool('etcd', t)) return;
    const etcd = await Etcd.start(t);
    const visit = new Visit(t, kindOf(etcd, { ttlMs: 3_600_000 }), peerAt(2));
    await entryOf(etcd, 'peer-2');
    await visit.stop();
    assert.deepEqual(await etcd.entries(prefix), []);
    assert.equal(visit.counters.counter('discovery_etcd_registrations', 'withdrawn').value, 1);
  });

  it('keeps its entry for much longer than the lease lasts', async (t) => {
    if (!requireTool('etcd', t)) return;
    const etcd = await Etcd.start(t);
    const visit = new Visit(t, kindOf(etcd), peerAt(2));
    const { lease } = await entryOf(etcd, 'peer-2');
    const begun = performance.now();
    while (performance.now() - begun < 3_000) {
      assert.equal((await entryOf(etcd, 'peer-2')).lease, lease);
      await visit.next();
    }
    assert.equal(visit.counters.counter('discovery_etcd_registrations', 'done').value, 1);
  });

  it('leaves out what is no entry, and counts it', async (t) => {
    if (!requireTool('etcd', t)) return;
    const etcd = await Etcd.start(t);
    const kind = kindOf(etcd);
    await kind.list([seedAt(5)]);
    const rubbish = [
      '',
      'rubbish',
      'null',
      '{}',
      '{"endpoint":"nowhere","epoch":1}',
      '{"endpoint":"10.0.0.1:0","epoch":1}',
      `{"endpoint":"${'a'.repeat(600)}:1","epoch":1}`,
    ];
    for (const [at, text] of rubbish.entries()) await etcd.put(`${prefix}rubbish-${at}`, text);
    await etcd.put('/sailring/green/members/x', '{"endpoint":"10.0.0.9:1","epoch":1}');
    const visit = new Visit(t, kind, ourself, false);
    assert.deepEqual(await visit.next(), ['10.1.0.6:7946']);
    assert.equal(visit.counters.counter('discovery_drops', 'malformed').value, rubbish.length);
  });

  it('takes the newest entries where there are too many, and counts the others', async (t) => {
    if (!requireTool('etcd', t)) return;
    const etcd = await Etcd.start(t);
    const kind = kindOf(etcd);
    await kind.list(Array.from({ length: 258 }, (_, at) => seedAt(at + 2)));
    await etcd.put(`${prefix}listed-0`, '{"endpoint":"10.9.9.9:1","epoch":2}');
    const visit = new Visit(t, kind, ourself, false);
    const found = await visit.next();
    assert.ok(found?.includes('10.9.9.9:1') === true);
    for (const oldest of [3, 4]) assert.ok(!found.includes(endpointText(peerAt(oldest).endpoint)));
    assert.equal(visit.counters.counter('discovery_drops', 'full').value, 2);
  });

  it('uses the next endpoint when one is away or never answers', async (t) => {
    if (!requireTool('etcd', t)) return;
    const [away, held, etcd] = [await Etcd.create(t), await Etcd.start(t), await Etcd.start(t)];
    held.pause();
    const endpoints = [away.endpoint, held.endpoint, etcd.endpoint];
    const kind = kindOf(etcd, { endpoints });
    await kind.list([seedAt(5)]);
    const visit = new Visit(t, kind, peerAt(2));
    await visit.untilListed([seedAt(2), seedAt(5)]);
    assert.equal(visit.counters.counter('discovery_etcd_polls', 'failed').value, 0);
    held.resume();
  });
});
