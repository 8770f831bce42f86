import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Seed } from '../../../src/gossip/index.ts';
import { createDiscovery } from '../../../src/io/discovery/index.ts';
import { Discovery } from '../../../src/io/discovery/discovery.ts';
import type { Rendezvous } from '../../../src/io/discovery/rendezvous.ts';
import { Counters } from '../../../src/pipeline/counters.ts';
import { DnsServer } from '../../support/dns-server.ts';
import { Etcd } from '../../support/etcd.ts';
import { requireTool } from '../../support/tools.ts';
import { ourself, peerAt, seedAt, WatchedLog } from './contract.ts';
import { ListedRendezvous } from './listed-rendezvous.ts';

/** Takes what is found, and tells when it is as it should be. */
class Finder {
  readonly lists: (readonly Seed[])[] = [];
  #look: () => void = () => undefined;

  readonly onSeeds = (seeds: readonly Seed[]): void => {
    this.lists.push(seeds);
    this.#look();
  };

  until(hosts: readonly string[]): Promise<void> {
    return new Promise((resolve) => {
      this.#look = () => {
        const last = this.lists.at(-1)?.map(({ host }) => host) ?? [];
        if (hosts.every((host) => last.includes(host))) resolve();
      };
      this.#look();
    });
  }
}

function run(rendezvous: readonly Rendezvous[]) {
  const finder = new Finder();
  const [counters, log] = [new Counters(), new WatchedLog()];
  const discovery = new Discovery({ rendezvous, onSeeds: finder.onSeeds, counters, log });
  return { discovery, finder, counters, log };
}

describe('discovery', { timeout: 30_000 }, () => {
  it('registers before it looks, and withdraws at the end', async () => {
    const rendezvous = new ListedRendezvous();
    const { discovery, finder } = run([rendezvous]);
    rendezvous.list([seedAt(1)]);
    discovery.start();
    await finder.until([seedAt(1).host]);
    await discovery.stop();
    assert.deepEqual(rendezvous.calls, ['register', 'discover', 'withdraw']);
    rendezvous.list([seedAt(2)]);
    assert.equal(finder.lists.length, 1);
  });

  it('puts together what several list', async () => {
    const [one, two] = [new ListedRendezvous(), new ListedRendezvous()];
    const { discovery, finder } = run([one, two]);
    one.list([seedAt(1)]);
    two.list([seedAt(2)]);
    discovery.start();
    await finder.until([seedAt(1).host, seedAt(2).host]);
    two.list([seedAt(3)]);
    await finder.until([seedAt(1).host, seedAt(2).host, seedAt(3).host]);
    await discovery.stop();
  });

  it('goes on with the others when one has a defect, which is told', async () => {
    const sound = new ListedRendezvous();
    const broken: Rendezvous = {
      register: () => undefined,
      withdraw: () => Promise.resolve(),
      discover: () => {
        throw new TypeError('a defect');
      },
    };
    const { discovery, finder, counters, log } = run([broken, sound]);
    discovery.start();
    sound.list([seedAt(1)]);
    await finder.until([seedAt(1).host]);
    assert.equal(counters.counter('discovery_faults', 'defect').value, 1);
    assert.equal(log.lines.filter((line) => line.startsWith('error')).length, 1);
    await discovery.stop();
  });

  it('does nothing where nothing is configured', async () => {
    const finder = new Finder();
    const discovery = createDiscovery({
      config: { dns: [], dnsServers: [], pollIntervalMs: 1_000 },
      cluster: 'blue',
      self: ourself,
      onSeeds: finder.onSeeds,
      counters: new Counters(),
      log: new WatchedLog(),
    });
    discovery.start();
    await discovery.stop();
    assert.deepEqual(finder.lists, []);
  });

  it('uses all that is configured, each whatever becomes of the others', async (t) => {
    if (!requireTool('etcd', t)) return;
    const [dns, etcd] = [await DnsServer.start(t), await Etcd.start(t)];
    dns.addresses('a.test', 'A', [seedAt(2).host]);
    dns.addresses('b.test', 'A', [seedAt(3).host]);
    await etcd.put('/s/blue/members/peer-4', '{"endpoint":"10.1.0.5:7946","epoch":1}');
    const finder = new Finder();
    const discovery = createDiscovery({
      config: {
        dns: [
          { name: 'a.test', type: 'address', port: 7946 },
          { name: 'b.test', type: 'address', port: 7946 },
          { name: 'none.test', type: 'srv' },
        ],
        dnsServers: [dns.address],
        etcd: { endpoints: [etcd.endpoint], prefix: '/s', ttlMs: 2_000 },
        pollIntervalMs: 20,
      },
      cluster: 'blue',
      self: peerAt(1),
      onSeeds: finder.onSeeds,
      counters: new Counters(),
      log: new WatchedLog(),
    });
    discovery.start();
    await finder.until([1, 2, 3, 4].map((at) => seedAt(at).host));
    await discovery.stop();
    assert.deepEqual(
      (await etcd.entries('/s/blue/members/')).map(({ key }) => key),
      ['/s/blue/members/peer-4'],
    );
  });
});
